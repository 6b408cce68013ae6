"""An error in the body of an answer, or in an event, is that error, whatever the status says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from autocog_core.errors import AutocogError, ContextOverflowError, EngineError, InputError
from autocog_openai import OpenAI
from autocog_openai.connection.answer_errors import error_in, status_of
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import AccessDeniedError, NotFoundError, RateLimitError
from autocog_openai.connection.options import OpenAIOptions
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.raw import raw_serving, whole
from tests.support.openai.servers.scripted import Scripted
from tests.support.openai.servers.serving import serving
from tests.support.openai.servers.sglang import SGLang
from tests.support.openai.servers.vllm import VLLM

MESSAGES = [{"role": "user", "content": "Tell me."}]
SLOW_DOWN = {"message": "slow down", "code": 429}

#: Bodies with status 200, the type of the error, whether it may pass, and its words.
BODIES: list[tuple[Any, type[AutocogError], bool, str]] = [
    ({"error": SLOW_DOWN}, RateLimitError, True, "429: slow down"),
    ({"error": SLOW_DOWN, "choices": None}, RateLimitError, True, "slow down"),
    ({"error": SLOW_DOWN, "choices": []}, RateLimitError, True, "slow down"),
    ({"error": {"message": "pay", "code": "insufficient_quota"}}, RateLimitError, False, "pay"),
    ({"error": {"message": "no", "type": "rate_limit_error"}}, RateLimitError, True, "no"),
    ({"error": {"message": "oh", "code": 502}}, EngineError, True, "502: oh"),
    ({"error": {"message": "oh", "code": "503"}}, EngineError, True, "oh"),
    ({"error": {"message": "oh", "type": "server_error"}}, EngineError, True, "oh"),
    ({"error": {"message": "oh", "status": "UNAVAILABLE"}}, EngineError, True, "oh"),
    ({"error": {"message": "who?", "code": "invalid_api_key"}}, AccessDeniedError, False, "who"),
    ({"error": {"message": "gone", "code": 404}}, NotFoundError, False, "gone"),
    (
        {"error": {"message": "x", "code": "context_length_exceeded"}},
        ContextOverflowError,
        False,
        "x",
    ),
    ({"error": {"message": "what?", "code": 400}}, InputError, False, "400: what?"),
    ({"error": {"message": "what?", "type": "BadRequestError"}}, InputError, False, "what?"),
    # Without a code, nothing says that it may pass.
    ({"error": "Unexpected endpoint"}, InputError, False, "Unexpected endpoint"),
    ({"error": {"message": "odd", "code": -32000}}, InputError, False, "odd"),
    ({"error": [1, {"a": 2}]}, InputError, False, "'a': 2"),
    ({"object": "error", "message": "bad", "code": 400, "type": "x"}, InputError, False, "bad"),
    ({"choices": [{"error": SLOW_DOWN, "finish_reason": "error"}]}, RateLimitError, True, "slow"),
    ([{"text": "a"}, {"error": SLOW_DOWN}], RateLimitError, True, "slow down"),
    (SLOW_DOWN, RateLimitError, True, "429: slow down"),
    ({"status": "503", "message": "oh", "choices": None}, EngineError, True, "503: oh"),
    ({"error": "Rate limit reached"}, RateLimitError, True, "Rate limit reached"),
    ({"error": {"message": "The model is overloaded"}}, EngineError, True, "is overloaded"),
    ({"error": {"message": "Please try again later."}}, EngineError, True, "again later"),
    ({"error": {"message": "x", "status": "RESOURCE_EXHAUSTED"}}, RateLimitError, True, "x"),
    ({"error": {"message": "x", "code": 429.0}}, RateLimitError, True, "x"),
    ({"error": {"message": "no credit", "code": 402}}, RateLimitError, False, "402: no credit"),
]


def connection(url: str, **options: Any) -> Connection:
    given = {"model": "m", "base_url": f"{url}/v1", "timeout": 5, "max_retries": 0, **options}
    return Connection(OpenAIOptions(**given))


@pytest.mark.parametrize(("body", "kind", "retryable", "words"), BODIES)
def test_an_error_with_status_200_is_raised(
    body: Any, kind: type[AutocogError], retryable: bool, words: str
) -> None:
    with raw_serving(whole(body)) as server:
        opened = connection(server.url)
        for call in (
            lambda: opened.get("v1/models"),
            lambda: opened.post("v1/chat/completions", {}),
            # Where a stream is requested, too.
            lambda: stream(opened),
        ):
            with pytest.raises(kind) as caught:
                call()
            assert words in caught.value.message
            assert caught.value.retryable is retryable
        opened.close()


def stream(opened: Connection) -> list[Any]:
    with opened.stream("v1/chat/completions", {}, progress=lambda: 0) as events:
        return list(events)


STREAMED: list[tuple[Any, type[AutocogError], bool, str]] = [
    *BODIES[:12],
    ({"error": "out of memory"}, EngineError, True, "out of memory"),
    ({"type": "error", "message": "no", "code": "rate_limit_exceeded"}, RateLimitError, True, "no"),
    ({"response": {"error": {"message": "no", "code": "server_error"}}}, EngineError, True, "no"),
]


@pytest.mark.parametrize(("event", "kind", "retryable", "words"), STREAMED)
def test_an_error_in_a_stream_is_raised_with_its_words(
    event: Any, kind: type[AutocogError], retryable: bool, words: str
) -> None:
    body = b'data: {"choices": [{"text": "a"}]}\n\ndata: ' + json.dumps(event).encode() + b"\n\n"
    with raw_serving(whole(body, kind="text/event-stream")) as server:
        opened = connection(server.url)
        with pytest.raises(kind, match=words.split()[-1]) as caught:
            stream(opened)
        assert caught.value.retryable is retryable
        opened.close()


def test_a_rate_limit_with_status_200_is_retried_as_others(connect_chat: Connect) -> None:
    scripted = Scripted(Generic())
    model = connect_chat(scripted, max_retries=2)
    assert model.as_model().info.name
    scripted.answers += [JSONResponse({"error": SLOW_DOWN}, headers={"retry-after": "0.01"})] * 2
    assert model.complete(messages=MESSAGES, max_tokens=2, temperature=0).text
    assert scripted.answered == 2


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (Generic, SLOW_DOWN),
        (VLLM, {"message": "oh", "code": 503}),
        pytest.param(SGLang, SLOW_DOWN, marks=pytest.mark.soak),
    ],
)
def test_an_error_while_probing_is_raised_and_leaves_no_fact(
    connect: Connect, byte_tokenizer: str, make: Any, error: Any, tmp_path: Path
) -> None:
    """Each request in turn is answered so."""
    options = {"tokenizer": byte_tokenizer} if make is Generic else {}
    server = make(Engine(seed=1))
    expected = connect(server, max_retries=0, **options).as_model().info.details
    total = len(server.log.paths)
    for method in ("GET", "POST"):
        for place in range(0, total, 11):
            scripted = Scripted(make(Engine(seed=1)), method)

            async def passed(app: Any, scope: Any, receive: Any, send: Any) -> None:
                await app(scope, receive, send)

            scripted.answers += [passed] * place + [JSONResponse({"error": error, "choices": None})]
            model = connect(scripted, max_retries=0, max_concurrency=1, **options)
            if place < sum(request.method == method for request in server.log.requests[:total]):
                with pytest.raises(EngineError, match=error["message"]) as caught:
                    model.as_model().info  # noqa: B018
                assert caught.value.retryable
            details = model.as_model().info.details
            assert {**details, "base_url": ""} == {**expected, "base_url": ""}
            model.close()


def test_an_error_of_what_a_server_does_not_have_means_that_it_is_missing(
    connect_chat: Connect,
) -> None:
    """Some servers answer with 200 and a text on every route that they do not have."""
    scripted = Scripted(Generic())

    async def unknown(app: Any, scope: Any, receive: Any, send: Any) -> None:
        is_known = scope["path"].startswith("/v1/chat")
        body = {"error": f"Unexpected endpoint or method. ({scope['path']})"}
        await (app if is_known else JSONResponse(body))(scope, receive, send)

    scripted.answers += [unknown] * 50
    details = connect_chat(scripted, max_retries=0).as_model().info.details
    assert details["completions"] is False
    assert details["chat_max_top_logprobs"] == 20


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"text": 'an "error": {"code": 429}'}]},
        {"choices": [], "error": None},
        {"response": {"error": None}, "error": ""},
        {"tokens": ["error", "object"], "object": "list"},
        {"choices": "error"},
        {"choices": [{"text": "a"}], "code": 429, "message": "slow down"},
        {"message": "hello", "code": 200},
        [],
        "error",
        None,
    ],
)
def test_what_is_no_error_is_none(answer: Any) -> None:
    assert error_in(answer) is None
    with raw_serving(whole(answer)) as server:
        opened = connection(server.url)
        assert opened.get("v1/models") == answer
        opened.close()


def test_a_status_is_read_from_any_field() -> None:
    assert status_of({"code": 429.5}) is None
    assert status_of({"code": True}) is None
    assert status_of({"code": "ECONNRESET"}) is None
    assert status_of("429") is None
    assert status_of({"status": 503}) == 503
    assert status_of({"code": "Rate limit exceeded"}) == 429


def test_nothing_exact_comes_of_a_server_that_only_errs(
    connect_chat: Connect, tmp_path: Path
) -> None:
    body = {"error": SLOW_DOWN, "choices": None}
    scripted = Scripted(Generic())
    scripted.answers += [JSONResponse(body)] * 99
    model: OpenAI = connect_chat(scripted, max_retries=0)
    for call in (
        lambda: model.choose(messages=MESSAGES, choices=["yes", "no"]),
        lambda: model.complete(messages=MESSAGES, max_tokens=2),
        lambda: list(model.stream("A", max_tokens=2)),
    ):
        with pytest.raises(RateLimitError):
            call()
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_an_html_error_page_with_status_200_names_the_page() -> None:
    page = Response("<html>The model is paused</html>", media_type="text/html")
    with serving(page) as url:
        opened = connection(url)
        with pytest.raises(EngineError, match="paused"):
            opened.get("v1/models")
        opened.close()
