"""Commands of a user who may read and write little: what he cannot look at is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import child_environment

#: Changes the folder, the user and the environment, then runs command lines in this process.
CHILD = """
import json, os, shutil, sys
from dataclasses import asdict
from pathlib import Path
from typer.testing import CliRunner
from autocog_core import load
from autocog_core.cli.main import app
from autocog_core.config.cache_folder import file_hash
from autocog_core.config.config_file import Config
from autocog_core.doctor.config_report import examine_config
from autocog_core.doctor.environment import examine_environment
from autocog_core.wrappers import record, replay, trace

config = Path(sys.argv[1])
# Once as this user: another one may not be able to import what is needed.
warm = ["choose", "x", "-c", "a", "-c", "b", "--json", "--backend", "random"]
CliRunner().invoke(app, warm)
CliRunner().invoke(app, ["models"])
load(config=config).close()
examine_environment(Config())
os.environ.pop("AUTOCOG_CACHE", None)

def visit(setup):
    os.chdir(setup["folder"])
    if setup["removes_folder"]:
        shutil.rmtree(setup["folder"])
    if setup["user"]:
        os.setgroups([])
        os.setgid(setup["user"])
        os.setuid(setup["user"])
    for name, value in setup["variables"].items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    results = []
    for arguments in setup["commands"]:
        result = CliRunner().invoke(app, arguments)
        results.append([result.exit_code, result.stdout, result.stderr])
    environment = asdict(examine_environment(Config()))
    print(json.dumps([results, file_hash(config), environment, examine_config(None)[0].path]))

# A process each: nobody becomes root again.
for setup in json.loads(sys.argv[2]):
    child = os.fork()
    if not child:
        try:
            visit(setup)
        except BaseException as error:
            print(json.dumps(repr(error)))
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""
CHOOSE = ["choose", "It is", "-c", " a", "-c", " b", "--json"]
RANDOM = [*CHOOSE, "--backend", "random"]
NOBODY = 65534

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
only_root = pytest.mark.skipif(
    getattr(os, "getuid", lambda: 1)() != 0, reason="only root can become another user"
)

Result = tuple[int, str, str]


@dataclass
class Seen:
    """What the user sees: the results of the commands, the report on his machine."""

    results: list[Result]
    hash: str
    environment: dict[str, Any]
    config_file: str | None


@dataclass
class Place:
    """Folders and files of the visits."""

    root: Path
    home: Path
    config: Path
    traced: Path
    writable: Path
    removed: Path


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    # Not a folder of pytest: each of its runs takes the rights of other users away.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        yield make_place(root)


def make_place(root: Path) -> Place:
    home = root / "home"
    (home / "project").mkdir(parents=True)
    (home / "autocog.toml").write_text("this is no TOML")
    (home / "recording.jsonl").write_text("")
    home.chmod(0o700)
    config, traced = root / "cached.toml", root / "traced.toml"
    for file, wrapper in ((config, "cache"), (traced, "trace")):
        file.write_text(f'[models.m]\nbackend = "random"\nwrappers = ["{wrapper}"]\n')
    writable, removed = root / "writable", root / "removed"
    writable.mkdir()
    writable.chmod(0o777)
    removed.mkdir()
    return Place(root, home, config, traced, writable, removed)


NO_FOLDERS = {"AUTOCOG_CONFIG": None, "XDG_CONFIG_HOME": None, "XDG_CACHE_HOME": None}


@pytest.fixture(scope="module")
def visits(place: Place) -> list[Any]:
    """What is seen: by nobody, in a home of somebody else; without a home; in a removed folder."""
    is_root = os.getuid() == 0
    cached = [*CHOOSE, "--config", str(place.config)]
    recorded = ["--backend", "replay", "--option"]
    setups = [
        {
            "folder": str(place.home / "project"),
            "user": NOBODY if is_root else 0,
            "removes_folder": False,
            "variables": {**NO_FOLDERS, "HOME": str(place.home)},
            "commands": [
                *(["models"], RANDOM, cached),
                [*CHOOSE, *recorded, f"path={place.home}/recording.jsonl"],
                ["models", "--config", f"{place.home}/autocog.toml"],
            ],
        },
        {
            "folder": str(place.writable),
            # A user whom the system does not know.
            "user": 54321 if is_root else 0,
            "removes_folder": False,
            "variables": {**NO_FOLDERS, "HOME": None},
            "commands": [["models"], RANDOM, cached, ["models", "--config", "~/x.toml"]],
        },
        {
            "folder": str(place.removed),
            "user": 0,
            "removes_folder": True,
            "variables": {**NO_FOLDERS, "AUTOCOG_CACHE": str(place.root / "cache")},
            "commands": [
                *(["models"], RANDOM, cached),
                ["models", "--config", "autocog.toml"],
                [*CHOOSE, "--config", str(place.traced)],
                [*CHOOSE, *recorded, "path=x.jsonl"],
            ],
        },
    ]
    process = subprocess.run(
        [sys.executable, "-c", CHILD, str(place.config), json.dumps(setups)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=child_environment(AUTOCOG_CACHE=str(place.root / "unused")),
    )
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines()]


def seen(visit: Any) -> Seen:
    assert isinstance(visit, list), visit
    results, *others = visit
    return Seen([tuple(result) for result in results], *others)


def check_scores(result: Result) -> str:
    """The command has scored the choices; return its messages."""
    code, out, messages = result
    assert code == 0, messages
    scores: dict[str, Any] = json.loads(out)
    assert scores["exact"]
    return messages


@only_root
def test_a_home_that_cannot_be_looked_at(visits: list[Any], place: Place) -> None:
    visit = seen(visits[0])
    models, chosen, cached, replayed, listed = visit.results
    assert models[0] == 0
    assert models[2].startswith("warning: there is no config file")
    assert check_scores(chosen) == ""
    warning = check_scores(cached)
    assert warning.count("warning: ") == 1
    assert "answers.sqlite" in warning
    assert "Permission denied" in warning
    assert replayed[0] == listed[0] == 2
    assert "recording.jsonl: cannot be read: Permission denied" in replayed[2]
    assert "no such file" in listed[2]
    assert visit.environment["cache_folder"].startswith(str(place.home))
    assert not visit.environment["is_cache_writable"]
    assert visit.config_file is None
    assert len(visit.hash) == 64


@only_root
def test_no_home_at_all(visits: list[Any], place: Place) -> None:
    visit = seen(visits[1])
    models, chosen, cached, home = visit.results
    assert models[0] == 0
    check_scores(chosen)
    assert cached[0] == 2
    assert "the home folder is not known; set HOME, or AUTOCOG_CACHE to a folder" in cached[2]
    assert "the home folder is not known" in home[2]
    assert visit.environment["cache_folder"] is None
    assert len(visit.hash) == 64
    assert list(place.writable.iterdir()) == [], "no folder called ~"


def test_a_removed_folder(visits: list[Any]) -> None:
    visit = seen(visits[2])
    models, chosen, cached, missing, traced, replayed = visit.results
    assert models[0] == 0
    check_scores(chosen)
    assert check_scores(cached) == ""
    assert missing[0] == 2
    assert "no such file: autocog.toml" in missing[2]
    assert traced[0] == 2
    assert "trace.jsonl: cannot be written: No such file" in traced[2]
    assert replayed[0] == 2
    assert "x.jsonl: cannot be read: No such file" in replayed[2]
    assert visit.environment["is_cache_writable"]
