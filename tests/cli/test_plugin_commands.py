"""Commands of plugins: listed without an import, loaded on first use."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from autocog_core.cli import progress
from autocog_core.cli.plugin_commands import load_command
from autocog_core.cli.session import session
from autocog_core.config import plugins
from autocog_core.config.plugins import COMMANDS
from autocog_core.errors import PluginConflictError, PluginNotInstalledError
from tests.cli.conftest import Run
from tests.support.small_backends import forget, install

GOOD = """
    import typer
    from autocog_core import InputError
    from autocog_core.cli import AsJson, Debug, Quiet, facts_table, info, show, show_json, warn

    app = typer.Typer()

    @app.callback()
    def weather() -> None:
        "Tell the weather."

    @app.command()
    def tell(
        place: str, as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False
    ) -> None:
        "Tell the weather of a place."
        if place == "nowhere":
            raise InputError("there is no such place", where="PLACE", hint="try somewhere")
        if place == "bug":
            raise KeyError(place)
        if place == "stop":
            raise KeyboardInterrupt
        info("looking")
        warn("it may rain")
        if as_json:
            show_json({"place": place})
        else:
            show(facts_table([("place", place)]))
"""
LONE = """
    import typer

    app = typer.Typer(no_args_is_help=True)

    @app.command()
    def only() -> None:
        print("only")
"""
MODULES = {
    "good_commands": GOOD,
    "lone_commands": LONE,
    "broken_commands": "raise RuntimeError('half written')",
    "needy_commands": "import a_module_that_is_not_there",
    "torn_commands": "import torn_commands.inside",
    "other_commands": "app = print",
    "empty_commands": "import typer; app = typer.Typer()",
    "wrong_commands": """
        import typer

        app = typer.Typer()

        @app.command(cls=print)
        def tell(place: str) -> None:
            pass
    """,
}
Put = Callable[..., None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Put]:
    """Install commands: name -> module, each in a separate distribution."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def put(suffix: str = "", **commands: str) -> None:
        for name, module in commands.items():
            points = {COMMANDS: {name: f"{module}:app"}}
            install(site, f"autocog-{name}{suffix}", points, {module: MODULES[module]})

    yield put
    forget(*MODULES)


def test_help_lists_plugin_commands_and_imports_none(put: Put, run: Run) -> None:
    put(weather="good_commands", broken="broken_commands", needy="needy_commands")
    lines = run("--help").stdout.splitlines()
    listed = [line.split(maxsplit=1) for line in lines[lines.index("Commands:") + 1 :]]
    help_texts = dict(listed)
    assert help_texts["weather"] == "From autocog-weather."
    assert help_texts["broken"] == "From autocog-broken."
    names = [name for name, _ in listed]
    assert names.index("choose") < names.index("broken") < names.index("weather")
    assert not set(MODULES) & set(sys.modules)


def test_a_command_of_core_imports_no_plugin_and_works_beside_broken_ones(
    put: Put, run: Run
) -> None:
    put(weather="good_commands", broken="broken_commands", needy="needy_commands")
    assert run("greedy", "It is").exit_code == 0
    assert not set(MODULES) & set(sys.modules)


def test_a_plugin_command_prints_results_to_stdout_and_notes_to_stderr(put: Put, run: Run) -> None:
    put(weather="good_commands", broken="broken_commands")
    result = run("weather", "tell", "Oslo")
    assert (result.exit_code, result.stdout.split()) == (0, ["place", "Oslo"])
    assert result.stderr == "looking\nwarning: it may rain\n"
    assert json.loads(run("weather", "tell", "Oslo", "--json").stdout) == {"place": "Oslo"}
    assert "broken_commands" not in sys.modules


def test_quiet_counts_wherever_it_stands(put: Put, run: Run) -> None:
    put(weather="good_commands")
    for arguments in (["-q", "weather", "tell", "Oslo"], ["weather", "tell", "Oslo", "--quiet"]):
        assert run(*arguments).stderr == "warning: it may rain\n"


def test_the_help_of_a_plugin_looks_like_that_of_core(put: Put, run: Run) -> None:
    put(weather="good_commands")
    result = run("weather", "-h")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: autocog weather [OPTIONS] COMMAND [ARGS]...\n")
    assert "Tell the weather." in result.stdout
    assert "completion" not in result.stdout
    result = run("weather", "tell", "--help")
    assert result.stdout.startswith("Usage: autocog weather tell [OPTIONS] ")
    assert "--json" in result.stdout


def test_an_app_with_one_command_is_a_group_too(put: Put, run: Run) -> None:
    put(lone="lone_commands")
    assert run("lone", "only").stdout == "only\n"


def test_no_arguments_show_the_help_of_an_app_with_no_args_is_help(put: Put, run: Run) -> None:
    put(lone="lone_commands")
    result = run("lone")
    assert "Usage: autocog lone" in result.stdout
    assert result.stderr == ""


def test_a_mistake_in_a_plugins_command_is_one_message(
    put: Put, wrong: Callable[..., str], run: Run
) -> None:
    put(weather="good_commands")
    assert wrong("weather", "tell", "nowhere") == (
        "error: PLACE: there is no such place; try somewhere"
    )
    assert "`autocog weather --help`" in wrong("weather", "tel")
    assert "`autocog weather tell --help`" in wrong("weather", "tell")
    assert "`autocog weather --help`" in wrong("weather")


