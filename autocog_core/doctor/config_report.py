"""The report on the config file: where autocog looks for it, which one it uses, and its errors."""

from __future__ import annotations

import os
from dataclasses import dataclass

from autocog_core.config.config_file import (
    Config,
    LocationKind,
    config_locations,
    find_config,
    read_config,
)
from autocog_core.doctor.problem import Problem
from autocog_core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigLocation:
    """A location where autocog looks for the config file.

    :ivar kind: how autocog finds it.
    :ivar path: the file.
    :ivar exists: whether there is a file.
    :ivar is_used: commands read this file.
    """

    kind: LocationKind
    path: str
    exists: bool
    is_used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigReport:
    """The config file.

    :ivar locations: all locations, in the order in which autocog looks.
    :ivar path: the file in use; None if there is none.
    :ivar default_model: the model that commands use if none is named.
    :ivar problem: why the file cannot be used; None if it can.
    """

    locations: tuple[ConfigLocation, ...]
    path: str | None
    default_model: str | None = None
    problem: Problem | None = None


def examine_config(path: str | os.PathLike[str] | None) -> tuple[ConfigReport, Config]:
    """Find and read the config file.

    :param path: the file; None looks for it.
    :returns: the report, and the config: an empty one if the file cannot be read.
    """
    used_path, config, problem = None, Config(), None
    try:
        used_path = find_config(path)
        config = read_config(path)
    except ConfigError as error:
        problem = Problem.from_error(error)
    locations: list[ConfigLocation] = []
    for kind, file in config_locations(path):
        # Two locations may be the same file; the first one is used.
        exists = os.path.isfile(file)
        is_first = not any(other.is_used for other in locations)
        is_used = exists and is_first and file.resolve() == used_path
        locations.append(ConfigLocation(kind=kind, path=str(file), exists=exists, is_used=is_used))
    report = ConfigReport(
        locations=tuple(locations),
        path=None if used_path is None else str(used_path),
        default_model=_default_model(config),
        problem=problem,
    )
    return report, config


def _default_model(config: Config) -> str | None:
    try:
        return config.model()[0]
    except ConfigError:
        return None
