"""Streams end at `max_tokens`, and are read only where one was requested."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse

from autocog_openai.connection.errors import MalformedAnswerError, RequestTimeoutError
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.scripted import Scripted

MESSAGES = [{"role": "user", "content": "Tell me."}]


def event(text: str, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, **more}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def streamed(pieces: Iterator[bytes]) -> Response:
    return StreamingResponse(pieces, media_type="text/event-stream")


def opened(connect_chat: Connect, **options: Any) -> tuple[Any, Scripted]:
    scripted = Scripted(Generic())
    model = connect_chat(scripted, max_retries=0, **options)
    assert model.as_model().info.name
    return model, scripted


def test_a_server_that_ignores_max_tokens_is_cut(connect_chat: Connect) -> None:
    model, scripted = opened(connect_chat)
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(20_000):
            sent += 1
            yield event("word ")

    scripted.answers.append(streamed(pieces()))
    heard: list[str] = []
    completion = model.complete(messages=MESSAGES, max_tokens=3, on_text=heard.append)
    assert completion.text == "".join(heard) == "word word word "
    assert completion.finish_reason == "length"
    # The connection was cut: the server wrote only what fits into buffers.
    assert sent < 15_000


def test_a_text_of_exactly_max_tokens_keeps_its_end(connect_chat: Connect) -> None:
    model, scripted = opened(connect_chat)
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    end = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
    events = [event("a")] * 3 + [event("", finish_reason="stop"), end, b"data: [DONE]\n\n"]
    scripted.answers.append(streamed(iter(events)))
    before = model.as_model().usage.completion_tokens
    completion = model.complete(messages=MESSAGES, max_tokens=3, on_text=lambda text: None)
    assert completion.text == "aaa"
    assert completion.finish_reason != "length"
    assert model.as_model().usage.completion_tokens == before + 3


def test_empty_pieces_end_at_the_timeout(connect_chat: Connect) -> None:
    import asyncio

    model, scripted = opened(connect_chat, timeout=0.4)

    async def empty(app: Any, scope: Any, receive: Any, send: Any) -> None:
        async def pieces() -> Any:
            for _ in range(200):
                yield event("")
                yield event("", role="assistant")
                yield b": still here\n\n"
                await asyncio.sleep(0.05)

        await StreamingResponse(pieces(), media_type="text/event-stream")(scope, receive, send)

    scripted.answers.append(empty)
    with pytest.raises(RequestTimeoutError):
        model.complete(messages=MESSAGES, max_tokens=3, on_text=lambda text: None)


def test_a_whole_answer_in_place_of_a_stream_is_malformed(connect_chat: Connect) -> None:
    model, scripted = opened(connect_chat)
    message = {"role": "assistant", "content": "hello"}
    scripted.answers.append(JSONResponse({"choices": [{"index": 0, "message": message}]}))
    with pytest.raises(MalformedAnswerError, match="in place of a stream"):
        model.complete(messages=MESSAGES, max_tokens=3, on_text=lambda text: None)
    scripted.answers.append(streamed(iter([event("a"), event("", finish_reason="stop")])))
    with pytest.raises(MalformedAnswerError, match="not JSON"):
        model.complete(messages=MESSAGES, max_tokens=3)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b"{", b"\xff", b"nan?", b'{"a": ' * 3000 + b"1" + b"}" * 3000]
)
def test_an_event_that_cannot_be_read_is_malformed(connect_chat: Connect, data: bytes) -> None:
    model, scripted = opened(connect_chat)
    scripted.answers.append(streamed(iter([event("a"), b"data: " + data + b"\n\n"])))
    with pytest.raises(MalformedAnswerError):
        model.complete(messages=MESSAGES, max_tokens=3, on_text=lambda text: None)
