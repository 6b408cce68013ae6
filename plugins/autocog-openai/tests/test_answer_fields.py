"""Wrong values in answers are one malformed answer; no value becomes a number that was not sent."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from pydantic_core import from_json
from starlette.responses import Response

from autocog_core.errors import EngineError
from autocog_openai import OpenAI
from autocog_openai.connection.answer_fields import FieldError, as_logprob, as_token_bytes
from autocog_openai.connection.errors import MalformedAnswerError
from autocog_openai.routes.token_listing import read_token
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.openai_api import CHAT, DECIDER, KEY, OpenAIServer
from tests.support.openai.servers.openai_decisions import DECIDES
from tests.support.openai.servers.rewriting import Rewriting, change_everywhere
from tests.support.openai.servers.serving import serving
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.vllm import VLLM
from tests.support.openai.servers.wrong_echo import WrongEcho

MESSAGES = [{"role": "user", "content": "Yes or no?"}]
WRONG_LOGPROBS = [math.nan, 0.5, "-1.0", True, [-1.0], 10**400]
KINDS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "vllm": (VLLM, {}),
    "sglang": (SGLang, {}),
    "chat": (OpenAIServer, {"model": CHAT, "server": "openai"}),
    "responses": (OpenAIServer, {"model": CHAT, "server": "openai", "api": "responses"}),
    "echo": (lambda: WrongEcho(right=True), {}),
    "generic": (Generic, {"api": "chat"}),
}
#: Where each server writes log-probabilities of tokens.
LOGPROB_FIELDS = ("logprob", "token_logprobs", "top_logprobs", "output_token_logprobs")
SCORED_FIELDS = (*LOGPROB_FIELDS, "output_token_ids_logprobs")


@contextmanager
def malformed(*words: str) -> Iterator[None]:
    with pytest.raises(MalformedAnswerError) as caught:
        yield
    assert caught.value.retryable is True
    assert all(word in caught.value.message for word in words), caught.value.message


class Opened:
    """A model after probing, and what changes the answers of its server."""

    def __init__(self, kind: str, tokenizer: str, server: Rewriting, url: str) -> None:
        self.kind, self.server = kind, server
        options = {"model": "random", "base_url": f"{url}/v1", "timeout": 10, "max_retries": 0}
        if kind not in ("vllm", "sglang"):
            options |= {"tokenizer": tokenizer, "api_key": KEY}
        self.model = OpenAI(**{**options, **KINDS[kind][1]})
        assert self.model.as_model().info.name
        engine = server.app.engine  # type: ignore[attr-defined]
        truth = engine.model
        ids = truth.encode(truth.chat_prompt(MESSAGES))
        #: Two tokens that the chat route lists.
        self.choices = [engine.decode([token]) for token in listed(truth.greedy(ids))]

    def write(self, *, stream: bool = False) -> Any:
        more: dict[str, Any] = {"on_text": lambda text: None} if stream else {}
        arguments = {"max_tokens": 3, "temperature": 0, **more}
        if self.kind in ("chat", "responses", "generic"):
            return self.model.complete(messages=MESSAGES, **arguments)
        return self.model.complete("It is", **arguments)

    def choose(self, **more: Any) -> Any:
        if self.kind in ("chat", "generic"):
            return self.model.choose(messages=MESSAGES, choices=self.choices, **more)
        return self.model.choose("It is", ["a", "b"], **more)

    def assert_works(self) -> None:
        """Check that the next calls have the right numbers."""
        self.server.change = self.server.instead = None
        found = self.write()
        assert (found.text, found.logprobs) == (self.right.text, self.right.logprobs)

    @cached_property
    def right(self) -> Any:
        return self.write()


def listed(row: Any) -> list[int]:
    order = [int(token) for token in np.argsort(-row, kind="stable")[:20]]
    return [token for token in order if 33 <= token < 127][:2]


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory, byte_tokenizer: str
) -> Iterator[dict[str, Opened]]:
    """Return a model on each kind of server."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOCOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        found = {}
        for kind, (make, _) in KINDS.items():
            server = Rewriting(make())
            url = stack.enter_context(serving(server))
            found[kind] = Opened(kind, byte_tokenizer, server, url)
            stack.callback(found[kind].model.close)
            assert found[kind].right.logprobs or kind == "echo"
        yield found


