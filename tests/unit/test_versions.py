"""Versions and pins of the distributions agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from autocog_core import __version__

ROOT = Path(__file__).parents[2]
PLUGINS = sorted((ROOT / "plugins").glob("*/pyproject.toml"))


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.parent.name)
def test_a_plugin_takes_its_version_from_core_and_pins_cores_minor_range(path: Path) -> None:
    project = tomllib.loads(path.read_text())
    source = path.parent / project["tool"]["hatch"]["version"]["path"]
    assert source.resolve() == ROOT / "autocog_core" / "version.py"
    major, minor = __version__.split(".")[:2]
    pins = [p for p in project["project"]["dependencies"] if p.startswith("autocog-core")]
    assert pins == [f"autocog-core>={major}.{minor}.0,<{major}.{int(minor) + 1}"]
    assert project["project"]["requires-python"] == ">=3.11"


def test_there_are_plugins_to_check() -> None:
    assert [path.parent.name for path in PLUGINS]
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
