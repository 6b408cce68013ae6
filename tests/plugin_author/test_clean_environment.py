"""A plugin author's hour, in an environment that has core's wheel and nothing of this checkout.

The wheels are built, installed, discovered, named in a config, used from the command line, and keep
every law; so does a package that `autocog new-plugin` makes there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autocog_core.scaffold import PluginName, write_package
from tests.plugin_author.conftest import NGRAM

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(1200)]

ROOT = NGRAM.parents[1]
OF_HERE = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "AUTOCOG_CONFIG", "AUTOCOG_DISABLE_PLUGINS")


class Environment:
    """A virtual environment, and an empty folder in which its commands run."""

    def __init__(self, folder: Path, here: Path) -> None:
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.here = here

    def __call__(self, command: str, *arguments: str | Path, here: Path | None = None) -> str:
        """What a command prints; it must not fail."""
        environment = {key: value for key, value in os.environ.items() if key not in OF_HERE}
        done = subprocess.run(
            [self.bin / command, *arguments],
            cwd=here or self.here,
            env=environment | {"COLUMNS": "80"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, f"{command} {arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """With core's wheel, the tutorial's wheel, and pytest."""
    folder = tmp_path_factory.mktemp("author")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    (folder / "here").mkdir()
    environment = Environment(folder / "venv", folder / "here")
    sources = folder / "sources"
    # Copies: building leaves nothing in the checkout, and takes in nothing that git does not know.
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT / "autocog_core", sources / "core" / "autocog_core", ignore=ignored)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, sources / "core")
    shutil.copytree(NGRAM, sources / "ngram", ignore=ignored)
    wheels = folder / "wheels"
    for name in ("core", "ngram"):
        environment("pip", "wheel", "-q", "--no-deps", "-w", wheels, sources / name)
    environment("pip", "install", "-q", *wheels.glob("*.whl"), "pytest")
    return environment


def test_only_core_and_the_plugin_are_there(environment: Environment) -> None:
    found = json.loads(environment("pip", "list", "--format=json"))
    names = {entry["name"] for entry in found if entry["name"].startswith("autocog")}
    assert names == {"autocog-core", "autocog-ngram"}
    where = environment("python", "-c", "import autocog_core; print(autocog_core.__file__)")
    assert Path(where.strip()).is_relative_to(environment.bin.parent)


def test_the_plugin_is_listed_and_described(environment: Environment) -> None:
    listed = json.loads(environment("autocog", "backends", "--json"))
    others = [entry["name"] for entry in listed if entry["distribution"] != "autocog-core"]
    assert others == ["ngram"]
    described = json.loads(environment("autocog", "backends", "ngram", "--json"))
    assert [option["name"] for option in described["options"]] == ["path", "n"]


def test_a_config_names_it_and_the_command_line_uses_it(
    environment: Environment, tmp_path: Path
) -> None:
    for file in ("autocog.toml", "cities.txt"):
        shutil.copy(NGRAM / file, tmp_path)
    prompt = ["The river in Rome is the", "-c", " Tiber", "-c", " Seine"]
    chosen = json.loads(environment("autocog", "choose", *prompt, "--json", here=tmp_path))
    assert chosen["choice"] == " Tiber"
    assert sum(score["prob"] for score in chosen["scores"]) == pytest.approx(1)
    written = json.loads(
        environment("autocog", "complete", "The river in Cairo", "--json", here=tmp_path)
    )
    assert (written["text"], written["finish_reason"]) == (" is the Nile.", "eos")
    _conforms(environment, tmp_path, "cities")


def test_its_tests_pass(environment: Environment, tmp_path: Path) -> None:
    # Its tests and its text, without its source: the wheel is what is tested.
    shutil.copytree(NGRAM / "tests", tmp_path / "tests")
    shutil.copy(NGRAM / "cities.txt", tmp_path)
    _tests_pass(environment, tmp_path)


def test_a_new_plugin_installs_passes_and_is_used(environment: Environment, tmp_path: Path) -> None:
    environment("autocog", "new-plugin", "demo")
    made = environment.here / "autocog-demo"
    # The wheel has the whole template, files whose names begin with a dot included.
    for path in write_package(PluginName.parse("demo"), tmp_path / "of-the-checkout"):
        assert (made / path).read_bytes() == (tmp_path / "of-the-checkout" / path).read_bytes()
    environment("pip", "install", "-q", "-e", ".[test]", here=made)
    try:
        _tests_pass(environment, made)
        prompt = ["Is water wet?", "-c", " Yes", "-c", " No", "--backend", "demo", "--json"]
        assert len(json.loads(environment("autocog", "choose", *prompt))["scores"]) == 2
        (made / "autocog.toml").write_text('[models.toy]\nbackend = "demo"\n', encoding="utf-8")
        _conforms(environment, made, "toy")
    finally:
        environment("pip", "uninstall", "-q", "-y", "autocog-demo")


def _tests_pass(environment: Environment, folder: Path) -> None:
    told = environment("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", here=folder)
    last = told.strip().splitlines()[-1]
    assert "passed" in last, told
    assert "failed" not in last, told


def _conforms(environment: Environment, folder: Path, model: str) -> None:
    told = json.loads(environment("autocog", "conformance", model, "--json", here=folder))
    assert told["conforms"], [law for law in told["laws"] if law["status"] == "broken"]
    assert sum(law["status"] == "holds" for law in told["laws"]) > 30