@pytest.mark.parametrize("value", WRONG_LOGPROBS, ids=lambda value: str(value)[:12])
@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_log_probability_of_a_text_is_a_malformed_answer(
    models: dict[str, Opened], stream: bool, value: Any
) -> None:
    for kind in ("vllm", "sglang", "chat", "responses", "generic"):
        opened = models[kind]
        opened.server.change = change_everywhere(LOGPROB_FIELDS, value)
        with malformed():
            opened.write(stream=stream)
        opened.assert_works()


@pytest.mark.parametrize("value", WRONG_LOGPROBS, ids=lambda value: str(value)[:12])
@pytest.mark.parametrize("kind", ["vllm", "sglang", "chat", "echo", "generic"])
def test_a_wrong_log_probability_of_a_choice_is_a_malformed_answer(
    models: dict[str, Opened], kind: str, value: Any
) -> None:
    opened = models[kind]
    opened.server.change = None
    right = opened.choose()
    assert (right.exact, right.method in ("tree", "echo", "top_logprobs")) == (True, True)
    opened.server.change = change_everywhere(SCORED_FIELDS, value)
    with malformed():
        opened.choose()
    opened.server.change = None
    assert opened.choose().scores == right.scores


@pytest.mark.parametrize("stream", [False, True])
def test_null_is_no_log_probability(models: dict[str, Opened], stream: bool) -> None:
    for kind in ("vllm", "sglang", "chat", "responses", "generic"):
        opened = models[kind]
        names = ("logprob", "token_logprobs", "output_token_logprobs")
        opened.server.change = change_everywhere(names, None)
        found = opened.write(stream=stream)
        assert (found.text, found.logprobs) == (opened.right.text, None)
        opened.assert_works()


def test_null_for_a_named_token_is_a_malformed_answer(models: dict[str, Opened]) -> None:
    for kind in ("vllm", "sglang"):
        opened = models[kind]
        opened.server.change = change_everywhere(SCORED_FIELDS, None)
        with malformed("missing"):
            opened.choose()
        opened.assert_works()


def test_choices_with_null_are_never_exact(models: dict[str, Opened]) -> None:
    for kind in ("chat", "generic", "echo"):
        opened = models[kind]
        opened.server.change = change_everywhere(SCORED_FIELDS, None)
        found = opened.choose(method="top_logprobs")
        assert (found.exact, found.unseen_probability) == (False, 1.0)
        assert {score.logprob for score in found.scores} == {-math.inf}
        opened.assert_works()


@pytest.mark.parametrize("value", [math.nan, "0.5", None, True, -0.5, 1.5, []], ids=str)
def test_wrong_probabilities_of_a_decision_are_a_malformed_answer(
    connect_chat: Connect, value: Any
) -> None:
    server = Rewriting(OpenAIServer())
    model = connect_chat(server, model=DECIDER, server="openai", max_retries=0)
    assert model.as_model().info.details["decision_routes"] == DECIDES
    server.change = change_everywhere(("probability",), value)
    with malformed("probability"):
        model.choose(messages=MESSAGES, choices=["yes", "no"], method="decision")


@pytest.mark.parametrize(
    "value", [[-5], [300], [True], [1.5], 500_000_000, "ab", {"0": 65}], ids=str
)
def test_bytes_of_a_token_are_a_list_of_bytes(models: dict[str, Opened], value: Any) -> None:
    with pytest.raises(FieldError, match="bytes"):
        as_token_bytes(value, "bytes")
    opened = models["chat"]
    opened.server.change = change_everywhere(("bytes",), value)
    with malformed("bytes"):
        opened.write()
    with malformed("bytes"):
        opened.choose()
    opened.assert_works()


