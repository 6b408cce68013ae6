"""No request reads a file: not by a program, an option, a template, a schema or a name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.program.test_untrusted_files import ESCAPES
from tests.server.test_hostile_bodies import check, fields, post_paths
from tests.server.test_openapi_document import examples
from tests.support.soak import SOAK, count

pytestmark = pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning")
SECRET = "the-secret-of-the-file"
_opened: list[str] = []


def _note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str | bytes):
        path = arguments[0]
        _opened.append(path if isinstance(path, str) else path.decode(errors="replace"))


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that nobody may read. From now on, the names of opened files are noted."""
    sys.addaudithook(_note_opened)
    path = tmp_path_factory.mktemp("secret") / "secret.yaml"
    path.write_text(f"actions: [{{text: {SECRET}}}]")
    return path


def references(path: Path) -> list[str]:
    """Return ways to name a file."""
    return [
        *(str(path), f"@{path}", f"file://{path}", f"package:autocog_core/../../..{path}"),
        *("package:autocog_core/files.py", f"hf:x/y/{path}", f"env:{path}"),
        f"{{% include '{path}' %}}",
        f"{{% extends '{path}' %}}",
        f"{{% import '{path}' as x %}}",
        f"%import {path}\nstart: x",
        f"!include {path}",
    ]


def require_unread(secret: Path, response: Any, what: object) -> None:
    check(response, what)
    assert SECRET not in response.text, what
    assert not [name for name in _opened if str(secret) in name], what


def test_the_hook_sees_what_is_read(secret: Path) -> None:
    secret.read_text()
    assert str(secret) in _opened
    _opened.clear()


def test_no_field_of_any_body_is_a_file(client: TestClient, secret: Path) -> None:
    document = client.get("/openapi.json").json()
    for path in post_paths(client):
        for example in examples(document, document["paths"][path]["post"])[:1]:
            names = sorted({*example, *fields(document, path)})
            for number, name in enumerate(names):
                # Each field gets other ones; the long run tries all.
                for reference in references(secret)[0 if SOAK else number % 5 :: count(5, 1)]:
                    response = client.post(path, json={**example, name: reference})
                    require_unread(secret, response, (path, name, reference))


@pytest.mark.parametrize(
    "key", ["text", "model", "regex", "grammar", "json_schema", "stop", "vocab", "uid", "include"]
)
def test_no_part_of_a_program_is_a_file(client: TestClient, secret: Path, key: str) -> None:
    for reference in references(secret):
        action: dict[str, Any] = {"length": 3, key: reference}
        if key == "text":
            action = {key: reference}
        if key == "json_schema":
            action[key] = {"$ref": reference}
        for program in (
            {"actions": [{"text": "x"}, action]},
            {"actions": [{"text": "x"}], key: reference},
            {"include": reference, "load": reference, "actions": [{"text": "x"}]},
        ):
            response = client.post("/v1/runs", json={"program": program})
            require_unread(secret, response, (program, reference))


def test_no_template_leaves_its_sandbox(client: TestClient, secret: Path) -> None:
    values = {"s": "text", "n": 3, "l": ["a", "b"], "d": {"a": 1}}
    inputs = {"s": "text", "n": "integer", "l": "list", "d": "any"}
    for escape in [
        *ESCAPES[:: count(3, 1)],
        f"{{{{ open('{secret}').read() }}}}",
        "{{ range(9**9)|list }}",
    ]:
        for action in ({"text": escape}, {"choices": [escape, "b"]}):
            program = {"inputs": inputs, "actions": [action]}
            response = client.post("/v1/runs", json={"program": program, "inputs": values})
            require_unread(secret, response, escape)
            assert response.status_code == 400 or "class" not in str(
                [result.get("fields") for result in response.json()["results"]]
            ), escape


def test_requests_name_no_backend_and_no_option(client: TestClient, secret: Path) -> None:
    for name in ("backend", "options", "option", "model_path", "config", "tokenizer", "lora"):
        for path in post_paths(client):
            body = {"prompt": "x", "choices": ["a", "b"], name: {"model_path": str(secret)}}
            require_unread(secret, client.post(path, json=body), (path, name))
    for model in (*references(secret), "llamacpp", "table"):
        body = {"prompt": "x", "choices": ["a", "b"], "model": model}
        response = client.post("/v1/choose", json=body)
        require_unread(secret, response, model)
        assert response.status_code == 404


def test_no_path_of_the_server_is_a_file(client: TestClient, secret: Path) -> None:
    for path in ("/page/", "/docs/", "/v1/models/", "/"):
        for name in (f"..{secret}", f"%2e%2e{secret}", f"..%2f..%2f..{secret}", f"/{secret}"):
            response = client.get(path + name)
            assert SECRET not in response.text
            assert not [each for each in _opened if str(secret) in each]
