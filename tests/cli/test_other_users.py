"""Commands of a user who may read and write little: what he cannot look at is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
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
from autocog_core import load, read_config
from autocog_core.cli.main import app
from autocog_core.config.cache_folder import file_hash
from autocog_core.config.config_file import Config
from autocog_core.doctor.config_report import examine_config
from autocog_core.doctor.environment import examine_environment
from autocog_core.wrappers import record, replay, trace

setup = json.loads(sys.argv[1])
os.chdir(setup["folder"])
# Once as this user: another one may not be able to import what is needed.
warm = ["choose", "x", "-c", "a", "-c", "b", "--json", "--backend", "random"]
CliRunner().invoke(app, warm)
CliRunner().invoke(app, ["models"])
Path(setup["config"]).write_text('[models.m]\\nbackend = "random"\\nwrappers = ["cache"]')
load(config=setup["config"]).close()
examine_environment(Config())
if setup["removes_folder"]:
    shutil.rmtree(setup["folder"])
os.environ.pop("AUTOCOG_CACHE", None)
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
config_file = examine_config(None)[0].path
print(json.dumps([results, file_hash(Path(setup["config"])), environment, config_file]))
"""
CHOOSE = ["choose", "It is", "-c", " a", "-c", " b", "--json"]
RANDOM = [*CHOOSE, "--backend", "random"]
NOBODY = 65534

Result = tuple[int, str, str]


@dataclass
class Seen:
    """What the user sees: the results of the commands, the report on his machine."""

    results: list[Result]
    hash: str
    environment: dict[str, Any]
    config_file: str | None


Commands = Callable[..., Seen]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config file with a model that uses the cache; everybody can read it."""
    return tmp_path / "cached.toml"


@pytest.fixture
def run_as(tmp_path: Path, config: Path) -> Commands:
    """Run command lines as another user, or in a folder that is gone."""
    # pytest gives its folders to this user only.
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)

    def run_as(
        folder: Path,
        *commands: list[str],
        user: int = NOBODY,
        removes_folder: bool = False,
        **variables: str | None,
    ) -> Seen:
        setup = {
            "folder": str(folder),
            "user": user,
            "config": str(config),
            "commands": commands,
            "removes_folder": removes_folder,
            "variables": {"AUTOCOG_CONFIG": None, **variables},
        }
        process = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps(setup)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=child_environment(AUTOCOG_CACHE=str(tmp_path / "unused")),
        )
        assert process.returncode == 0, process.stderr
        results, *others = json.loads(process.stdout)
        return Seen([tuple(result) for result in results], *others)

    return run_as


only_root = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user"
)


def check_scores(result: Result) -> str:
    """The command has scored the choices; return its messages."""
    code, out, messages = result
    assert code == 0, messages
    scores: dict[str, Any] = json.loads(out)
    assert scores["exact"]
    return messages


@only_root
def test_a_home_that_cannot_be_looked_at(run_as: Commands, tmp_path: Path, config: Path) -> None:
    home = tmp_path / "home"
    project = home / "project"
    project.mkdir(parents=True)
    (home / "autocog.toml").write_text("this is no TOML")
    (home / "recording.jsonl").write_text("")
    home.chmod(0o700)
    seen = run_as(
        project,
        ["models"],
        RANDOM,
        [*CHOOSE, "--config", str(config)],
        [*CHOOSE, "--backend", "replay", "--option", f"path={home}/recording.jsonl"],
        ["models", "--config", f"{home}/autocog.toml"],
        HOME=str(home),
        XDG_CONFIG_HOME=None,
        XDG_CACHE_HOME=None,
    )
    models, chosen, cached, replayed, listed = seen.results
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
    assert seen.environment["cache_folder"].startswith(str(home))
    assert not seen.environment["is_cache_writable"]
    assert seen.config_file is None
    assert len(seen.hash) == 64


@only_root
def test_no_home_at_all(run_as: Commands, tmp_path: Path, config: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o777)
    seen = run_as(
        folder,
        ["models"],
        RANDOM,
        [*CHOOSE, "--config", str(config)],
        ["models", "--config", "~/x.toml"],
        # A user whom the system does not know.
        user=54321,
        HOME=None,
        XDG_CONFIG_HOME=None,
        XDG_CACHE_HOME=None,
    )
    models, chosen, cached, home = seen.results
    assert models[0] == 0
    check_scores(chosen)
    assert cached[0] == 2
    assert "the home folder is not known; set HOME, or AUTOCOG_CACHE to a folder" in cached[2]
    assert "the home folder is not known" in home[2]
    assert seen.environment["cache_folder"] is None
    assert len(seen.hash) == 64
    assert list(folder.iterdir()) == [], "no folder called ~"


def test_a_removed_folder(run_as: Commands, tmp_path: Path, config: Path) -> None:
    folder = tmp_path / "removed"
    folder.mkdir()
    traced_config = tmp_path / "traced.toml"
    traced_config.write_text('[models.m]\nbackend = "random"\nwrappers = ["trace"]\n')
    seen = run_as(
        folder,
        ["models"],
        RANDOM,
        [*CHOOSE, "--config", str(config)],
        ["models", "--config", "autocog.toml"],
        [*CHOOSE, "--config", str(traced_config)],
        [*CHOOSE, "--backend", "replay", "--option", "path=x.jsonl"],
        user=0,
        removes_folder=True,
        AUTOCOG_CACHE=str(tmp_path / "cache"),
    )
    models, chosen, configured, missing, traced, replayed = seen.results
    assert models[0] == 0
    check_scores(chosen)
    assert check_scores(configured) == ""
    assert missing[0] == 2
    assert "no such file: autocog.toml" in missing[2]
    assert traced[0] == 2
    assert "trace.jsonl: cannot be written: No such file" in traced[2]
    assert replayed[0] == 2
    assert "x.jsonl: cannot be read: No such file" in replayed[2]
    assert seen.environment["is_cache_writable"]
