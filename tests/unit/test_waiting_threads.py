"""OpenMP's threads wait briefly, unless the user has decided otherwise, or it is too late."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from autocog_core.toolkit import wait_briefly, waiting_threads, warn_of_spinning

MAPS = """\
7f00-7f01 r-xp 00000000 fe:00 17 /usr/lib/libgomp.so.1.0.0
7f01-7f02 r--p 00000000 fe:00 17 /usr/lib/libgomp.so.1.0.0
7f02-7f03 r-xp 00000000 fe:00 18 /env/scikit_learn.libs/libgomp-a34b3233.so.1.0.0
7f03-7f04 r-xp 00000000 fe:00 19 /env/a folder/libiomp5.so
7f04-7f05 rw-p 00000000 00:00 0
"""
NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable is set, nothing is loaded, and what the code sets is removed at the end."""
    for name in NAMES:
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(waiting_threads, "_MAPS", tmp_path / "maps")
    monkeypatch.setattr(waiting_threads, "_loaded_before", [])
    return tmp_path / "maps"


def test_the_variables_are_set_before_the_engine_is_loaded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wait_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "5000"
    assert os.environ["KMP_BLOCKTIME"] == "1"
    assert not os.environ["OMP_WAIT_POLICY"]
    warn_of_spinning()
    assert not caplog.records


@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_has_set_stays(
    name: str, unset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unset.write_text(MAPS)
    os.environ[name] = "active"
    wait_briefly()
    assert {key: os.environ[key] for key in NAMES if os.environ[key]} == {name: "active"}
    warn_of_spinning()
    assert not caplog.records


def test_a_library_that_was_loaded_before_is_named_once(
    unset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unset.write_text(MAPS)
    for _ in range(2):
        wait_briefly()
        with caplog.at_level(logging.WARNING):
            warn_of_spinning()
    [record] = caplog.records
    assert record.message.startswith("/env/a folder/libiomp5.so and /usr/lib/libgomp.so.1.0.0 was")
    assert "GOMP_SPINCOUNT=5000" in record.message
