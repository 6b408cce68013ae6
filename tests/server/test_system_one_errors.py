"""Errors of `POST /v1/systemone`: in the shape of the protocol, with the question that is wrong."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from autocog_core.config.server_config import ServerConfig, ServerLimits
from tests.support.served import app_in_process
from tests.support.small_backends import random_model

ROUTE = "/v1/systemone"
WRONG = {
    "no JSON": b'{"state": "x", "questions": {',
    "deep JSON": b"[" * 100_000,
    "a number with 5,000 digits": b'{"state": [' + b"9" * 5000 + b'], "questions": {}}',
    "NaN": b'{"state": [NaN], "questions": {"q": {"type": "noul"}}}',
    "deep data": b'{"state": '
    + b"[" * 300
    + b"]" * 300
    + b', "questions": {"q": {"type": "noul"}}}',
    "half a surrogate pair": b'{"state": "\\ud800", "questions": {"q": {"type": "noul"}}}',
    "half a surrogate pair in a name": b'{"state": "", "questions": {"\\ud800": {"type": "noul"}}}',
    "invalid UTF-8": b'{"state": "\xff", "questions": {"q": {"type": "noul"}}}',
    "a state of null": b'{"state": null, "questions": {"q": {"type": "noul"}}}',
    "no questions": b'{"state": "x", "questions": {}}',
    "a list of questions": b'{"state": "x", "questions": [{"type": "noul"}]}',
    "another type": b'{"state": "x", "questions": {"q": {"type": "box"}}}',
    "a level of null": b'{"state": "", "questions": {"q": {"type": "score", "criteria": [null]}}}',
    "assets": b'{"state": "x", "questions": {"q": {"type": "noul"}}, "assets": {"a": {}}}',
    "another method": b'{"state": "x", "questions": {"q": {"type": "noul"}}, "x_method": "sum"}',
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_body_has_an_error_in_the_shape_of_the_protocol(
    client: TestClient, name: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post(ROUTE, content=WRONG[name], headers=headers)

    detail = answer.json()["detail"]
    if answer.status_code == 422:
        assert detail[0]["loc"][0] == "body"
        assert detail[0]["msg"]
        assert detail[0]["type"]
    else:
        assert answer.status_code == 400
        assert detail["error_type"] == "invalid_request_error"
        assert detail["message"]


def test_an_error_names_its_question() -> None:
    limits = ServerLimits(questions=3, options=4)
    models = {"short": lambda: random_model(context_length=60)}
    with app_in_process(models, ServerConfig(limits=limits)) as client:
        short = {"type": "noul"}
        long = {"type": "noul", "instructions": "long " * 50}
        many = {"type": "choice", "criteria": {str(number): None for number in range(5)}}
        answers = [
            client.post(ROUTE, json={"state": "x", "questions": questions})
            for questions in (
                {"fine": short, "bad": long},
                {"fine": short, "bad": many},
                {str(number): short for number in range(4)},
            )
        ]

    assert [answer.status_code for answer in answers] == [400, 422, 422]
    assert "questions.bad" in answers[0].json()["detail"]["message"]
    assert answers[1].json()["detail"][0]["loc"] == ["body", "questions", "bad"]
    assert answers[2].json()["detail"][0]["loc"] == ["body", "questions"]


def test_a_model_that_is_not_served_is_no_error_of_the_server(client: TestClient) -> None:
    body = {"model": "none", "state": "x", "questions": {"q": {"type": "noul"}}}
    answer = client.post(ROUTE, json=body)

    assert answer.status_code == 404
    assert answer.json()["detail"]["error_type"] == "not_found_error"
