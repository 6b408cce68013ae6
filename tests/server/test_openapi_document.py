"""The OpenAPI document, and requests that schemathesis makes of it: the whole app keeps to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok
from starlette.testclient import TestClient

from tests.support.served import app_in_process, server_in_thread
from tests.support.soak import count

KEY = "k" * 32
#: Bodies have rules that no schema has, such as choices that differ: 400 is no failure of theirs.
LEFT_OUT = {"positive_data_acceptance"}
#: Errors that every route may answer.
ERRORS = {*"400 401 404 408 413 415 421 422 429 431 500 503 504".split()}  # noqa: SIM905
#: Fields of which a body has exactly one.
ALTERNATIVES = {
    "/v1/choose": ("prompt", "prompts", "messages", "chats"),
    "/v1/records": ("prompt", "prompts", "messages", "chats"),
    "/v1/score": ("text", "texts", "pairs"),
}


@pytest.fixture(scope="module", params=["open", "with a key"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL of a server whose model is loaded, and the headers of its clients."""
    keys = [KEY] if request.param == "with a key" else []
    headers = {"Authorization": f"Bearer {KEY}"} if keys else {}
    with server_in_thread(keys=keys) as url:
        body = {"prompt": "It is", "choices": [" a", " b"]}
        httpx2.post(f"{url}/v1/choose", json=body, headers=headers, verify=False).raise_for_status()
        yield url, headers


@pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning")
def test_all_answers_match_the_document(server: tuple[str, dict[str, str]]) -> None:
    url, headers = server
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    statuses: set[int] = set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        has_body = "requestBody" in operation.definition.raw
        number = count(1, 50) if has_body else 1
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)[: 2 if has_body else 1]:
            statuses |= make_requests(operation, mode, number, headers)
    # Some requests were answered, and some refused.
    assert 200 in statuses
    assert statuses & {400, 422}


def make_requests(
    operation: APIOperation, mode: GenerationMode, number: int, headers: dict[str, str]
) -> set[int]:
    """Make requests of an operation, check their answers, and return their statuses."""
    checks = [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name not in LEFT_OUT]
    statuses: set[int] = set()

    def check(case: Case) -> None:
        if mode is GenerationMode.POSITIVE:
            make_answerable(operation.path, case.body)
        statuses.add(case.call_and_validate(headers=headers, checks=checks).status_code)

    limits = settings(
        max_examples=number,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    limits(given(case=operation.as_strategy(generation_mode=mode))(check))()
    return statuses


def make_answerable(path: str, body: Any) -> None:
    """Make a body that matches its schema more likely to be answered."""
    if isinstance(body, dict) and path in ALTERNATIVES:
        body.pop("model", None)
        names = ALTERNATIVES[path]
        given = [name for name in names if body.get(name) is not None]
        for name in given[1:]:
            del body[name]
        if not given:
            body[names[0]] = "It is"


def test_the_document_says_which_routes_need_a_key(client: TestClient) -> None:
    with app_in_process(keys=[KEY]) as with_key:
        paths = with_key.get("/openapi.json").json()["paths"]
        for path, item in paths.items():
            for method, operation in item.items():
                response = with_key.request(method, path.replace("{name}", "random"))
                assert ("security" in operation) == (response.status_code == 401), path
    assert "security" not in client.get("/openapi.json").text


def test_every_route_documents_its_errors_and_answers(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for path, item in document["paths"].items():
        for operation in item.values():
            assert not ERRORS - set(operation["responses"]), path
            assert operation["description"], path


def test_examples_of_the_document_are_answered(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    answered = 0
    for path, item in document["paths"].items():
        for body in examples(document, item.get("post", {})):
            response = client.post(path, json=body)
            assert response.status_code == 200, (path, body, response.text)
            answered += 1
    assert answered >= 6


def examples(document: dict[str, Any], operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the bodies that the document shows for an operation."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = content.get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return list(schema.get("examples", ()))