@pytest.mark.parametrize("before", [True, False])
def test_a_bug_in_a_plugins_command_is_the_plugins(put: Put, run: Run, before: bool) -> None:
    put(weather="good_commands")
    result = run("weather", "tell", "bug")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error: command \"weather\" (autocog-weather 1.0) raised KeyError: 'bug'; "
        "report this to the plugin's authors; run with --debug"
    )
    arguments = ["weather", "tell", "bug"]
    result = run(*(["--debug", *arguments] if before else [*arguments, "--debug"]))
    assert "Traceback" in result.stderr


def test_an_interrupted_plugin_command_has_exit_code_130(put: Put, run: Run) -> None:
    put(weather="good_commands")
    assert run("weather", "tell", "stop").exit_code == 130


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("broken_commands", "fails at import: RuntimeError: half written"),
        ("torn_commands", "its module cannot be imported"),
        ("needy_commands", '"a_module_that_is_not_there" that it needs is not installed'),
        ("other_commands", "other_commands:app is not a typer.Typer"),
        ("empty_commands", "empty_commands:app has no commands"),
        ("wrong_commands", "typer cannot make a command of wrong_commands:app"),
    ],
)
@pytest.mark.parametrize("rest", [[], ["--help"], ["tell", "Oslo"]], ids=str)
def test_a_plugin_that_cannot_be_loaded_is_one_message_when_it_is_used(
    put: Put, wrong: Callable[..., str], run: Run, module: str, expected: str, rest: list[str]
) -> None:
    put(bad=module, weather="good_commands")
    message = wrong("bad", *rest)
    assert message.startswith('error: command "bad" (autocog-bad 1.0): ')
    assert expected in message
    assert run("weather", "tell", "Oslo").exit_code == 0


def test_commands_of_core_hide_plugin_commands_of_the_same_name(put: Put, run: Run) -> None:
    put(choose="broken_commands", greedy="good_commands")
    assert run("choose", "It is", "-c", " a").exit_code == 0
    assert run("greedy", "It is").exit_code == 0
    output = run("--help").stdout
    assert "autocog-choose" not in output
    assert output.count("\n  choose ") == 1


def test_a_command_of_two_distributions_is_an_error_that_names_both(
    put: Put, run: Run, wrong: Callable[..., str]
) -> None:
    put(weather="good_commands", lone="lone_commands")
    put(weather="good_commands", suffix="-fork")
    output = run("--help").stdout
    assert "weather From autocog-weather and from autocog-weather-fork." in " ".join(output.split())
    message = wrong("weather", "tell", "Oslo")
    assert "autocog-weather 1.0 and autocog-weather-fork 1.0 both provide it" in message
    with pytest.raises(PluginConflictError):
        load_command("weather")
    assert run("lone", "only").exit_code == 0


def test_a_disabled_command_is_not_listed_and_says_so_when_used(
    put: Put, run: Run, wrong: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(weather="good_commands", lone="lone_commands")
    monkeypatch.setenv("AUTOCOG_DISABLE_PLUGINS", "weather, choose")
    assert "weather" not in run("--help").stdout
    message = wrong("weather", "tell", "Oslo")
    assert message == (
        'error: command "weather": it is disabled by AUTOCOG_DISABLE_PLUGINS; '
        "remove it from AUTOCOG_DISABLE_PLUGINS"
    )
    assert "good_commands" not in sys.modules
    assert run("lone", "only").exit_code == 0
    assert run("choose", "It is", "-c", " a").exit_code == 0


def test_a_command_of_this_project_that_is_not_installed_gets_its_pip_command(
    wrong: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autocog_core.config.plugins.installed_plugins", lambda group: [])
    assert wrong("gguf", "info", "x.gguf") == (
        'error: command "gguf": no installed distribution provides it; pip install autocog-llamacpp'
    )
    with pytest.raises(PluginNotInstalledError):
        load_command("gguf")


def test_a_misspelled_command_gets_the_nearest_name_of_core_and_plugins(
    put: Put, wrong: Callable[..., str]
) -> None:
    put(weather="good_commands", broken="broken_commands")
    assert "'weather'" in wrong("wether")
    assert "'choose'" in wrong("chose")
    assert "broken_commands" not in sys.modules


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_is_shown_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch, quiet: bool) -> None:
    shown: io.StringIO = Terminal()
    monkeypatch.setattr(session, "quiet", quiet)
    monkeypatch.setattr(session, "_console", Console(file=shown, force_terminal=True, width=90))
    with progress("working") as report:
        report(1, 3, "first [red]")
        report(2, 3, "second \x1b[2J")
    assert ("working" in shown.getvalue()) is not quiet
    assert ("2/3" in shown.getvalue()) is not quiet
    assert (r"second \x1b[2J" in shown.getvalue()) is not quiet
    shown = io.StringIO()
    # As FORCE_COLOR makes it.
    monkeypatch.setattr(session, "_console", Console(file=shown, force_terminal=True))
    with progress("working") as report:
        report(1, 3, "first")
    assert shown.getvalue() == ""


def test_commands_are_not_listed_as_backends(put: Put) -> None:
    put(weather="good_commands")
    assert "weather" not in {plugin.name for plugin in plugins.installed_plugins()}
    assert "weather" in {plugin.name for plugin in plugins.installed_plugins(COMMANDS)}


def test_the_installed_program_finds_a_plugin_command(put: Put, tmp_path: Path) -> None:
    put(weather="good_commands")
    code = (
        "import sys; sys.path.insert(0, 'site')\n"
        "from autocog_core.cli.main import main\n"
        "sys.argv = ['autocog', 'weather', 'tell', 'Oslo', '--json', '-q']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, '{"place": "Oslo"}\n')
    assert done.stderr == "warning: it may rain\n"
