"""Malformed answers of a llama-server, and models that are closed during use."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from autocog_core import TreeQuery
from autocog_core.errors import CapabilityError, ClosedError
from autocog_openai.choice.tree_queries import score_trees
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import MalformedAnswerError
from autocog_openai.connection.options import OpenAIOptions
from autocog_openai.connection.scorer import PositionAnswer, PositionRequest
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.usage import UsageCounter, usage_of
from autocog_openai.servers.llama_server_scorer import LlamaServerScorer

FACTS = ServerCapabilities(
    server="llama-server", model="m", vocabulary_size=3, vocabulary=("a", "b", "c"), logit_bias=True
)


def connection(**options: Any) -> Connection:
    """Return a connection to a port without a server."""
    return Connection(OpenAIOptions(model="m", base_url="http://127.0.0.1:9/v1", **options))


class FixedListing(Connection):
    """Returns the same listing for every request."""

    def __init__(self, *entries: Mapping[str, Any]) -> None:
        super().__init__(OpenAIOptions(model="m", base_url="http://127.0.0.1:9/v1"))
        first = {**entries[0], "top_logprobs": list(entries)}
        self.answer = {"completion_probabilities": [first], "timings": {"prompt_n": 1}}

    def post(
        self, route: str, body: Mapping[str, Any], *, counter: UsageCounter | None = None
    ) -> Any:
        return self.answer


def entry(token: int, logprob: float = -1.0) -> dict[str, Any]:
    return {"id": token, "logprob": logprob}


@pytest.mark.parametrize(
    "entries",
    [
        [entry(0), entry(1), entry(1)],
        [entry(0), entry(1), entry(3)],
        [entry(0), entry(1), entry(-2)],
        [entry(0), entry(1)],
    ],
)
def test_an_incomplete_listing_is_an_error(entries: list[dict[str, Any]]) -> None:
    server = LlamaServerScorer(FixedListing(*entries), FACTS)
    with pytest.raises(MalformedAnswerError) as caught:
        server.request(PositionRequest(tokens=(1,), top_k=-1))
    assert caught.value.retryable


class RepeatingScorer:
    """A scorer that returns the same answer to every request."""

    def __init__(self) -> None:
        self.requests = 0

    def plan(self, request: PositionRequest, answer: PositionAnswer) -> list[PositionRequest]:
        return [request]

    def request(self, request: PositionRequest) -> PositionAnswer:
        self.requests += 1
        assert self.requests < 10
        return PositionAnswer(logprobs={0: -1.0}, top_k=1, tokens_evaluated=1)


def test_requests_end_if_answers_contain_nothing_new() -> None:
    query = TreeQuery(
        prefix=(1,), tokens=np.array([2], dtype=np.int32), parents=np.array([-1], dtype=np.int32)
    )
    with pytest.raises(CapabilityError):
        score_trees(connection(), RepeatingScorer(), [query], 3)


def test_closing_ends_what_waits_and_nothing_hangs() -> None:
    opened = connection(max_concurrency=1)
    caught: list[BaseException] = []

    def work() -> None:
        try:
            opened.map_concurrently(lambda item: time.sleep(0.3), [1, 2, 3])
        except BaseException as error:  # noqa: BLE001
            caught.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    time.sleep(0.1)
    opened.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(caught[0], ClosedError)
    with pytest.raises(ClosedError):
        opened.map_concurrently(print, [1, 2])
    with pytest.raises(ClosedError):
        opened.get("v1/models")


def test_no_secret_of_an_address_is_shown() -> None:
    opened = Connection(
        OpenAIOptions(model="m", base_url="http://bob:hunter22@127.0.0.1:9/v1", max_retries=0)
    )
    assert "hunter22" not in opened.where
    with pytest.raises(Exception, match=r"127\.0\.0\.1:9") as caught:
        opened.get("v1/models")
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        {"usage": {"prompt_tokens": "many"}},
        {"usage": {"prompt_tokens": 3, "prompt_tokens_details": [1]}},
        {"usage": {"prompt_tokens": [3]}},
        {"meta_info": {"prompt_tokens": None}},
        {"timings": {"cache_n": "x"}, "tokens_evaluated": 1},
        [{"usage": {"prompt_tokens": "many"}}],
        {"usage": {"prompt_tokens": float("inf")}},
        {"usage": {"prompt_tokens": -3}},
        {"usage": {"completion_tokens": True}},
        {"usage": "none"},
        "none",
    ],
)
def test_malformed_usage_is_not_counted(answer: Any) -> None:
    assert usage_of(answer) is None
    counter = UsageCounter()
    counter.add(usage_of(answer))
    assert counter.tokens_evaluated is None
