"""`autocog doctor`: it explains what is broken, and shows no secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autocog_core import __version__
from autocog_core.config import plugins
from tests.cli.conftest import Run
from tests.support.small_backends import install

#: Each plugin and each model is checked in a separate process.
pytestmark = pytest.mark.slow

GOOD = """
    from autocog_core.backends.random import RandomLM

    class GoodLM(RandomLM):
        pass
"""
MISSPELT = """
    from autocog_core import hookimpl

    class GoodLM:
        contract = 1
        Options = dict
        create = dict

        @hookimpl
        def gready_impl(self, tokens):
            pass
"""
BROKEN = {
    "broken": "raise RuntimeError('half written')",
    "needy": "import a_module_that_is_not_there",
    "misspelt": MISSPELT,
    "older": GOOD + "    GoodLM.contract = 0",
}
TAKER = "taken_module"
CONFIG = """
[models.fine]
backend = "good"
options = { seed = "env:SOME_VARIABLE" }
"""
COMMAND = [sys.executable, "-c", "from autocog_core.cli.main import main; main()"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed plugins: a good one, and five with different errors."""
    site = tmp_path_factory.mktemp("site")
    for name, source in {"good": GOOD, **BROKEN}.items():
        points = {plugins.BACKENDS: {name: f"{name}_module:GoodLM"}}
        install(site, f"autocog-{name}", points, {f"{name}_module": source}, "2.5")
    points = {plugins.BACKENDS: {"random": f"{TAKER}:GoodLM"}}
    install(site, "autocog-taker", points, {TAKER: GOOD})
    return site


def all_but_random() -> str:
    """The names of all installed plugins except `random`, for `AUTOCOG_DISABLE_PLUGINS`."""
    installed = [plugin for group in plugins.KINDS for plugin in plugins.installed_plugins(group)]
    return ",".join(sorted({plugin.name for plugin in installed} - {"random"}))


def module_path(site: Path) -> str:
    """`PYTHONPATH` with a folder of plugins before the folders that are there already."""
    return os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))


