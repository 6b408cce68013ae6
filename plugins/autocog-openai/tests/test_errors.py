"""Failures raise typed errors with `retryable`, and the next call works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from autocog_core.errors import (
    AutocogError,
    ClosedError,
    ConfigError,
    ContextOverflowError,
    EngineError,
    InputError,
)
from autocog_openai import OpenAI
from autocog_openai.connection.errors import (
    ConnectionFailedError,
    MalformedAnswerError,
    RateLimitError,
    RefusedError,
    RequestTimeoutError,
)
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.faults import Faults
from tests.support.openai.servers.openai_api import CHAT, KEY, OpenAIServer
from tests.support.openai.servers.scripted import Scripted, cut_after, ended_after, refusal
from tests.support.openai.servers.serving import serving
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.vllm import VLLM

MESSAGES = [{"role": "user", "content": "Tell me."}]
OPTIONS: dict[str, dict[str, Any]] = {
    "vllm": {},
    "sglang": {},
    "chat": {"model": CHAT, "server": "openai"},
    "responses": {"model": CHAT, "server": "openai", "api": "responses"},
}
#: By the kind of server.
Known = dict[str, tuple[OpenAI, Scripted]]
SERVERS = {"vllm": VLLM, "sglang": SGLang, "chat": OpenAIServer, "responses": OpenAIServer}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, byte_tokenizer: str) -> Iterator[Known]:
    """Return a model on each kind of server, after probing."""
    found = {}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOCOG_CACHE", str(tmp_path_factory.mktemp("cache")))
        for kind, server in SERVERS.items():
            scripted = Scripted(server())
            url = stack.enter_context(serving(scripted)) + "/v1"
            more = {"tokenizer": byte_tokenizer, "api_key": KEY} if "model" in OPTIONS[kind] else {}
            given = {"model": "random", "base_url": url, "max_retries": 0, "timeout": 10}
            model = OpenAI(**{**given, **more, **OPTIONS[kind]})
            assert model.as_model().info.name
            assert model.tokenize("ab") == [97, 98]
            stack.callback(model.close)
            found[kind] = (model, scripted)
        yield found


def opened(connect: Connect, kind: str = "chat", **options: Any) -> tuple[OpenAI, Scripted]:
    """Return a model and its server for one test."""
    scripted = Scripted(SERVERS[kind]())
    model = connect(scripted, **{"max_retries": 0, **OPTIONS[kind], **options})
    assert model.as_model().info.name
    assert model.tokenize("ab") == [97, 98]
    return model, scripted


def asked(model: OpenAI, kind: str = "chat", **more: Any) -> Any:
    arguments = {"max_tokens": 4, "temperature": 0, **more}
    if kind in ("chat", "responses"):
        return model.complete(messages=MESSAGES, **arguments)
    return model.complete("A", **arguments)


STATUSES = [
    (refusal(400, "what?"), InputError, False, "what?"),
    (refusal(401, "Incorrect API key"), ConfigError, False, "api_key"),
    (refusal(403, "no"), ConfigError, False, "permissions"),
    (refusal(404, "no such model"), ConfigError, False, "check model"),
    (refusal(429, "slow down"), RateLimitError, True, "max_concurrency"),
    (refusal(429, "pay", code="insufficient_quota"), RateLimitError, False, "no credit"),
    (refusal(400, "filtered", code="content_filter"), RefusedError, False, "filtered"),
    (refusal(400, "much", code="context_length_exceeded"), ContextOverflowError, False, "shorten"),
    (refusal(413, "maximum context length"), ContextOverflowError, False, "shorten"),
    (refusal(408, "late"), EngineError, True, "408"),
    (refusal(500, "oh"), EngineError, True, "500: oh"),
    (refusal(503, "busy"), EngineError, True, "503: busy"),
    (Response("<html>gone</html>", 502), EngineError, True, "502"),
    (JSONResponse({"detail": [{"msg": "bad field"}]}, 422), InputError, False, "bad field"),
    (JSONResponse(["odd"], 400), InputError, False, "400"),
]


@pytest.mark.parametrize(("answer", "kind", "retryable", "words"), STATUSES)
def test_statuses(known: Known, answer: Response, kind: type, retryable: bool, words: str) -> None:
    model, scripted = known["chat"]
    for more in ({}, {"on_text": lambda text: None}):
        scripted.answers.append(answer)
        with pytest.raises(kind, match=words) as caught:
            asked(model, **more)
        error = caught.value
        assert isinstance(error, AutocogError)
        assert error.retryable is retryable
        assert error.__cause__ is not None
        assert CHAT in error.where
    scripted.answers.append(answer)
    with pytest.raises(kind):
        model.choose(messages=MESSAGES, choices=["yes", "no"])
    assert len(asked(model).logprobs) == 4


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize(
    "answer",
    [
        Response("{", media_type="application/json"),
        Response("<html></html>", media_type="text/html"),
        JSONResponse({}),
        JSONResponse([]),
        JSONResponse("text"),
        JSONResponse(None),
        JSONResponse({"choices": [], "output": None, "meta_info": {}}),
        JSONResponse({"choices": [{"logprobs": {"content": [{}]}, "message": {"content": "a"}}]}),
        JSONResponse({"choices": [{"index": "one"}], "output": [{"content": [{}, 3]}]}),
        JSONResponse({"choices": ["a"], "output": ["a"], "usage": "none"}),
    ],
    ids=lambda answer: answer.body.decode()[:40],
)
def test_malformed_answers(known: Known, kind: str, answer: Response) -> None:
    model, scripted = known[kind]
    calls = [lambda: asked(model, kind), lambda: asked(model, kind, on_text=lambda text: None)]
    if kind in ("vllm", "sglang"):
        calls.append(lambda: model.choose("A", ["b", "c"]))
    for call in calls:
        scripted.answers.append(answer)
        with pytest.raises(EngineError) as caught:
            call()
        assert caught.value.retryable is True
        scripted.answers.clear()
    assert len(asked(model, kind).logprobs) == 4


@pytest.mark.parametrize("kind", OPTIONS)
def test_an_interrupted_stream_is_an_error_without_retry(connect_chat: Connect, kind: str) -> None:
    model, scripted = opened(connect_chat, kind, max_retries=2)
    for spoil in (cut_after, ended_after):
        scripted.answers.append(spoil(12 if kind == "responses" else 6))
        before = scripted.answered
        heard: list[str] = []
        with pytest.raises(ConnectionFailedError) as caught:
            asked(model, kind, on_text=heard.append, max_tokens=40)
        assert caught.value.retryable is True
        assert heard
        assert scripted.answered == before + 1
    assert len(asked(model, kind).logprobs) == 4


def test_an_event_that_is_not_json_is_an_error(known: Known) -> None:
    model, scripted = known["chat"]
    for body in ('data: {"choices"\n\ndata: [DONE]\n\n', 'data: {"choices": [{"delta": 3}]}\n\n'):
        scripted.answers.append(Response(body, media_type="text/event-stream"))
        with pytest.raises((MalformedAnswerError, ConnectionFailedError)):
            asked(model, on_text=lambda text: None)
    body = 'data: {"error": {"message": "out of memory"}}\n\n'
    scripted.answers.append(Response(body, media_type="text/event-stream"))
    with pytest.raises(EngineError, match="out of memory"):
        asked(model, on_text=lambda text: None)


@pytest.mark.parametrize("kind", ["cut", "slow"])
def test_lost_and_slow_answers_end_in_time(connect: Connect, kind: str) -> None:
    faults = Faults(VLLM(), share=1.0, kinds=[kind], slow=5)
    faults.enabled = False
    sent = []

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        async def count(message: Any) -> None:
            sent.append(message["type"])
            await send(message)

        await faults(scope, receive, count)

    model = connect(counted, timeout=0.4, max_retries=0)
    assert model.as_model().info.name
    faults.enabled = True
    sent.clear()
    with pytest.raises(ConnectionFailedError if kind == "cut" else RequestTimeoutError) as caught:
        model.complete("A", max_tokens=4, temperature=0)
    # A slow answer's body comes in about 20 pieces, one in a quarter of a second.
    assert len(sent) <= 6
    assert caught.value.retryable is True
    faults.enabled = False
    assert model.complete("A", max_tokens=1, temperature=0).finish_reason == "length"


def test_silence_ends_in_time(connect_chat: Connect) -> None:
    model, scripted = opened(connect_chat, timeout=0.3)
    waited = 0

    async def silence(app: Any, scope: Any, receive: Any, send: Any) -> None:
        nonlocal waited
        for _ in range(100):
            await asyncio.sleep(0.05)
            waited += 1

    scripted.answers.append(silence)
    with pytest.raises(RequestTimeoutError) as caught:
        asked(model)
    # A second, by the server's clock: it stands still where this process does.
    assert waited < 20
    assert caught.value.retryable is True
    assert len(asked(model).logprobs) == 4


def test_an_event_that_trickles_in_ends_in_time(connect_chat: Connect) -> None:
    model, scripted = opened(connect_chat, timeout=0.4)
    sent = 0

    async def trickle(app: Any, scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"d", "more_body": True})
            sent += 1
            await asyncio.sleep(0.05)

    scripted.answers.append(trickle)
    with pytest.raises(RequestTimeoutError):
        list(model.stream("A", max_tokens=4))
    assert sent <= 40
    assert len(asked(model).logprobs) == 4


def test_retries_wait_for_retry_after(connect_chat: Connect) -> None:
    model, scripted = opened(connect_chat, max_retries=1)
    scripted.answers.append(refusal(429, headers={"retry-after": "0.3"}))
    begun = time.monotonic()
    assert len(asked(model).logprobs) == 4
    assert time.monotonic() - begun >= 0.3
    assert scripted.answered == 1


def test_max_retries_limits_the_retries(connect_chat: Connect) -> None:
    model, scripted = opened(connect_chat, max_retries=1)
    scripted.answers += [refusal(503, headers={"retry-after": "0.01"})] * 5
    with pytest.raises(EngineError, match="503"):
        asked(model)
    assert scripted.answered == 2


def test_prompts_that_do_not_fit(known: Known) -> None:
    for kind, (model, _) in known.items():
        with pytest.raises(ContextOverflowError):
            asked(model, kind, max_tokens=2100)
        assert len(asked(model, kind).logprobs) == 4


def test_an_address_without_a_server(connect: Connect) -> None:
    with serving(VLLM()) as url:
        pass
    model = OpenAI(model="random", base_url=f"{url}/v1", max_retries=0, timeout=5)
    with pytest.raises(ConnectionFailedError, match="check that the server is running") as caught:
        model.complete("A", max_tokens=1)
    assert caught.value.retryable is True
    assert caught.value.exit_code == 1


def test_a_closed_model_raises_closed_error(connect_chat: Connect) -> None:
    model, _ = opened(connect_chat)
    model.close()
    with pytest.raises(ClosedError):
        asked(model)


def test_after_an_error_at_one_position_the_next_choice_works(
    connect: Connect,
) -> None:
    scripted = Scripted(VLLM())
    model = connect(scripted, max_retries=0)
    choices = [" Paris", " Lyon", " Rome", " Oslo"]
    expected = model.choose("The capital is", choices).to_dict()
    scripted.answers += [refusal(500)] * 2
    with pytest.raises(EngineError, match="500"):
        model.choose("The capital is", choices)
    scripted.answers.clear()
    again = model.choose("The capital is", choices).to_dict()
    assert again["scores"] == expected["scores"]
