"""Fixtures: a client of an app in this process, and `autocog serve`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from autocog_core import Model
from tests.support.browser import browser, open_site
from tests.support.served import ServerProcess, app_in_process, serve_process
from tests.support.small_backends import random_model

__all__ = ["browser", "open_site"]


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    """A client of a server in this process with the models `random` and `known`.

    Tests share it and leave it as it is: its OpenAPI document takes longer than most of them.
    """
    with app_in_process() as client:
        yield client


@pytest.fixture(scope="session")
def truth() -> Model:
    """The default model of `client`, to compare answers with."""
    return random_model(seed=3)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """`autocog serve --backend random`, shared by tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("serve")
    with serve_process("--backend", "random", "--option", "seed=3", folder=folder) as server:
        yield server
