"""Fixtures: models of the plugin on protocol servers, and a separate cache folder for each test."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from autocog_core.tokenizers.byte_alphabet import BYTE_OF_CHARACTER
from autocog_openai import OpenAI
from tests.support.openai.pairs import SERVERS, Pair
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.openai_api import KEY
from tests.support.openai.servers.serving import serving


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name in ("autocog_core", "autocog_openai"):
        logging.getLogger(name).setLevel(logging.DEBUG)


@pytest.fixture(scope="session")
def byte_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a tokenizer.json with the ids of the `random` backend's bytes."""
    letters = {byte: letter for letter, byte in BYTE_OF_CHARACTER.items()}
    vocabulary = {letters[byte]: byte for byte in range(256)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return str(path)


@pytest.fixture
def connect(byte_tokenizer: str) -> Iterator[Connect]:
    """Open models on servers that run until the test ends. A server may have several models."""
    urls: dict[int, str] = {}
    with ExitStack() as stack:

        def opened(app: Any, **options: Any) -> OpenAI:
            if id(app) not in urls:
                urls[id(app)] = stack.enter_context(serving(app))
            url = f"{urls[id(app)]}/v1"
            model = OpenAI(**{"model": "random", "base_url": url, "timeout": 10, **options})
            # Not `model.close`: that would probe the server if no call has.
            stack.callback(model._engine.connection.close)
            return model

        yield opened


@pytest.fixture
def connect_chat(connect: Connect, byte_tokenizer: str) -> Connect:
    """As `connect`, with a tokenizer and a key."""

    def opened(app: Any, **options: Any) -> OpenAI:
        return connect(app, **{"tokenizer": byte_tokenizer, "api_key": KEY, **options})

    return opened


@pytest.fixture(
    scope="module",
    params=[("vllm", "bytes"), ("sglang", "merges")],
    ids=lambda each: " ".join(each),
)
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    kind, words = request.param
    server = SERVERS[kind](Engine(vocabulary=words))
    with serving(server) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOCOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        model = OpenAI(model="random", base_url=f"{url}/v1", timeout=10)
        assert model.as_model().info.details["server"] == kind
        yield Pair(kind, server, model)
        model.close()


@pytest.fixture
def pair(opened: Pair) -> Pair:
    opened.server.log.clear()
    return opened
