"""A pytest plugin for tests of programs: models without weights, and a marker for real ones.

Add it to your root `conftest.py`: `pytest_plugins = ["autocog_core.testing.fixtures"]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Model, load
from autocog_core.backends.table import TableLM
from autocog_core.wrappers.record import Record

MARKER = "real_model: needs a model with weights; run with --real-models"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options `--real-models` and `--record MODEL`."""
    group = parser.getgroup("autocog")
    group.addoption("--real-models", action="store_true", help="run tests marked real_model")
    group.addoption(
        "--record", metavar="MODEL", help="record answers of this model for `replayed_model`"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `real_model`."""
    config.addinivalue_line("markers", MARKER)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests that need a real model, unless `--real-models` is given."""
    if config.getoption("--real-models"):
        return
    for item in items:
        if item.get_closest_marker("real_model"):
            item.add_marker(pytest.mark.skip(reason="needs a real model: give --real-models"))


@pytest.fixture
def table_model() -> Iterator[Callable[..., Model]]:
    """Return a function that makes a model from rows.

    For example, `table_model({"text so far": {"next": 0.9}})`.
    """
    with ExitStack() as stack:

        def make(rows: Mapping[str, Mapping[str, float]], **options: Any) -> Model:
            return stack.enter_context(Model(TableLM(rows=rows, **options)))

        yield make


@pytest.fixture
def replayed_model(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Model]]:
    """Return a function that opens a recording in the folder of the test.

    For example, `replayed_model("triage.jsonl.gz")`. With `--record MODEL`, the function records
    the answers of that model of autocog.toml instead.
    """
    name = request.config.getoption("--record")
    with ExitStack() as stack:

        def open_recording(file: str) -> Model:
            path = request.path.parent / file
            if name is None:
                return stack.enter_context(load(backend="replay", options={"path": str(path)}))
            return stack.enter_context(_recording_model(name, path))

        yield open_recording


def _recording_model(name: str, path: Path) -> Model:
    model = load(name)
    return Model(model.backend, wrappers=[Record(path=path)], name=model.name, on_close=model.close)
