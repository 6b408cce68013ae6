"""Streams of texts: the pieces, the errors, and a client that goes away."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from autocog_core import Model
from autocog_core.config.server_config import ServerConfig, ServerLimits
from tests.support.served import app_in_process, server_in_thread
from tests.support.slow_model import FailingLM, SlowLM

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hello"}]
SAMPLE = {"seed": 3, "max_tokens": 12, "stream": True}


def events_of(answer: Any) -> list[Any]:
    """Return the events of a stream, of which the last one must be the end."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_the_pieces_are_the_text(client: TestClient) -> None:
    body = {**SAMPLE, "prompt": "It is", "logprobs": 2}
    whole = client.post(COMPLETIONS, json={**body, "stream": False}).json()

    *pieces, last = events_of(client.post(COMPLETIONS, json=body))

    texts = [event["choices"][0]["text"] for event in pieces]
    assert len(pieces) > 2
    assert "".join(texts) == whole["choices"][0]["text"]
    assert last["choices"] == [{**whole["choices"][0], "text": ""}]
    assert {event["id"] for event in pieces} == {last["id"]}


def test_an_echo_comes_first(client: TestClient) -> None:
    body = {**SAMPLE, "prompt": "It is", "echo": True}
    whole = client.post(COMPLETIONS, json={**body, "stream": False}).json()

    events = events_of(client.post(COMPLETIONS, json=body))

    texts = [event["choices"][0]["text"] for event in events]
    assert texts[0].startswith("It is")
    assert "".join(texts) == whole["choices"][0]["text"]


@pytest.mark.parametrize("body", [{"prompt": ["a", "b"]}, {"prompt": "a", "n": 2}])
def test_several_texts_are_streamed_one_by_one(client: TestClient, body: dict[str, Any]) -> None:
    whole = client.post(COMPLETIONS, json={**SAMPLE, **body, "stream": False}).json()
    options = {"stream_options": {"include_usage": True}}

    *events, usage = events_of(client.post(COMPLETIONS, json={**SAMPLE, **body, **options}))

    assert [event["choices"][0] for event in events] == whole["choices"]
    assert [event["usage"] for event in events] == [None, None]
    assert usage["choices"] == []
    assert usage["usage"] == whole["usage"]


def test_chats_begin_with_the_role_and_end_with_the_usage(client: TestClient) -> None:
    body = {**SAMPLE, "messages": MESSAGES, "logprobs": True, "top_logprobs": 1}
    whole = client.post(CHAT, json={**body, "stream": False}).json()
    options = {"stream_options": {"include_usage": True}}

    first, *pieces, last, usage = events_of(client.post(CHAT, json={**body, **options}))

    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    text = "".join(event["choices"][0]["delta"]["content"] for event in pieces)
    (choice,) = whole["choices"]
    assert text == choice["message"]["content"]
    assert last["choices"][0]["logprobs"] == choice["logprobs"]
    assert last["choices"][0]["finish_reason"] == choice["finish_reason"]
    assert usage["usage"] == whole["usage"]


@pytest.mark.parametrize(
    "body", [{"prompt": [1, 10**6]}, {"prompt": "a", "guided_regex": "("}, {"prompt": ""}]
)
def test_errors_before_the_text_are_normal_answers(
    client: TestClient, body: dict[str, Any]
) -> None:
    model = {"model": "random"}
    if body["prompt"] == "":
        body = {**body, "presence_penalty": 1}

    answer = client.post(COMPLETIONS, json={**SAMPLE, **model, **body})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_an_error_after_the_first_piece_is_an_event(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    models = {"failing": lambda: Model(FailingLM(after=4))}
    with app_in_process(models) as client:
        answer = client.post(COMPLETIONS, json={**SAMPLE, "prompt": "It is", "seed": 1})

    events = [json.loads(line[6:]) for line in answer.text.split("\n") if line]
    assert answer.status_code == 200
    assert events[0]["choices"]
    assert events[-1]["error"]["type"] == "server_error"
    assert "secret" not in answer.text
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    # The command shows the messages of these loggers, and tracebacks only with --debug.
    assert record.name.startswith("autocog_core.")
    assert answer.headers["x-request-id"] in record.getMessage()
    assert record.exc_info is None


def test_a_client_that_goes_away_ends_the_text() -> None:
    slow = SlowLM(0.02, seed=3, scale=0.1)
    body = {"prompt": "It is", "max_tokens": 4000, "stream": True, "seed": 1}
    with server_in_thread({"slow": lambda: Model(slow)}) as url:
        with httpx2.stream("POST", url + COMPLETIONS, json=body, timeout=30) as answer:
            next(answer.iter_lines())
        time.sleep(0.3)
        evaluations = slow.evaluations
        time.sleep(0.3)

    assert slow.evaluations == evaluations < 60


@pytest.mark.parametrize("stream", [True, False])
def test_a_text_that_takes_too_long_ends(stream: bool) -> None:
    slow = SlowLM(0.02, seed=3, scale=0.1)
    config = ServerConfig(limits=ServerLimits(request_seconds=0.2))
    body = {"prompt": "It is", "max_tokens": 4000, "stream": stream, "seed": 1}
    with server_in_thread({"slow": lambda: Model(slow)}, config) as url:
        answer = httpx2.post(url + COMPLETIONS, json=body, timeout=30, verify=False)
        time.sleep(0.2)
        evaluations = slow.evaluations
        time.sleep(0.2)

    if stream:
        *_, last = (line for line in answer.text.split("\n") if line)
        error = json.loads(last.removeprefix("data: "))["error"]
    else:
        assert answer.status_code == 504
        error = answer.json()["error"]
    assert error["code"] == "timeout"
    assert slow.evaluations == evaluations < 60
