"""`/v1/score`: answers are those of `Model.score`, to the last bit."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.server.own_routes import error, plain, post
from tests.support.served import small_models

TEXTS = ["It is so.", "Is it?", "x"]


def test_answers_are_those_of_score(client: TestClient) -> None:
    model = small_models()["random"]()
    options: list[dict[str, Any]] = [
        {},
        {"context": "So", "words": True},
        {"context": [65, 66]},
        {"window": 8, "stride": 3, "words": True},
    ]
    for arguments in options:
        answer = post(client, "/v1/score", {"text": TEXTS[0], **arguments})
        assert plain(answer["results"]) == plain([model.score(TEXTS[0], **arguments).to_dict()])
        answer = post(client, "/v1/score", {"texts": TEXTS, **arguments})
        expected = [score.to_dict() for score in model.score_many(TEXTS, **arguments)]
        assert plain(answer["results"]) == plain(expected)


def test_pairs_are_those_of_score_pairs(client: TestClient) -> None:
    model = small_models()["random"]()
    pairs = [("It is.", "It are."), ("a", "b")]
    answer = post(client, "/v1/score", {"pairs": pairs, "context": "So"})
    expected = [pair.to_dict() for pair in model.score_pairs(pairs, "So")]
    assert plain(answer["results"]) == plain(expected)
    assert answer["usage"]["calls"] == 4


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "nothing is given: give one of text, texts, pairs"),
        ({"text": "", "context": "x"}, 400, "text"),
        ({"texts": ["a", ""]}, 400, "text 1: is empty"),
        ({"pairs": [["a"]]}, 422, "pairs.0"),
        ({"pairs": [["a", "b"]], "window": 5}, 400, "windows are not for pairs"),
        ({"text": "a", "window": 0}, 422, "window"),
        ({"text": "x" * 5_000_000}, 400, "this server takes 4,194,304"),
        ({"text": "x" * 50_000, "window": 1000, "stride": 1}, 400, "windows that overlap"),
    ],
)
def test_errors_say_what_is_wrong(
    client: TestClient, body: dict[str, Any], status: int, message: str
) -> None:
    found = error(client, "/v1/score", body)
    assert found[0] == status
    assert message in found[1]