def doctor(
    site: Path, folder: Path, config: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the installed command, with `site` installed and nothing else but core's `random`."""
    (folder / "autocog.toml").write_text(config, encoding="utf-8")
    settings = {
        "PYTHONPATH": module_path(site),
        "AUTOCOG_DISABLE_PLUGINS": all_but_random(),
        "COLUMNS": "80",
        **variables,
    }
    inherited = {key: value for key, value in os.environ.items() if key != "AUTOCOG_CONFIG"}
    return subprocess.run(
        [*COMMAND, "doctor"],
        cwd=folder,
        env={**inherited, **settings},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def seen(site: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of `autocog doctor` for all of them, with a config that names the good one."""
    folder = tmp_path_factory.mktemp("seen")
    variables = {"SOME_VARIABLE": "7", "AUTOCOG_KEY": "secret-words", "AUTOCOG_X": "x secret-words"}
    done = doctor(site, folder, CONFIG, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def item(text: str, title: str) -> str:
    """The lines about one plugin or model, as one line."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if f" {title}: " in line)
    end = first + 1
    while lines[end].startswith("      "):
        end += 1
    return " ".join(" ".join(lines[first:end]).split())


@pytest.mark.parametrize(
    ("title", "words"),
    [
        (
            "backend broken",
            "error backend broken: autocog-broken 2.5 fails at import: RuntimeError: half written "
            "fix: pip install --upgrade --force-reinstall autocog-broken",
        ),
        (
            "backend needy",
            "error backend needy: autocog-needy 2.5 the module "
            '"a_module_that_is_not_there" that it needs is not installed '
            "fix: pip install autocog-needy (installs its dependencies, too)",
        ),
        ("backend misspelt", 'no hook is called "gready_impl" fix: did you mean "greedy_impl"?'),
        (
            "backend older",
            "it was written for contract 0, but this core supports 1 "
            "fix: pip install --upgrade autocog-older",
        ),
        (
            "backend random",
            f"autocog-core {__version__} and autocog-taker 1.0 both provide it "
            "fix: pip uninstall autocog-taker (or the other one)",
        ),
    ],
)
def test_each_broken_plugin_is_explained_with_its_fix(seen: str, title: str, words: str) -> None:
    assert item(seen, title).startswith("error ")
    assert words in item(seen, title)


def test_a_name_conflict_is_reported_for_both_distributions(seen: str) -> None:
    lines = [line for line in seen.splitlines() if line.startswith("error backend random: ")]
    assert [line.split()[3] for line in lines] == ["autocog-core", "autocog-taker"]


def test_the_good_plugin_works_and_its_model_loads(seen: str) -> None:
    plugin, model = item(seen, "backend good"), item(seen, "fine (default)")
    assert plugin.startswith("ok backend good: autocog-good 2.5, contract 1, import ")
    assert "hooks: chat_prompt, describe, detokenize, greedy_impl" in plugin
    assert model.startswith("ok fine (default): backend good, loaded in ")
    assert " resident engine random over bytes vocabulary 259 tokens" in model
    assert (
        seen.splitlines()[-1]
        == "everything configured works; no configured model uses the plugins with errors"
    )


def test_a_file_gets_plain_text_of_80_columns(seen: str) -> None:
    assert all(len(line) <= 80 for line in seen.splitlines())
    assert "\x1b" not in seen


def test_variables_are_shown_and_keys_only_as_set(seen: str) -> None:
    lines = [line.split() for line in seen.splitlines()]
    assert ["AUTOCOG_KEY", "set"] in lines
    assert ["AUTOCOG_X", "x", "***"] in lines
    assert ["SOME_VARIABLE", "set"] in lines
    assert "secret-words" not in seen


def test_using_the_good_plugin_imports_no_broken_one(site: Path, tmp_path: Path) -> None:
    (tmp_path / "autocog.toml").write_text(CONFIG, encoding="utf-8")
    code = (
        "import sys, autocog_core\n"
        "with autocog_core.load('fine') as model:\n"
        "    assert model.choose('x', [' a', ' b']).scores\n"
        f"broken = {{f'{{name}}_module' for name in {list(BROKEN)!r}}} | {{{TAKER!r}}}\n"
        "assert 'good_module' in sys.modules\n"
        "sys.exit(f'imported: {broken & set(sys.modules)}' if broken & set(sys.modules) else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": module_path(site),
            "SOME_VARIABLE": "7",
            "AUTOCOG_CONFIG": "",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the doctor in this process, with `random` alone installed."""
    monkeypatch.setenv("AUTOCOG_DISABLE_PLUGINS", all_but_random())
    monkeypatch.setattr("autocog_core.redaction._known_secrets", set())
    return run


def test_a_broken_plugin_that_the_config_names_is_exit_code_1(
    alone: Run, site: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(site)
    monkeypatch.delenv("SOME_VARIABLE", raising=False)
    (folder / "autocog.toml").write_text(CONFIG + '\n[models.bad]\nbackend = "needy"\n')
    result = alone("doctor", "bad", "--json")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert data["schema"] == 1
    # MODEL alone: neither the other model nor plugins that it does not name.
    assert [plugin["name"] for plugin in data["plugins"]] == ["needy"]
    (model,) = data["models"]
    assert (data["works"], model["name"], model["state"]) == (False, "bad", "error")
    assert "a_module_that_is_not_there" in model["problem"]["message"]
    assert model["problem"]["fix"].startswith("pip install autocog-needy")
    assert data["config"]["path"] == str(folder / "autocog.toml")
    assert data["environment"]["secrets"] == {"SOME_VARIABLE": False}
    assert "needy_module" not in sys.modules


def test_options_are_checked_without_loading(alone: Run, folder: Path) -> None:
    (folder / "autocog.toml").write_text(
        '[models.right]\nbackend = "random"\n'
        '[models.wrong]\nbackend = "random"\noptions = { sead = 1 }\n'
    )
    result = alone("doctor", "--no-load", "--json")
    assert result.exit_code == 1
    right, wrong = json.loads(result.stdout)["models"]
    assert (right["state"], right["load_seconds"], right["facts"]) == ("skipped", None, {})
    assert wrong["problem"]["message"] == (
        'models.wrong.options.sead: unknown key; did you mean "seed"?'
    )


def test_a_config_file_that_cannot_be_read_is_exit_code_1(
    alone: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOCOG_DISABLE_PLUGINS", os.environ["AUTOCOG_DISABLE_PLUGINS"] + ",random")
    (folder / "autocog.toml").write_text("[models\n")
    result = alone("doctor")
    assert result.exit_code == 1
    assert "is not valid TOML" in result.stdout
    assert result.stdout.splitlines()[-1] == "the config file has errors"
    monkeypatch.setenv("AUTOCOG_CONFIG", str(folder / "nowhere.toml"))
    result = alone("doctor")
    assert result.exit_code == 1
    assert "nowhere.toml (does not exist)" in " ".join(result.stdout.split())


def test_a_missing_config_file_is_not_an_error(
    alone: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOCOG_DISABLE_PLUGINS", os.environ["AUTOCOG_DISABLE_PLUGINS"] + ",random")
    (folder / "autocog.toml").unlink()
    result = alone("doctor")
    assert result.exit_code == 0
    assert "create autocog.toml" in result.stdout


def test_metadata_that_block_all_plugins_are_explained(
    alone: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(folder, "some-other-thing", {"elsewhere": {"odd": "odd:X"}}, {})
    damaged = folder / "some_other_thing-1.0.dist-info" / "entry_points.txt"
    damaged.write_text("[elsewhere]\nodd\n")
    monkeypatch.syspath_prepend(folder)
    result = alone("doctor", "noise")
    assert result.exit_code == 1
    text = " ".join(result.stdout.split())
    # Long paths are broken at 80 columns.
    assert f"fix:delete{damaged.parent}," in text.replace(" ", "")
    assert "programs that look for plugins do not start" in text


def test_wrong_names_are_usage_errors(wrong: Callable[..., str]) -> None:
    assert 'did you mean "known"?' in wrong("doctor", "knwn")
    assert "no such file" in wrong("doctor", "--config", "nowhere.toml")
    for timeout in ("0", "nan", "inf", "-inf", "soon"):
        assert "'--timeout'" in wrong("doctor", f"--timeout={timeout}")
