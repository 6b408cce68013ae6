"""A request ends in time, and its answer takes bounded memory, whatever a server sends."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import (
    ConnectionFailedError,
    MalformedAnswerError,
    RequestTimeoutError,
)
from autocog_openai.connection.options import OpenAIOptions
from tests.support.openai.servers.raw import (
    Answer,
    RawServer,
    dripping,
    head,
    raw_serving,
    whole,
)

TIMEOUT = 0.2
#: For busy machines.
MARGIN = 1.5
STREAM = head(kind="text/event-stream")


@contextmanager
def connected(answer: Answer, **options: Any) -> Iterator[tuple[Connection, RawServer]]:
    with raw_serving(answer) as server:
        given = {"model": "m", "max_retries": 0, "timeout": TIMEOUT, **options}
        connection = Connection(OpenAIOptions(base_url=f"{server.url}/v1", **given))
        yield connection, server
        connection.close()


def ends_in_time(call: Callable[[], Any], kind: type[Exception] = RequestTimeoutError) -> None:
    begun = time.monotonic()
    with pytest.raises(kind):
        call()
    assert time.monotonic() - begun < TIMEOUT + MARGIN


ENDLESS = {
    "a head, byte by byte": (b"HTTP/1.1 200 OK\r\nx-a: ", b"a", 0.02),
    "heads, one after the other": (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", 0.02),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
    "a body, byte by byte": (head(), b" ", 0.02),
    "a body in chunks": (head(transfer_encoding="chunked"), b"1\r\n \r\n", 0.02),
    "comments of a stream": (STREAM, b": still here\n\n", 0.02),
    "events": (STREAM, b'data: {"choices": [{"text": "a"}]}\n\n', 0.02),
    "an error's body": (head(500), b" ", 0.02),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_without_an_end_ends_at_the_timeout(name: str) -> None:
    start, piece, seconds = ENDLESS[name]
    answer = dripping(start, piece, seconds, lambda: server)
    with connected(answer) as (connection, server):
        ends_in_time(lambda: connection.get("v1/models"))
        ends_in_time(lambda: connection.post("v1/completions", {"prompt": "a"}))
        server.answer = whole({"ok": True})
        assert connection.get("v1/models") == {"ok": True}


@pytest.mark.parametrize(
    "name", ["comments of a stream", "events", "a head, byte by byte", "interim answers"]
)
def test_a_stream_without_text_ends_at_the_timeout(name: str) -> None:
    start, piece, seconds = ENDLESS[name]
    answer = dripping(start, piece, seconds, lambda: server)

    def read(connection: Connection) -> None:
        with connection.stream("v1/completions", {}, progress=lambda: 0) as events:
            for _ in events:
                pass

    with connected(answer) as (connection, server):
        ends_in_time(lambda: read(connection))


def test_a_stream_with_text_may_take_longer_than_the_timeout() -> None:
    pieces = 0

    def answer(sock: Any, request: Any) -> None:
        sock.sendall(STREAM)
        for _ in range(8):
            sock.sendall(b": a comment\n\n")
            time.sleep(TIMEOUT / 4)
            sock.sendall(b'data: {"text": "a"}\n\n')
        sock.sendall(b"data: [DONE]\n\n")

    with (
        connected(answer) as (connection, _),
        connection.stream("v1/completions", {}, progress=lambda: pieces) as events,
    ):
        for _ in events:
            pieces += 1
            # What the caller does meanwhile does not count.
            time.sleep(TIMEOUT if pieces == 3 else 0)
    assert pieces == 8


@pytest.mark.parametrize(
    "event",
    [
        b'{"choices": [{"delta": {"content": "", "reasoning_content": "hm"}}]}',
        b'{"choices": [{"delta": {"reasoning": "hm"}}]}',
        b'{"type": "response.reasoning_text.delta", "delta": "hm"}',
    ],
)
def test_a_model_that_thinks_first_may_take_longer_than_the_timeout(
    event: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    thought = 0

    def answer(sock: Any, request: Any) -> None:
        sock.sendall(STREAM)
        for _ in range(6):
            sock.sendall(b"data: " + event + b"\n\n")
            time.sleep(TIMEOUT / 3)
        sock.sendall(b"data: [DONE]\n\n")

    def read() -> None:
        nonlocal thought
        with connection.stream("v1/completions", {}, progress=lambda: 0) as events:
            for _ in events:
                thought += 1

    with connected(answer) as (connection, _):
        read()
        assert thought == 6
        # But not for ever.
        monkeypatch.setattr("autocog_openai.connection.client.MAX_THINKING_TIMEOUTS", 1)
        ends_in_time(read)


def test_all_redirects_of_a_request_share_its_time() -> None:
    def answer(sock: Any, request: Any) -> None:
        time.sleep(TIMEOUT / 3)
        sock.sendall(head(307, location=f"{request.target}x", content_length=0))

    with connected(answer) as (connection, _):
        ends_in_time(lambda: connection.get("v1/models"))


def test_a_server_that_does_not_read_ends_at_the_timeout() -> None:
    """A long prompt does not fit the socket's buffers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        options = OpenAIOptions(model="m", base_url=url, max_retries=0, timeout=TIMEOUT)
        connection = Connection(options)
        body = {"prompt": "a" * 20_000_000}
        ends_in_time(lambda: connection.post("v1/completions", body))
        connection.close()


