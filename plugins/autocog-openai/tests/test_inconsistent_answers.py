"""Answers that contradict themselves, or lack what was requested: no number that was not sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from autocog_core import TreeQuery
from autocog_core.errors import CapabilityError, EngineError
from autocog_openai.choice.tree_queries import score_trees
from autocog_openai.connection.errors import MalformedAnswerError
from autocog_openai.connection.scorer import PositionAnswer, PositionRequest
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.rewriting import Rewriting
from tests.support.openai.servers.scripted import Scripted, refusal
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.vllm import VLLM
from tests.support.openai.servers.wrong_echo import WrongEcho

MESSAGES = [{"role": "user", "content": "Yes or no?"}]
CHOICES = [" Paris", " Lyon"]


class Listed:
    """Lists "all" tokens without some, and returns named ones if it is asked."""

    where = "a server"

    def __init__(self, logprobs: dict[int, float], named: dict[int, float]) -> None:
        self.logprobs, self.named = logprobs, named
        self.requests: list[PositionRequest] = []

    def plan(self, request: PositionRequest, answer: PositionAnswer) -> Sequence[PositionRequest]:
        return [request]

    def request(self, request: PositionRequest) -> PositionAnswer:
        self.requests.append(request)
        if request.top_k:
            return PositionAnswer(logprobs=self.logprobs, top_k=-1)
        return PositionAnswer(
            logprobs={
                token: self.named[token] for token in request.named_ids if token in self.named
            }
        )

    def map_concurrently(self, call: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return [call(item) for item in items]


def test_a_named_token_that_a_listing_lacks_is_asked_for_and_never_impossible() -> None:
    mask = np.zeros(9, dtype=bool)
    mask[:4] = True
    query = TreeQuery(
        prefix=np.array([7], dtype=np.int32),
        tokens=np.array([2, 5], dtype=np.int32),
        parents=np.array([-1, -1], dtype=np.int32),
        top_at=np.array([-1], dtype=np.int32),
        top_k=4,
        mask=mask,
    )
    server = Listed({0: -1.0, 1: -1.1, 2: -2.0}, {5: -4.0})
    (scores,) = score_trees(server, server, [query], 9)  # type: ignore[arg-type]
    assert scores.values.tolist() == [-2.0, -4.0]
    assert [request.named_ids for request in server.requests] == [(2, 5), (5,)]
    silent = Listed({0: -1.0, 1: -1.1, 2: -2.0}, {})
    with pytest.raises(CapabilityError, match="log-probabilities of 1 named tokens"):
        score_trees(silent, silent, [query], 9)  # type: ignore[arg-type]


def shift_written(node: Any) -> Any:
    """Return an answer with another log-probability for the written token, beside its listing."""
    if isinstance(node, list):
        return [shift_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {name: shift_written(item) for name, item in node.items()}
    if "top_logprobs" in node and "logprob" in node:
        changed["logprob"] -= 0.5
    for name in ("token_logprobs", "output_token_logprobs"):
        if node.get(name):
            changed[name] = [
                [item[0] - 0.5, *item[1:]] if isinstance(item, list) else item - 0.5
                for item in node[name]
            ]
    return changed


def printable_engine(prompt: Callable[[Any], str]) -> tuple[Engine, list[str]]:
    """Return an engine that writes a character, and its two most likely characters."""
    for seed in range(999):
        engine = Engine(seed=seed)
        truth = engine.model
        order = (-truth.greedy(truth.encode(prompt(truth)))).argsort()
        if 33 <= order[0] < 127:
            return engine, [chr(token) for token in order[:20] if 33 <= token < 127][:2]
    raise AssertionError


@pytest.mark.parametrize("make", [VLLM, SGLang, Generic], ids=["vllm", "sglang", "chat"])
def test_a_written_token_with_another_log_probability_than_listed_is_malformed(
    connect_chat: Connect, make: Any
) -> None:
    arguments: dict[str, Any]
    options: dict[str, Any]
    if make is Generic:
        engine, choices = printable_engine(lambda truth: truth.chat_prompt(MESSAGES))
        options, arguments = {"api": "chat"}, {"messages": MESSAGES, "choices": choices}
    else:
        # These servers list the named tokens: the written one is among them.
        engine, choices = printable_engine(lambda truth: "It is")
        options, arguments = {"tokenizer": None}, {"prompt": "It is", "choices": choices}
    server = Rewriting(make(engine))
    model = connect_chat(server, max_retries=0, **options)
    expected = model.choose(**arguments)
    server.change = shift_written
    with pytest.raises(MalformedAnswerError, match="of the written token is") as caught:
        model.choose(**arguments)
    assert caught.value.retryable
    server.change = None
    assert model.choose(**arguments).scores == expected.scores


def test_a_text_with_the_value_of_another_token_is_not_used(connect_chat: Connect) -> None:
    """An object has one value for each text."""
    engine, (choice, _) = printable_engine(lambda truth: "It is")
    server = Rewriting(WrongEcho(engine))
    model = connect_chat(server, max_retries=0)
    found = model.choose("It is", [choice, "\u00e9"], method="top_logprobs")
    assert found.scores[0].logprob > -math.inf
    server.change = shift_written
    found = model.choose("It is", [choice, "\u00e9"], method="top_logprobs")
    assert (found.exact, found.scores[0].logprob) == (False, -math.inf)
    assert found.unseen_probability > 0


def test_a_listing_of_another_text_than_the_written_one_is_not_used(connect_chat: Connect) -> None:
    engine, (choice, _) = printable_engine(lambda truth: "It is")
    server = Rewriting(WrongEcho(engine))
    model = connect_chat(server, max_retries=0)
    assert model.choose("It is", [choice], method="top_logprobs").exact is True

    def other_text(node: Any) -> Any:
        node["choices"][0]["text"] = "\u00a7"
        return node

    server.change = other_text
    found = model.choose("It is", [choice], method="top_logprobs")
    assert (found.exact, found.unseen_probability) == (False, 1.0)
    assert "not those of its answer" in found.reason


@pytest.mark.parametrize("value", ["-1.0", 0.5, [1.0]])
def test_malformed_log_probabilities_leave_no_fact(connect_chat: Connect, value: Any) -> None:
    server = Rewriting(Generic())

    def change(node: Any) -> Any:
        for choice in node.get("choices") or ():
            for entry in (choice.get("logprobs") or {}).get("content") or ():
                entry["logprob"] = value
        return node

    server.change = change
    details = connect_chat(server, max_retries=0).as_model().info.details
    assert details["chat_max_top_logprobs"] == 0
    server.change = None
    details = connect_chat(server, max_retries=0).as_model().info.details
    assert details["chat_max_top_logprobs"] == 20


@pytest.mark.parametrize(
    ("answer", "is_kept"),
    [
        ((500, "logprobs is not supported for models created with logits_all=False"), True),
        ((501, "no"), True),
        ((500, "CUDA out of memory"), False),
        ((500, "unknown error"), False),
    ],
)
def test_a_failure_that_says_that_something_is_unsupported_is_kept(
    connect_chat: Connect,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, str],
    is_kept: bool,
) -> None:
    scripted = Scripted(Generic())

    async def fails(app: Any, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]

        async def again() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        await (refusal(*answer) if b"logprobs" in body else app)(scope, again, send)

    scripted.answers += [fails] * 99

    def listed() -> Any:
        details = connect_chat(scripted, max_retries=0).as_model().info.details
        return details["chat_max_top_logprobs"]

    assert listed() == 0
    with pytest.raises((CapabilityError, EngineError)):
        connect_chat(scripted, max_retries=0).choose(
            messages=MESSAGES, choices=["a", "b"], norm="pmi"
        )
    scripted.answers.clear()
    monkeypatch.setattr(
        "autocog_openai.connection.server_capabilities.RETRY_FAILED_PROBE_SECONDS", -1.0
    )
    assert (listed() == 0) is is_kept
