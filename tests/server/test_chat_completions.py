"""`/v1/chat/completions`: answers and their scores equal those of the model in the process."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from autocog_core import Model
from autocog_core.config.server_config import ServerConfig, ServerLimits
from tests.support.served import app_in_process
from tests.support.small_backends import Plain, random_model

PATH = "/v1/chat/completions"
MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]


def post(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post(PATH, json={"messages": MESSAGES, **body})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_answers_and_their_scores_are_those_of_the_model(
    client: TestClient, truth: Model, name: str
) -> None:
    expected = truth.complete(messages=MESSAGES, max_tokens=6)

    answer = post(client, temperature=0, logprobs=True, top_logprobs=2, **{name: 6})

    (choice,) = answer["choices"]
    content = choice["logprobs"]["content"]
    assert choice["message"] == {"role": "assistant", "content": expected.text, "refusal": None}
    assert [token["logprob"] for token in content] == list(expected.logprobs or ())
    assert [len(token["top_logprobs"]) for token in content] == [2] * len(content)
    first = truth.next_tokens(messages=MESSAGES, k=2)
    listed = content[0]["top_logprobs"]
    assert [(bytes(t["bytes"]), t["logprob"]) for t in listed] == [
        (token.raw, token.logprob) for token in first
    ]
    prompt = truth.encode(truth.chat_prompt(MESSAGES))
    assert answer["usage"] == {
        "prompt_tokens": len(prompt),
        "completion_tokens": len(expected.tokens),
        "total_tokens": len(prompt) + len(expected.tokens),
    }


def test_developers_and_parts_of_text_are_read(client: TestClient) -> None:
    plain, other = (
        post(client, messages=messages, seed=1, max_tokens=5)["choices"]
        for messages in (
            [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "a\nb"}],
            [
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": text} for text in "ab"]},
            ],
        )
    )

    assert plain == other


def test_the_last_message_is_continued_on_request(client: TestClient, truth: Model) -> None:
    prompt = truth.encode(truth.chat_prompt(MESSAGES)) + truth.tokenize("Oh", at_start=False)
    expected = truth.complete(prompt, max_tokens=4)

    (choice,) = post(
        client,
        messages=[*MESSAGES, {"role": "assistant", "content": "Oh"}],
        continue_final_message=True,
        add_generation_prompt=False,
        temperature=0,
        max_tokens=4,
    )["choices"]

    assert choice["message"]["content"] == expected.text


@pytest.mark.parametrize("seed", range(4))
def test_answers_fit_a_schema(client: TestClient, seed: int) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "team": {"enum": ["a", "b"]}},
        "required": ["ok", "team"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}

    (choice,) = post(client, response_format=form, seed=seed, max_tokens=500)["choices"]

    record = json.loads(choice["message"]["content"])
    assert choice["finish_reason"] == "stop"
    assert record.keys() == {"ok", "team"}
    assert record["team"] in ("a", "b")


def test_several_answers_are_those_of_the_seed(client: TestClient, truth: Model) -> None:
    expected = truth.complete(messages=MESSAGES, n=2, seed=4, temperature=1, max_tokens=3)

    choices = post(client, n=2, seed=4, max_tokens=3)["choices"]

    texts = [expected.text, *(other.text for other in expected.alternatives)]
    assert [choice["message"]["content"] for choice in choices] == texts


def test_an_answer_ends_within_the_server_s_limit() -> None:
    config = ServerConfig(limits=ServerLimits(output_tokens=7))
    models = {"low": lambda: random_model(seed=1, scale=0.1)}
    with app_in_process(models, config) as client:
        answer = post(client, seed=1)

    assert answer["usage"]["completion_tokens"] == 7
    assert answer["choices"][0]["finish_reason"] == "length"


IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "king", "content": "a"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "a", "name": "b"}]}, "messages.0.name"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "max_completion_tokens"),
        ({"max_tokens": 10**6}, "max_tokens"),
        ({"continue_final_message": True}, "continue_final_message"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, None),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}},
            "",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(
    client: TestClient, body: dict[str, Any], parameter: str | None
) -> None:
    answer = client.post(PATH, json={"messages": MESSAGES, **body})

    assert answer.status_code == 400, answer.text
    if parameter:
        assert answer.json()["error"]["param"] == parameter


def test_a_model_without_a_template_says_so() -> None:
    with app_in_process({"plain": lambda: Model(Plain())}) as client:
        answer = client.post(PATH, json={"messages": MESSAGES})

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "not_supported"
