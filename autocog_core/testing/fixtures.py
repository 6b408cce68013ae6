"""A pytest plugin for tests of programs: models without weights, and a marker for real ones.

In the root `conftest.py` of the tests: `pytest_plugins = ["autocog_core.testing.fixtures"]`.
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
    """`--real-models`, and `--record MODEL`."""
    group = parser.getgroup("autocog")
    group.addoption("--real-models", action="store_true", help="run tests marked real_model")
    group.addoption(
        "--record", metavar="MODEL", help="record anew what `replayed` answers, from this model"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs a real model, unless it is asked for."""
    if config.getoption("--real-models"):
        return
    for item in items:
        if item.get_closest_marker("real_model"):
            item.add_marker(pytest.mark.skip(reason="needs a real model: give --real-models"))


@pytest.fixture
def table_model() -> Iterator[Callable[..., Model]]:
    """Return a function that makes a model of rows: `table_model({"so far": {"next": 0.9}})`."""
    with ExitStack() as stack:

        def made(rows: Mapping[str, Mapping[str, float]], **options: Any) -> Model:
            return stack.enter_context(Model(TableLM(rows=rows, **options)))

        yield made


@pytest.fixture
def replayed_model(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Model]]:
    """Opens recordings beside the test's file: `replayed("triage.jsonl.gz")`.

    With `--record MODEL` the model of that name in autocog.toml answers, and is recorded.
    """
    name = request.config.getoption("--record")
    with ExitStack() as stack:

        def opened(file: str) -> Model:
            path = request.path.parent / file
            if name is None:
                return stack.enter_context(load(backend="replay", options={"path": str(path)}))
            return stack.enter_context(_recorded(name, path))

        yield opened


def _recorded(name: str, path: Path) -> Model:
    loaded = load(name)
    return Model(
        loaded.backend, wrappers=[Record(path=path)], name=loaded.name, on_close=loaded.close
    )
