"""`autocog new-plugin --kind`: each kind is a small package that works as it is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from autocog_core.config.plugins import KINDS
from autocog_core.scaffold import PLUGIN_KINDS
from autocog_core.version import __version__
from tests.cli.conftest import Run
from tests.support.processes import child_environment
from tests.support.small_backends import install


def run_tool(folder: Path, *command: str, site: Path | None = None) -> None:
    """Run a module of Python in a package, which must succeed."""
    if find_spec(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    environment = child_environment()
    if site is not None:
        paths = [str(site), str(folder / "src"), *filter(None, sys.path)]
        environment["PYTHONPATH"] = ":".join(paths)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", PLUGIN_KINDS)
def test_each_kind_is_written_without_errors_of_form(run: Run, folder: Path, kind: str) -> None:
    # The longest name has the longest lines.
    name = "a" * 40
    done = run("new-plugin", name, "made", "--kind", kind)
    assert done.exit_code == 0, done.output
    made, expected = folder / "made", PLUGIN_KINDS[kind]
    for path in made.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "<%" not in text, path
            if path.suffix == ".py":
                compile(text, str(path), "exec")
    assert (made / "src" / f"autocog_{name}" / expected.file).is_file()
    assert f"src/autocog_{name}/{expected.file}" in done.stderr
    project = tomllib.loads((made / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert list(project["entry-points"]) == [expected.group]
    assert set(project["urls"]) == {"Documentation", "Source"}
    assert expected.what in (KINDS[expected.group], "command")
    for arguments in (["check", "."], ["format", "--check", "."]):
        run_tool(made, "ruff", *arguments)


def test_the_workflows_test_both_ends_of_core_and_publish_without_a_password(
    run: Run, folder: Path
) -> None:
    assert run("new-plugin", "demo", "made").exit_code == 0
    workflows = folder / "made" / ".github" / "workflows"
    tests, publish = (
        yaml.safe_load((workflows / f"{name}.yml").read_text(encoding="utf-8"))
        for name in ("tests", "publish")
    )
    major, minor = map(int, __version__.split(".")[:2])
    lowest = f"{major}.{minor}.0"
    assert tests["jobs"]["tests"]["strategy"]["matrix"]["core"] == [
        f"autocog-core=={lowest}",
        f"autocog-core>={lowest},<{major}.{minor + 1}",
    ]
    job = publish["jobs"]["publish"]
    assert job["permissions"] == {"id-token": "write"}
    assert not [step for step in job["steps"] if "password" in str(step)]


# The laws take seconds for each kind; `test_new_plugin.py` always checks those of an engine.
@pytest.mark.soak
@pytest.mark.parametrize("kind", PLUGIN_KINDS)
def test_the_tests_of_a_package_pass(run: Run, folder: Path, kind: str) -> None:
    assert run("new-plugin", "my-demo", "made", "--kind", kind).exit_code == 0
    made = folder / "made"
    project = tomllib.loads((made / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install(folder / "site", project["name"], project["entry-points"], {})
    run_tool(made, "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", site=folder / "site")


@pytest.mark.packaging
@pytest.mark.parametrize("kind", PLUGIN_KINDS)
def test_mypy_finds_no_errors_in_any_kind(run: Run, folder: Path, kind: str) -> None:
    assert run("new-plugin", "my-demo", "made", "--kind", kind).exit_code == 0
    run_tool(folder / "made", "mypy", "src", "tests")


def test_a_wrong_kind_or_the_name_of_a_command_is_one_message(
    wrong: Callable[..., str], folder: Path
) -> None:
    before = sorted(folder.iterdir())
    assert 'did you mean "rows"?' in wrong("new-plugin", "demo", "--kind", "row")
    assert 'autocog has a command "show"' in wrong("new-plugin", "show", "--kind", "runner")
    assert "autocog itself uses" in wrong("new-plugin", "trace", "--kind", "wrapper")
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "kind", "taken"),
    [
        ("counter", "wrapper", "Counter"),
        ("none", "wrapper", "None"),
        ("wrapper", "wrapper", "Wrapper"),
        ("app", "runner", "app"),
        ("vote", "runner", "vote"),
        ("list", "runner", "list"),
        ("facts-table", "runner", "facts_table"),
        ("tokenizer", "rows", "TokenizerLM"),
        ("choice", "engine", "ChoiceLM"),
        ("backend", "choose-only", "BackendOptions"),
    ],
)
def test_a_name_that_the_code_of_the_package_uses_is_refused(
    wrong: Callable[..., str], run: Run, folder: Path, name: str, kind: str, taken: str
) -> None:
    message = wrong("new-plugin", name, "made", "--kind", kind)
    assert f'uses the name "{taken}" for something else' in message
    assert f"try my-{name}" in message
    assert not (folder / "made").exists()
    assert run("new-plugin", f"my-{name}", "made", "--kind", kind).exit_code == 0
