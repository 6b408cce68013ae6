"""Redirects stay on the server: keys, headers and prompts reach no other address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from autocog_core.errors import ConfigError
from autocog_openai import OpenAI
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import RedirectError
from autocog_openai.connection.options import OpenAIOptions
from tests.support.openai.servers.raw import RawServer, head, raw_serving, whole
from tests.support.openai.servers.serving import serving
from tests.support.openai.servers.vllm import VLLM

KEY, HEADER = "sk-a-key-of-mine-1234", "another-secret-5678"


@pytest.fixture
def elsewhere() -> Iterator[RawServer]:
    with raw_serving(whole({"data": [{"id": "m"}], "choices": []})) as server:
        yield server


def connect(url: str, **options: Any) -> Connection:
    given = {"model": "m", "api_key": KEY, "headers": {"api-key": HEADER}, "max_retries": 1}
    return Connection(OpenAIOptions(base_url=f"{url}/v1", timeout=5, **{**given, **options}))


def redirecting(location: str, status: int = 307) -> Any:
    def answer(sock: Any, request: Any) -> None:
        sock.sendall(head(status, location=location, content_length=0))

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_is_sent_to_another_address(elsewhere: RawServer, status: int) -> None:
    target = f"{elsewhere.url}/v1/models?api_key=hidden-1234"
    with raw_serving(redirecting(target, status)) as server:
        connection = connect(server.url)
        calls = [
            lambda: connection.get("v1/models"),
            lambda: connection.get("/version"),
            lambda: connection.post("v1/completions", {"prompt": "private"}),
            lambda: stream(connection),
        ]
        for call in calls:
            with pytest.raises(RedirectError) as caught:
                call()
            assert elsewhere.url in caught.value.message
            assert "base_url" in caught.value.hint
            assert "hidden-1234" not in str(caught.value)
            assert not caught.value.retryable
        connection.close()
    assert elsewhere.requests == []
    # A redirect is no failure that may pass: it is not asked again.
    assert len(server.requests) == len(calls)


def stream(connection: Connection) -> list[Any]:
    with connection.stream("v1/completions", {"prompt": "a"}, progress=lambda: 0) as events:
        return list(events)


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1:{port}/v1/models",
        "http://localhost:{port}/v1/models",
        "//127.0.0.1:1/v1/models",
        "http://127.0.0.1:{port}@example.invalid/v1/models",
        "https:///v1/models",
    ],
)
def test_another_scheme_host_or_port_is_another_address(location: str) -> None:
    with raw_serving(whole({})) as server:
        port = server.url.rpartition(":")[2]
        server.answer = redirecting(location.format(port=port))
        connection = connect(server.url, max_retries=0)
        with pytest.raises(RedirectError):
            connection.get("v1/models")
        connection.close()
    assert len(server.requests) == 1


def test_a_redirect_on_the_server_is_followed_with_key_and_prompt() -> None:
    def answer(sock: Any, request: Any) -> None:
        moved = redirecting(f"/moved{request.target}")
        (whole({"ok": True}) if "moved" in request.target else moved)(sock, request)

    with raw_serving(answer) as server:
        connection = connect(server.url)
        assert connection.get("v1/models") == {"ok": True}
        assert connection.post("v1/completions", {"prompt": "private"}) == {"ok": True}
        connection.close()
    last = server.requests[-1]
    assert last.target == "/moved/v1/completions"
    assert last.json == {"prompt": "private"}
    assert last.headers["authorization"] == f"Bearer {KEY}"
    assert last.headers["api-key"] == HEADER


def test_a_redirect_while_probing_is_an_error_and_no_fact(elsewhere: RawServer) -> None:
    """Each request in turn is redirected."""
    server, lock = VLLM(), threading.Lock()
    seen = place = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal seen
        with lock:
            seen += 1
            is_redirected = seen == place
        if is_redirected:
            location = f"{elsewhere.url}{scope['path']}".encode()
            start = {"type": "http.response.start", "status": 307}
            await send({**start, "headers": [(b"location", location), (b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        else:
            await server(scope, receive, send)

    with serving(app) as url:
        for place in (1, 2, 3, 9, 30):
            seen = 0
            given = {"base_url": f"{url}/v1", "api_key": KEY, "timeout": 10}
            model = OpenAI(model="random", reprobe=True, **given)
            with pytest.raises(ConfigError, match="redirects to another address"):
                model.as_model().info  # noqa: B018
            place = 0
            assert model.as_model().info.details["token_logprobs"] is True
            model.close()
    assert elsewhere.requests == []


def test_a_circle_of_redirects_ends() -> None:
    with raw_serving(redirecting("/v1/models")) as server:
        connection = connect(server.url, max_retries=0)
        with pytest.raises(Exception, match="redirects") as caught:
            connection.get("v1/models")
        assert type(caught.value).__module__.startswith("autocog")
        connection.close()
