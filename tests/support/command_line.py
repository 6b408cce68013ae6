"""Run command lines in this process."""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import Any

import pytest
from typer.main import get_command

from autocog_core.cli.main import app


@cache
def _built() -> Any:
    """The commands. Typer would rebuild them for each call, which takes longer than most tests."""
    return get_command(app)


def _fresh(built_of: object) -> Any:
    """The commands without those of plugins that other tests have installed."""
    group = copy(_built())
    group.commands = dict(group.commands)
    return group


def keep_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `typer.testing.CliRunner` build the commands once for all tests.

    :param monkeypatch: the fixture, which ends it.
    """
    # A typer without this name rebuilds them.
    monkeypatch.setattr("typer.testing._get_command", _fresh, raising=False)
