"""The work of a plugin author, in an environment with core's wheel and nothing of this checkout.

The tests build and install the tutorial's wheel, name it in a config, use it from the command line,
and check the laws. They do the same with a package that `autocog new-plugin` writes there.
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
OUTER_VARIABLES = (
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "AUTOCOG_CONFIG",
    "AUTOCOG_DISABLE_PLUGINS",
)


class Environment:
    """A virtual environment, and an empty folder in which its commands run.

    :ivar bin: the folder of its commands.
    :ivar work_dir: the empty folder.
    """

    def __init__(self, folder: Path, work_dir: Path) -> None:
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.work_dir = work_dir

    def __call__(self, command: str, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Run a command, which must not fail, and return its output."""
        environment = {
            key: value for key, value in os.environ.items() if key not in OUTER_VARIABLES
        }
        process = subprocess.run(
            [self.bin / command, *arguments],
            cwd=cwd or self.work_dir,
            env=environment | {"COLUMNS": "80"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert process.returncode == 0, f"{command} {arguments}\n{process.stdout}\n{process.stderr}"
        return process.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with core's wheel, the tutorial's wheel, and pytest."""
    folder = tmp_path_factory.mktemp("author")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    (folder / "work").mkdir()
    environment = Environment(folder / "venv", folder / "work")
    sources = folder / "sources"
    # Builds from copies, so that they neither change the checkout nor include ignored files.
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT / "autocog_core", sources / "core" / "autocog_core", ignore=ignored)
    quiz = Path("examples", "quiz")
    shutil.copytree(ROOT / quiz, sources / "core" / quiz, ignore=ignored)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, sources / "core")
    shutil.copytree(NGRAM, sources / "ngram", ignore=ignored)
    wheels = folder / "wheels"
    for name in ("core", "ngram"):
        environment("pip", "wheel", "-q", "--no-deps", "-w", wheels, sources / name)
    environment("pip", "install", "-q", *wheels.glob("*.whl"), "pytest")
    return environment


def test_only_core_and_the_plugin_are_installed(environment: Environment) -> None:
    packages = json.loads(environment("pip", "list", "--format=json"))
    names = {entry["name"] for entry in packages if entry["name"].startswith("autocog")}
    assert names == {"autocog-core", "autocog-ngram"}
    location = environment("python", "-c", "import autocog_core; print(autocog_core.__file__)")
    assert Path(location.strip()).is_relative_to(environment.bin.parent)


def test_the_plugin_is_listed_and_described(environment: Environment) -> None:
    listed = json.loads(environment("autocog", "backends", "--json"))
    others = [entry["name"] for entry in listed if entry["distribution"] != "autocog-core"]
    assert others == ["ngram"]
    described = json.loads(environment("autocog", "backends", "ngram", "--json"))
    assert [option["name"] for option in described["options"]] == ["path", "n"]


def test_the_command_line_uses_the_configured_plugin(
    environment: Environment, tmp_path: Path
) -> None:
    for file in ("autocog.toml", "cities.txt"):
        shutil.copy(NGRAM / file, tmp_path)
    prompt = ["The river in Rome is the", "-c", " Tiber", "-c", " Seine"]
    chosen = json.loads(environment("autocog", "choose", *prompt, "--json", cwd=tmp_path))
    assert chosen["choice"] == " Tiber"
    assert sum(score["prob"] for score in chosen["scores"]) == pytest.approx(1)
    completion = json.loads(
        environment("autocog", "complete", "The river in Cairo", "--json", cwd=tmp_path)
    )
    assert (completion["text"], completion["finish_reason"]) == (" is the Nile.", "eos")
    _check_laws(environment, tmp_path, "cities")


def test_the_plugins_tests_pass(environment: Environment, tmp_path: Path) -> None:
    # Without its source, so that the tests use the wheel.
    shutil.copytree(NGRAM / "tests", tmp_path / "tests")
    shutil.copy(NGRAM / "cities.txt", tmp_path)
    # Otherwise pytest reads the configuration of a checkout above this folder.
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    _check_tests_pass(environment, tmp_path)


def test_a_new_plugin_installs_passes_and_is_used(environment: Environment, tmp_path: Path) -> None:
    environment("autocog", "new-plugin", "demo")
    package = environment.work_dir / "autocog-demo"
    # The wheel contains the whole template, even files whose names begin with a dot.
    for path in write_package(PluginName.parse("demo"), tmp_path / "of-the-checkout"):
        assert (package / path).read_bytes() == (tmp_path / "of-the-checkout" / path).read_bytes()
    environment("pip", "install", "-q", "-e", ".[test]", cwd=package)
    try:
        _check_tests_pass(environment, package)
        prompt = ["Is water wet?", "-c", " Yes", "-c", " No", "--backend", "demo", "--json"]
        assert len(json.loads(environment("autocog", "choose", *prompt))["scores"]) == 2
        (package / "autocog.toml").write_text('[models.toy]\nbackend = "demo"\n', encoding="utf-8")
        _check_laws(environment, package, "toy")
    finally:
        environment("pip", "uninstall", "-q", "-y", "autocog-demo")


def _check_tests_pass(environment: Environment, folder: Path) -> None:
    output = environment("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
    last = output.strip().splitlines()[-1]
    assert "passed" in last, output
    assert "failed" not in last, output


def _check_laws(environment: Environment, folder: Path, model: str) -> None:
    report = json.loads(environment("autocog", "conformance", model, "--json", cwd=folder))
    assert report["conforms"], [law for law in report["laws"] if law["status"] == "broken"]
    assert sum(law["status"] == "holds" for law in report["laws"]) > 30
