"""The package of the tutorial, as if it were installed, without copying it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.small_backends import forget, install

NGRAM = Path(__file__).parents[2] / "examples" / "ngram"


@pytest.fixture
def ngram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change to the package's folder and make its backend known by name; return the folder."""
    install(tmp_path, "autocog-ngram", {"autocog": {"ngram": "autocog_ngram.backend:NgramLM"}}, {})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(NGRAM / "src")
    monkeypatch.chdir(NGRAM)
    for name in ("AUTOCOG_CONFIG", "AUTOCOG_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    yield NGRAM
    forget("autocog_ngram", "autocog_ngram.backend")
