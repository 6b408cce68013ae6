"""Clients that send nonsense, too much, too slowly, or read nothing: an error for them alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import httpx2
import pytest

from autocog_core.config.server_config import ServerConfig, ServerLimits
from tests.support.raw_http import JSON, connection, head, post, read_answer, seconds_until_end
from tests.support.served import server_in_thread

LIMITS = ServerLimits(
    connections=20, header_seconds=0.4, body_bytes=65536, body_seconds=0.4, send_seconds=0.4
)
BODY = {"prompt": "It is", "choices": [" a", " b"]}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server_in_thread(config=ServerConfig(limits=LIMITS)) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=url, timeout=20, verify=False) as client:
        yield client


@pytest.fixture(autouse=True)
def others_are_served(url: str) -> Iterator[None]:
    yield
    with connection(url) as sock:
        sock.sendall(post("/v1/choose", BODY))
        assert read_answer(sock)[0] == 200


def test_two_requests_at_once_are_answered_in_order(url: str) -> None:
    with connection(url) as sock:
        sock.sendall(post("/v1/choose", BODY) + head("GET", "/health"))

        assert read_answer(sock)[0] == 200
        assert read_answer(sock) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (head("GET", "/health", {"X": "a" * 70_000}), 431),
        (head("GET", "/health", {f"X-{n}": "a" for n in range(10_000)}), 431),
        (head("GET", "/health", {f"X-{n}": "a" for n in range(200)}), 431),
        (head("POST", "/v1/choose", {**JSON, "Content-Length": "-5"}), 400),
        (head("POST", "/v1/choose", {**JSON, "Content-Length": "9" * 5000}), 400),
        (head("POST", "/v1/choose", {**JSON, "Transfer-Encoding": "chunked"}) + b"zz\r\n", 400),
    ],
    ids=["tls", "long", "10000", "200", "negative", "huge", "chunk"],
)
def test_what_is_not_http_is_refused(url: str, request_bytes: bytes, status: int) -> None:
    with connection(url) as sock:
        sock.sendall(request_bytes)
        answered, body = read_answer(sock)
        # Headers that come in many parts are refused before they end.
        assert answered in {status, 400}, body
        assert "error" in body
        if answered == 400:
            assert seconds_until_end(sock) < 5


def test_a_body_with_two_lengths_ends_the_connection(url: str) -> None:
    lengths = {"Content-Length": "5", "Transfer-Encoding": "chunked"}
    with connection(url) as sock:
        sock.sendall(head("POST", "/v1/choose", {**JSON, **lengths}) + b"0\r\n\r\n")
        sock.sendall(head("GET", "/health"))

        assert read_answer(sock)[0] == 400
        assert not sock.recv(1)


@pytest.mark.parametrize("sent", [b"", b"GET /hea", head("GET", "/health")[:-2]])
def test_headers_that_do_not_end_end_the_connection(url: str, sent: bytes) -> None:
    with connection(url) as sock:
        sock.sendall(sent)
        if sent:
            status, body = read_answer(sock)
            assert status == 408
            assert body["error"]["code"] == "timeout"
        assert seconds_until_end(sock) < 5


def test_headers_that_come_letter_by_letter_end_the_connection(url: str) -> None:
    begin = time.monotonic()
    with connection(url) as sock:
        try:
            for byte in head("GET", "/health", {"X": "a" * 1000}):
                sock.sendall(bytes([byte]))
                time.sleep(0.01)
        except ConnectionError:
            pass
        else:
            raise AssertionError("the server waited for all headers")
    assert time.monotonic() - begin < 5


def test_a_body_that_does_not_arrive_ends_the_request(url: str) -> None:
    with connection(url) as sock:
        sock.sendall(head("POST", "/v1/choose", {**JSON, "Content-Length": "1000"}) + b'{"prompt"')

        status, body = read_answer(sock)

        assert (status, body["error"]["code"]) == (408, "timeout")
        assert seconds_until_end(sock) < 5


@pytest.mark.parametrize(
    "headers", [{"Content-Length": "100000000"}, {"Transfer-Encoding": "chunked"}]
)
def test_a_body_of_100_megabytes_is_refused(url: str, headers: Mapping[str, str]) -> None:
    part = b"a" * 1_000_000
    if "Transfer-Encoding" in headers:
        part = b"f4240\r\n" + part + b"\r\n"
    with connection(url) as sock:
        sock.sendall(head("POST", "/v1/choose", {**JSON, **headers}))
        answers = []
        reader = threading.Thread(target=lambda: answers.append(read_answer(sock)))
        reader.start()
        try:
            for _ in range(100):
                sock.sendall(part)
        except ConnectionError:
            # The rest was not read within the time for bodies.
            pass
        reader.join(20)

    ((status, body),) = answers
    assert (status, body["error"]["code"]) == (413, "body_too_large")


def test_a_client_that_asks_first_sends_no_large_body(url: str) -> None:
    headers = {**JSON, "Content-Length": "100000000", "Expect": "100-continue"}
    with connection(url) as sock:
        sock.sendall(head("POST", "/v1/choose", headers))
        assert read_answer(sock)[0] == 413


def test_a_refused_body_that_never_ends_ends_the_connection(url: str) -> None:
    with connection(url) as sock:
        sock.sendall(head("POST", "/nothing", {"Transfer-Encoding": "chunked"}) + b"1\r\na\r\n")
        assert read_answer(sock)[0] == 415
        assert seconds_until_end(sock) < 5


def test_a_client_that_reads_nothing_is_dropped(url: str, client: httpx2.Client) -> None:
    with connection(url) as sock:
        sock.setblocking(False)
        request = head("GET", "/openapi.json")
        end = time.monotonic() + 10
        dropped = False
        while not dropped and time.monotonic() < end:
            try:
                sock.send(request * 20)
            except BlockingIOError:
                assert client.get("/health").status_code == 200
                time.sleep(0.05)
            except ConnectionError:
                dropped = True
        assert dropped


def test_connections_above_their_number_are_refused(url: str) -> None:
    with ExitStack() as stack:
        for _ in range(LIMITS.connections):
            stack.enter_context(connection(url))
        status, body = read_answer(stack.enter_context(connection(url)))
    assert status == 503
    assert body["error"]["code"] == "unavailable"
    time.sleep(0.1)


@pytest.mark.parametrize(
    ("content", "statuses"),
    [
        (b'{"prompt": "\xff", "choices": ["a"]}', {400, 422}),
        (b"[" * 60_000, {400, 422}),
        (b'{"prompt": ' + b"9" * 5000 + b"}", {400, 422}),
        (b'{"prompt": "\\ud800", "choices": ["a", "b"]}', {400, 422}),
        (b'{"\\ud800": 1, "prompt": "a", "choices": ["a", "b"]}', {400, 422}),
        (b'{"model": "\\ud800\\n", "prompt": "a", "choices": ["a", "b"]}', {400, 404, 422}),
        (b"", {400, 422}),
        (b"null", {400, 422}),
        (b'{"prompt": NaN}', {400, 422}),
        (b'{"prompt": "a", "choices": ["a"], "prompt": "b"', {400, 422}),
    ],
)
def test_a_body_that_is_not_right_is_an_error_of_the_client(
    client: httpx2.Client, content: bytes, statuses: set[int]
) -> None:
    answer = client.post("/v1/choose", content=content, headers=JSON)

    assert answer.status_code in statuses, answer.text
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"]
)
def test_what_a_browser_may_send_to_any_site_is_refused(
    client: httpx2.Client, kind: str | None
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = client.post("/v1/choose", content=b'{"prompt": "a"}', headers=headers)

    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "not_json"


def test_head_is_get_without_a_body_and_options_says_what_is_there(client: httpx2.Client) -> None:
    answer = client.head("/health")
    assert (answer.status_code, answer.content) == (200, b"")
    assert client.options("/v1/choose").headers["allow"] == "POST"
    assert client.request("DELETE", "/v1/choose").status_code == 405
    assert client.get("/health").headers["x-content-type-options"] == "nosniff"
