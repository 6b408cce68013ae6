"""`/v1/records`: answers are those of `Model.record`."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from autocog_core.config.server_config import ServerConfig, ServerLimits
from tests.server.own_routes import error, plain, post
from tests.support.served import app_in_process, small_models

SCHEMA = {
    "type": "object",
    "properties": {
        "color": {"enum": ["red", "blue"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "note": {"type": "string", "maxLength": 3},
    },
    "required": ["color", "count", "note"],
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beams": 2, "alternatives": 1},
        {"temperature": 1.0, "seed": 7},
        {"style": "{color}, {count} ({note})"},
        {"messages": [{"role": "user", "content": "Which?"}]},
    ],
)
def test_answers_are_those_of_record(client: TestClient, options: dict[str, Any]) -> None:
    given = options if "messages" in options else {"prompt": "It is: ", **options}
    answer = post(client, "/v1/records", {**given, "schema": SCHEMA, "tree": True})
    record = small_models()["random"]().record(schema=SCHEMA, **given)
    expected = {**record.to_dict(), "tree": record.tree.to_dict()}
    assert plain(answer["results"]) == plain([expected])


def test_many_prompts_are_many_records(client: TestClient) -> None:
    answer = post(client, "/v1/records", {"prompts": ["It is: ", "So: "], "schema": SCHEMA})
    model = small_models()["random"]()
    expected = [model.record(prompt, SCHEMA).to_dict() for prompt in ("It is: ", "So: ")]
    assert plain(answer["results"]) == plain(expected)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"schema": {"$ref": "http://127.0.0.1/x.json"}}, "is not in this schema"),
        ({"schema": {"$ref": "file:///etc/passwd"}}, "is not in this schema"),
        ({"schema": {"type": "thing"}}, "thing"),
        ({"schema": {"type": "string"}, "max_tokens_per_text": 5000}, "writes at most 4,096"),
        ({"schema": {"type": "string"}, "style": "x"}, "is no style"),
        ({"schema": {"type": "string", "minLength": 100}}, "did not end within its tokens"),
    ],
)
def test_errors_say_what_is_wrong(client: TestClient, body: dict[str, Any], message: str) -> None:
    status, text, _ = error(client, "/v1/records", {"prompt": "x", **body})
    assert status == 400
    assert message in text


def test_a_record_ends_at_the_limits_of_the_server() -> None:
    limits = ServerLimits(nodes=2)
    with app_in_process(config=ServerConfig(limits=limits)) as client:
        status, text, _ = error(client, "/v1/records", {"prompt": "x", "schema": SCHEMA})
    assert (status, "out of nodes" in text) == (400, True)
