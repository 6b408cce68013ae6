"""`/docs`: every route with its fields and an example that works, without a network."""

from __future__ import annotations

import html
import json
import re
import shlex
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from autocog_core.server.api_page.render import render_api_page
from tests.support.served import app_in_process


def commands(text: str) -> list[list[str]]:
    found = re.findall(r'<pre tabindex="0">(.*?)</pre>', text, flags=re.DOTALL)
    return [shlex.split(html.unescape(command).replace("\\\n", "")) for command in found]


def test_the_page_has_every_route_of_the_document(client: TestClient) -> None:
    page = client.get("/docs")
    document = client.get("/openapi.json").json()

    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for path, item in document["paths"].items():
        for method in item:
            assert f'id="{method.upper()}-{path}"' in page.text
    assert set(re.findall(r'href="#(.*?)"', page.text)) <= set(re.findall(r'id="(.*?)"', page.text))
    for name in set(re.findall(r'(?:href|src)="(page/.*?)"', page.text)):
        assert client.get(f"/{name}").status_code == 200
    assert not re.search(r'(?:href|src)="(?:https?:)?//', page.text)
    assert "<script" not in page.text


def test_every_example_on_the_page_works(client: TestClient) -> None:
    for arguments in commands(client.get("/docs").text):
        path = urlsplit(arguments[1]).path
        if "-d" in arguments:
            body = json.loads(arguments[arguments.index("-d") + 1])
            if path.endswith("completions"):
                body["max_tokens"] = 3
            answer = client.post(path, json=body)
        else:
            answer = client.get(path.replace("{name}", "random"))
        expected = (200, 503) if path == "/ready" else (200,)
        assert answer.status_code in expected, (path, answer.text)


def test_the_page_needs_no_key_and_says_what_does() -> None:
    with app_in_process(keys=["right"]) as client:
        text = client.get("/docs").text
    for arguments in commands(text):
        is_open = urlsplit(arguments[1]).path in ("/health", "/ready")
        assert ("Authorization: Bearer $KEY" in arguments) != is_open


@pytest.mark.parametrize("place", ["info", "path", "field", "example"])
def test_texts_are_no_markup(place: str) -> None:
    bad = "<img src=x onerror=alert(1)>"
    texts = {name: bad if name == place else "a" for name in ("info", "path", "field", "example")}
    schema = {
        "properties": {texts["field"]: {"type": "string", "description": texts["field"]}},
        "examples": [{"a": texts["example"]}],
    }
    body = {"content": {"application/json": {"schema": schema}}}
    document = {
        "info": {"title": texts["info"], "version": "1"},
        "paths": {texts["path"]: {"post": {"requestBody": body, "responses": {}}}},
    }

    assert "<img" not in render_api_page(document, "http://127.0.0.1")