def test_values_at_the_edge_of_a_log_probability() -> None:
    for text, value in [
        ("0", 0.0),
        ("0.0005", 0.0),
        ("-0.25", -0.25),
        ("-9999", -math.inf),
        ("-1e999", -math.inf),
        ("-Infinity", -math.inf),
        ("-" + "9" * 500, -math.inf),
    ]:
        assert as_logprob(from_json(text), "logprob") == value
    assert as_logprob(None, "logprob") is None
    for text in ("NaN", "Infinity", "1e999", "9" * 500, "0.01", '"NaN"', "true"):
        with pytest.raises(FieldError, match="logprob must be a log-probability"):
            as_logprob(from_json(text), "logprob")


def test_tokens_that_are_named_by_ids_are_read() -> None:
    named = {"token": "token_id:123", "logprob": -1.0}
    for more in ({}, {"bytes": None}, {"bytes": list(b"token_id:123")}):
        token = read_token({**named, **more})
        assert (token.token, token.raw) == (123, b"")
    assert read_token({**named, "bytes": [65]}).raw == b"A"
    for name in ("token_id:", "token_id:-1", "token_id:99999999", "token_id:x", "token_id:\u0663"):
        with pytest.raises(FieldError, match="token id"):
            read_token({"token": name, "logprob": -1.0})


@pytest.mark.parametrize(
    "logprobs",
    [0.5, "none", [], {"content": 3}, {"content": [3]}, {"content": [{"token": "a"}]}],
    ids=str,
)
def test_log_probabilities_of_another_type_are_a_malformed_answer(
    models: dict[str, Opened], logprobs: Any
) -> None:
    for kind in ("vllm", "chat", "generic"):
        opened = models[kind]
        opened.server.change = change_everywhere(("logprobs",), logprobs)
        with malformed():
            opened.write()
        with malformed():
            opened.choose()
        opened.assert_works()


@pytest.mark.parametrize("logprobs", [0.5, {"content": None}, {"content": [{"token": 3}]}], ids=str)
def test_malformed_log_probabilities_count_as_none_while_probing(
    connect_chat: Connect, logprobs: Any
) -> None:
    server = Rewriting(Generic(), change_everywhere(("logprobs",), logprobs))
    model = connect_chat(server, max_retries=0)
    assert model.as_model().info.details["chat_max_top_logprobs"] == 0
    found = model.choose(messages=MESSAGES, choices=["yes", "no"])
    assert (found.method, found.exact) == ("pick", False)
    assert model.complete(messages=MESSAGES, max_tokens=3).logprobs is None


def test_text_that_is_no_text_is_a_malformed_answer(models: dict[str, Opened]) -> None:
    opened = models["chat"]
    for value in (3, {"text": "a"}, True, [3], [{"type": 3}], [{"type": "text", "text": 3}]):
        opened.server.change = lambda node, value=value: {
            **node,
            "choices": [{**node["choices"][0], "message": {"content": value}}],
        }
        with malformed():
            opened.write()
    opened.assert_works()


def test_half_a_surrogate_pair_is_a_malformed_answer(models: dict[str, Opened]) -> None:
    opened = models["chat"]
    event = {"choices": [{"index": 0, "delta": {"content": "\ud800"}, "finish_reason": None}]}
    body = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n"
    opened.server.instead = Response(body, media_type="text/event-stream")
    with malformed("surrogate"):
        opened.write(stream=True)
    opened.assert_works()


def test_deeply_nested_answers_are_an_error(models: dict[str, Opened]) -> None:
    opened = models["chat"]
    nested = "[" * 100_000 + "]" * 100_000
    for stream, media_type, body in [
        (False, "application/json", nested),
        (True, "text/event-stream", f"data: {nested}\n\n"),
    ]:
        opened.server.instead = Response(body, media_type=media_type)
        with pytest.raises(EngineError) as caught:
            opened.write(stream=stream)
        assert caught.value.retryable is True
    opened.assert_works()
