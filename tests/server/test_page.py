"""The files of the page at `/`, and the bytes of tokens that it asks for."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from autocog_core.controls import control_signs, picture_controls
from autocog_core.server.page.assets import index_page, page_files
from tests.support.served import app_in_process
from tests.support.small_backends import random_model

INDEX = index_page().content.decode()


def test_the_page_and_its_files_need_no_key_and_say_what_they_are() -> None:
    names = re.findall(r'(?:src|href)="page/([^"]+)"', INDEX)
    assert {"app.js", "choose.css", "explorer.js"} <= set(names)
    with app_in_process(keys=["a-key"]) as client:
        assert client.get("/v1/models").status_code == 401
        page = client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.text == INDEX
        for name in names:
            answer = client.get(f"/page/{name}")
            kind = {"js": "text/javascript", "css": "text/css"}[name.rpartition(".")[2]]
            assert (answer.status_code, answer.headers["content-type"]) == (
                200,
                f"{kind}; charset=utf-8",
            )
        for path in ("/", "/page/app.js"):
            answer = client.get(path)
            policy = answer.headers["content-security-policy"].split("; ")
            assert {"default-src 'self'", "frame-ancestors 'none'"} <= set(policy)
            assert not any("unsafe" in part for part in policy)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-cache"
            tag = answer.headers["etag"]
            again = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
            changed = client.get(path, headers={"If-None-Match": '"other"'})
            assert changed.content == answer.content
            head = client.head(path)
            assert (head.status_code, head.content) == (200, b"")


def test_the_page_loads_only_files_that_are_served() -> None:
    files = page_files()
    for name, file in files.items():
        source = file.content.decode()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", source), name
        for imported in re.findall(r'from "\./([^"]+)"', source):
            assert imported in files, (name, imported)
    assert not re.search(r"<script(?![^>]*(?:src|application/json))|<style|\son\w+=|style=", INDEX)


@pytest.mark.parametrize(
    "name",
    [
        "assets.py",
        "index.html",
        "__init__.py",
        "",
        "nothing.js",
        "../assets.py",
        "../../app/build.py",
        "/etc/passwd",
        "..\\assets.py",
        "app.js\x00",
    ],
)
def test_no_other_file_is_served(client: TestClient, name: str) -> None:
    answer = client.get(f"/page/{quote(name, safe='')}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert "error" in answer.json()


def test_the_signs_for_scripts_are_those_of_other_pages() -> None:
    signs = control_signs()

    for code in (*range(0xD800), *range(0xE000, 0x11000)):
        character = chr(code)
        assert signs.get(character, character) == picture_controls(character)


def test_the_bytes_of_tokens_are_those_of_the_model(client: TestClient) -> None:
    with random_model(seed=3) as model:
        tokens = [*model.tokenize(" möbel 😀"), 0]
        expected = {str(token): model.detokenize_bytes([token]).hex() for token in tokens}

    answer = client.post("/v1/token_bytes", json={"tokens": tokens})
    assert answer.json() == {"token_bytes": expected}
    assert client.post("/v1/token_bytes", json={"tokens": []}).json() == {"token_bytes": {}}

    for wrong in (-1, 10**6, 10**30, "a", 1.5):
        answer = client.post("/v1/token_bytes", json={"tokens": [wrong]})
        assert answer.status_code in (400, 422), answer.text
