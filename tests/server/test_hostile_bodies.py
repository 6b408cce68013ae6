"""Bodies that no client should send: each is an error of that request, never one of the server."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.server.test_openapi_document import examples
from tests.support.soak import SOAK, count

JSON = "application/json"
DEEP = 100_000
RAW: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "a number": b"1",
    "a text": b'"text"',
    "a list": b"[]",
    "no fields": b"{}",
    "a beginning": b'{"prompt": "x", "choices": [',
    "invalid UTF-8": b'{"prompt": "\xff\xfe", "choices": ["a", "b"]}',
    "UTF-8 with a byte order mark": b'\xef\xbb\xbf{"prompt": "x", "choices": ["a", "b"]}',
    "UTF-16": '{"prompt": "x", "choices": ["a", "b"]}'.encode("utf-16"),
    "half a surrogate pair": rb'{"prompt": "\ud800", "choices": ["a", "\udfff"]}',
    "NaN": b'{"prompt": NaN, "top": NaN, "choices": [NaN, Infinity]}',
    "a huge number": b'{"top": ' + b"9" * 5000 + b"}",
    "a number of many digits": b'{"prompt": "x", "choices": ["a", "b"], "top": '
    + b"9" * 4000
    + b"}",
    "a huge exponent": b'{"prompt": "x", "within": 1e999999999}',
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"program": ' * DEEP + b"1" + b"}" * DEEP,
    "deep lists in a field": b'{"program": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep lists without an end": b'{"prompt": ' + b"[" * DEEP,
    "a field twice": b'{"prompt": "x", "prompt": "y", "choices": ["a", "b"], "choices": []}',
    "a long name": b'{"' + b"x" * 100_000 + b'": 1}',
    "a name with braces": b'{"{0.__class__}{": 1, "%s%n": 2}',
    "many names": json.dumps({f"x{number}": 1 for number in range(20_000)}).encode(),
    "a null character": b'{"prompt": "\\u0000", "choices": ["\\u0000", "\\u0001"]}',
    "no JSON": b"prompt=x&choices=a",
    "zeros": bytes(1000),
}
TYPES = ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "x", "", None]
#: Values for each field of a body.
HARD: list[Any] = [
    *(None, True, -1, 0, 2**63, 10**300, 1e308, 0.5, "", "\x00", "{{ 1 }}", [], {}, [[]], [None]),
    *({"a": 1}, "x" * 300, "../../etc/passwd", [{"text": "x"}] * 3),
]


pytestmark = pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning")


def check(response: Any, what: object) -> None:
    """Check that a response is an answer or an error of the request, in one of the shapes."""
    assert 200 <= response.status_code < 500, (what, response.text[:500])
    if response.status_code >= 400:
        body = response.json()
        assert "error" in body or "detail" in body, what
        assert "Traceback" not in response.text, what
        assert len(response.text) < 20_000, what


def post_paths(client: TestClient) -> list[str]:
    paths = client.get("/openapi.json").json()["paths"]
    return [path for path, item in paths.items() if "post" in item]


@pytest.mark.parametrize("what", RAW)
def test_bodies_that_are_wrong(client: TestClient, what: str) -> None:
    for path in post_paths(client):
        response = client.post(path, content=RAW[what], headers={"Content-Type": JSON})
        check(response, (path, what))


def test_content_types_that_are_wrong(client: TestClient) -> None:
    body = b'{"prompt": "x", "choices": ["a", "b"]}'
    for path in post_paths(client):
        for kind in TYPES:
            headers = {} if kind is None else {"Content-Type": kind}
            response = client.post(path, content=body, headers=headers)
            check(response, (path, kind))
            assert response.status_code >= 400, (path, kind)


def test_values_that_are_wrong(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    refused = answered = 0
    for path in post_paths(client):
        for example in examples(document, document["paths"][path]["post"]):
            names = sorted({*example, *fields(document, path)})
            for number, name in enumerate(names):
                # Each name gets other ones; the long run tries all.
                for value in HARD[0 if SOAK else number % 9 :: count(9, 1)]:
                    response = client.post(path, json={**example, name: value})
                    check(response, (path, name, str(value)[:100]))
                    refused += response.status_code >= 400
                    answered += response.status_code == 200
    assert refused > answered > 10


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "x", "choices": [1] * 200_000},
        {"prompt": ["x"] * 200_000, "choices": ["a", "b"]},
        {"prompt": [{"text": "x"}] * 200_000, "choices": ["a", "b"]},
        {"messages": [{"role": "user", "content": "x"}] * 100_000, "choices": ["a", "b"]},
        {
            "messages": [{"role": "user", "content": "x"}],
            "template_arguments": {str(number): number for number in range(100_000)},
            "choices": ["a", "b"],
        },
    ],
    ids=["choices", "ids", "pieces", "messages", "template arguments"],
)
def test_long_lists_are_refused_at_once(client: TestClient, body: dict[str, Any]) -> None:
    begin = time.perf_counter()
    response = client.post("/v1/choose", json=body)
    assert response.status_code == 422
    assert len(response.text) < 1000
    assert time.perf_counter() - begin < 10


def fields(document: dict[str, Any], path: str) -> list[str]:
    body = document["paths"][path]["post"]["requestBody"]["content"][JSON]["schema"]
    name = body.get("$ref", "").rpartition("/")[2]
    return list(document["components"]["schemas"].get(name, {}).get("properties", ()))
