"""Groups of options: typer sees their fields, and the command gets the group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from autocog_core.cli.option_groups import expand_options
from autocog_core.cli.options import AsJson
from tests.cli.conftest import Run


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    city: Annotated[str | None, typer.Option("--city", help="Name of a city.")] = None
    depth: Annotated[int, typer.Option(help="Depth in meters.")] = 3


received: list[object] = []


def look(name: str, *, place: PlaceOptions, as_json: AsJson = False) -> None:
    """Look around."""
    received.append((name, place, as_json))


@pytest.fixture
def app() -> typer.Typer:
    received.clear()
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(expand_options(look))
    return app


def test_the_command_gets_its_group(app: typer.Typer) -> None:
    runner = CliRunner()
    line = ["here", "--city", "Rome", "--depth", "5", "--json", "-q", "--debug"]
    assert runner.invoke(app, line).exit_code == 0
    assert runner.invoke(app, ["there"]).exit_code == 0
    assert received == [
        ("here", PlaceOptions(city="Rome", depth=5), True),
        ("there", PlaceOptions(), False),
    ]


def test_help_lists_the_options_of_a_group_in_its_place(app: typer.Typer) -> None:
    text = CliRunner().invoke(app, ["--help"]).stdout
    assert "Look around." in text
    names = ["--city", "--depth", "--json", "--quiet", "--debug", "--help"]
    assert [text.index(name) for name in names] == sorted(text.index(name) for name in names)


def test_every_command_takes_quiet_and_debug(run: Run) -> None:
    lines = run("--help").stdout.partition("Commands:\n")[2].splitlines()
    commands = [line.split()[0] for line in lines if "From autocog-" not in line]
    assert len(commands) >= 12
    for command in commands:
        text = run(command, "--help").stdout
        assert text.count("--quiet") == 1, command
        assert text.count("--debug") == 1, command
