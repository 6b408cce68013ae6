"""Large answers delay no other request: they are made in a thread, and in small pieces."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest
from starlette.testclient import TestClient

from autocog_core.server import json_answer
from autocog_core.server.json_answer import JsonAnswer
from tests.server.own_routes import error, post

CHOICES = [f" choice {number}" for number in range(510)]
TREE = {"prefix": [1], "tokens": [65] * 510, "parents": list(range(-1, 509))}
OPTIONS = dict.fromkeys(CHOICES)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/choose", {"prompt": "p", "choices": CHOICES}),
        ("/v1/score", {"text": "p" * 510}),
        (
            "/v1/systemone",
            {"state": "p", "questions": {"q": {"type": "choice", "criteria": OPTIONS}}},
        ),
        ("/v1/completions", {"prompt": "p" * 510, "echo": True, "logprobs": 0, "max_tokens": 0}),
        ("/v1/token_trees", {"queries": [TREE]}),
        ("/tokenize", {"prompt": "p" * 510}),
    ],
)
def test_a_large_answer_is_not_made_on_the_event_loop(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    on_loop: list[bool] = []
    render = JsonAnswer.render

    def note(answer: JsonAnswer, content: Any) -> bytes:
        on_loop.append(_is_on_loop())
        return render(answer, content)

    monkeypatch.setattr(JsonAnswer, "render", note)
    post(client, path, body)
    assert on_loop == [False]


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        None,
        "é\ud800",
        {"a": [], "b": {}, "c": [1, 2.5, None], 'quote "\n': {"x": [{"y": [[]]}]}},
        {"a": {1: "number", None: "null"}, "b": ("tuple", [1e-300])},
        [{"logprob": -1.25}, [True, False], "text"],
    ],
)
def test_pieces_are_the_json(content: Any) -> None:
    whole = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    assert JsonAnswer(content).body == whole.encode("utf-8", errors="replace")


def test_numbers_that_json_has_not_are_null_in_every_piece() -> None:
    content = {"a": [{"x": -math.inf, "y": 0.1}, {"x": 1.0}], "b": math.nan}
    assert json.loads(bytes(JsonAnswer(content).body)) == {
        "a": [{"x": None, "y": 0.1}, {"x": 1.0}],
        "b": None,
    }


def test_no_piece_of_many_results_is_large() -> None:
    content = {"results": [{"scores": [number] * 10} for number in range(100)]}
    pieces = list(json_answer._pieces(content, json_answer.LEVELS))
    assert max(map(len, pieces)) < 100


def test_a_request_cannot_list_more_tokens_than_the_memory_takes(client: TestClient) -> None:
    body = {"prompt": ["p" * 300] * 1000, "echo": True, "logprobs": 1000, "max_tokens": 1}
    status, message, parameter = error(client, "/v1/completions", body)
    assert (status, parameter) == (400, "logprobs")
    assert "ask for fewer" in message
    status, _, parameter = error(
        client, "/v1/completions", {**body, "echo": False, "n": 1, "max_tokens": 4096}
    )
    assert (status, parameter) == (400, "logprobs")