#: 32 MiB out of 32 KiB.
BOMBS = {
    "gzip": gzip.compress(b" " * 2**25),
    "gzip, gzip": gzip.compress(gzip.compress(b" " * 2**25)),
    "deflate": zlib.compress(b" " * 2**25),
}


@pytest.mark.parametrize("encoding", BOMBS)
def test_a_large_answer_out_of_a_small_one_is_refused(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autocog_openai.connection.limits.MAX_ANSWER_BYTES", 2**22)
    packed = BOMBS[encoding]
    assert len(packed) < 100_000
    for status in (200, 400):
        with connected(whole(packed, status, content_encoding=encoding), timeout=30) as (opened, _):
            tracemalloc.start()
            try:
                with pytest.raises(MalformedAnswerError, match="larger than 4 MiB") as caught:
                    opened.get("v1/models")
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert not caught.value.retryable
        assert peak < 3 * 2**22


def test_the_time_of_unpacking_counts() -> None:
    answer = whole(BOMBS["gzip"], content_encoding="gzip")
    with connected(answer, timeout=0.01) as (opened, _):
        ends_in_time(lambda: opened.get("v1/models"))


def test_an_endless_body_is_refused_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autocog_openai.connection.limits.MAX_ANSWER_BYTES", 2**20)
    for start in (head(), STREAM):
        answer = dripping(start, b"a" * 10_000, 0, lambda: server)
        with connected(answer, timeout=30) as (opened, server):
            with pytest.raises(MalformedAnswerError, match="larger than 1 MiB"):
                opened.get("v1/models")
            with (
                pytest.raises(MalformedAnswerError, match=r"larger than 1 MiB|in place of"),
                opened.stream("v1/completions", {}, progress=lambda: 0) as events,
            ):
                list(events)


def test_a_stream_may_be_larger_than_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some servers repeat the text before in each event."""
    monkeypatch.setattr("autocog_openai.connection.limits.MAX_ANSWER_BYTES", 2**20)
    events = b"".join(b'data: {"text": "%s"}\n\n' % (b"a" * 300_000) for _ in range(20))
    with (
        connected(whole(events, kind="text/event-stream"), timeout=30) as (opened, _),
        opened.stream("v1/completions", {}, progress=lambda: 0) as received,
    ):
        assert len(list(received)) == 20


def test_compressed_answers_are_read() -> None:
    packed = gzip.compress(b'{"ok": true}')
    with connected(whole(packed, content_encoding="gzip")) as (opened, _):
        assert opened.get("v1/models") == {"ok": True}
    events = gzip.compress(b'data: {"text": "a"}\n\n')
    answer = whole(events, kind="text/event-stream", content_encoding="gzip")
    with (
        connected(answer) as (opened, _),
        opened.stream("v1/completions", {}, progress=lambda: 0) as received,
    ):
        assert list(received) == [{"text": "a"}]


@pytest.mark.parametrize(
    "body",
    [b"\x1f\x8b no gzip", gzip.compress(b"[1, 2, 3]" * 99, mtime=0)[:40]],
    ids=["no gzip", "truncated"],
)
def test_a_damaged_compression_is_a_malformed_answer(body: bytes) -> None:
    with connected(whole(body, content_encoding="gzip")) as (opened, _):
        with pytest.raises(MalformedAnswerError) as caught:
            opened.get("v1/models")
        assert caught.value.retryable


def test_a_cut_connection_is_a_connection_error() -> None:
    for start in (b"", b"HTTP/1.1 200", head(content_length=100) + b"{", b"nonsense\r\n\r\n"):

        def answer(sock: Any, request: Any, start: bytes = start) -> None:
            sock.sendall(start)

        with connected(answer) as (opened, _):
            with pytest.raises(ConnectionFailedError) as caught:
                opened.get("v1/models")
            assert caught.value.retryable
