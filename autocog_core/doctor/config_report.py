"""Where a config file is looked for, which one counts, and what is wrong with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_config_path

from autocog_core.config.config_file import (
    CONFIG_FILE_NAME,
    CONFIG_VARIABLE,
    Config,
    find_config,
    read_config,
)
from autocog_core.doctor.problem import Problem
from autocog_core.errors import ConfigError

Kind = Literal["argument", "variable", "here", "above", "user"]


@dataclass(frozen=True, slots=True)
class ConfigLocation:
    """A place where the config file is looked for.

    :ivar kind: named by an argument or by the variable; in the current folder, in one above it, or
        in the user's config folder.
    :ivar counts: this is the file that commands read.
    """

    kind: Kind
    path: str
    exists: bool
    is_used: bool


@dataclass(frozen=True, slots=True)
class ConfigReport:
    """The config file.

    :ivar places: all that are looked at, in order.
    :ivar path: the file that counts; None where there is none.
    """

    places: tuple[ConfigLocation, ...]
    path: str | None
    default_model: str | None = None
    problem: Problem | None = None


def examine_config(path: str | os.PathLike[str] | None) -> tuple[ConfigReport, Config]:
    """Report on the config file, and read it; an empty config where it cannot be read."""
    counting, config, problem = None, Config(), None
    try:
        counting = find_config(path)
        config = read_config(path)
    except ConfigError as error:
        problem = Problem.of(error, str(counting))
    places: list[ConfigLocation] = []
    for kind, place in _places(path):
        counts = place.resolve() == counting and not any(each.is_used for each in places)
        places.append(ConfigLocation(kind, str(place), place.is_file(), counts))
    shown = None if counting is None else str(counting)
    return ConfigReport(tuple(places), shown, _default(config), problem), config


def _places(path: str | os.PathLike[str] | None) -> list[tuple[Kind, Path]]:
    """As `find_config` looks at them."""
    named: list[tuple[Kind, Path]] = []
    if path:
        named.append(("argument", Path(path).expanduser()))
    if variable := os.environ.get(CONFIG_VARIABLE):
        named.append(("variable", Path(variable).expanduser()))
    here = Path.cwd()
    return [
        *named,
        ("here", here / CONFIG_FILE_NAME),
        *(("above", folder / CONFIG_FILE_NAME) for folder in here.parents),
        ("user", user_config_path("autocog") / CONFIG_FILE_NAME),
    ]


def _default(config: Config) -> str | None:
    """The model that a command without --model uses, if there is one."""
    try:
        return config.model()[0]
    except ConfigError:
        return None
