"""`POST /v1/decisions`: the answers are those of `Model.choose`, and errors say what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from autocog_core.types.prompt import TextPiece
from tests.support.questions import chat_prompt
from tests.support.served import app_in_process
from tests.support.small_backends import random_model

ROUTE = "/v1/decisions"
INPUT = "I was charged twice."
PREDICATE = {"type": "predicate", "instructions": "It is about money."}
OPTIONS = [{"value": True}, {"value": "true", "description": "as text"}, {"value": "no"}]
TEXT_PART = {"type": "input_text", "text": "?"}
TWINS = {"type": "choice", "instructions": "", "choices": [{"value": "a"}] * 2}
CONVERSATION = [
    {"role": "developer", "content": "Be brief."},
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Look:", "prompt_cache_breakpoint": None},
            {"type": "input_json", "data": {"b": 1, "a": ["é"]}},
        ],
    },
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
    {"type": "function_call", "call_id": "1", "name": "find", "arguments": '{"id": 3}'},
    {"type": "function_call_output", "call_id": "1", "output": "found"},
    {"type": "custom_tool_call", "call_id": "2", "name": "shell", "input": "ls"},
    {
        "type": "custom_tool_call_output",
        "call_id": "2",
        "output": [{"type": "input_text", "text": "a.txt"}],
    },
]
CONVERSATION_TEXT = """\
developer: Be brief.

user: Look:
{"b":1,"a":["é"]}

assistant: I cannot.

call of find: {"id": 3}

result of find: found

call of shell: ls

result of shell: a.txt"""


def post(client: TestClient, *questions: dict[str, Any], source: Any = INPUT) -> Any:
    return client.post(ROUTE, json={"model": "random", "input": source, "questions": questions})


def choose(question: str, *answers: str) -> Any:
    with random_model(seed=3) as model:
        return model.choose(chat_prompt(model, question), [f'{answer}"' for answer in answers])


def test_answers_are_those_of_choose_in_the_order_of_the_questions(client: TestClient) -> None:
    levels = [{"label": "Calm"}, {"label": "Angry", "description": "shouts"}]
    answer = post(
        client,
        {**PREDICATE, "name": "money"},
        {"type": "choice", "instructions": [TEXT_PART], "choices": OPTIONS},
        {"type": "score", "instructions": "How?", "levels": levels},
    ).json()

    predicate, choice, score = answer["answers"]
    expected = choose(f'{INPUT}\n\nIt is about money.\n- "Yes"\n- "No"', "Yes", "No")
    assert predicate["name"] == "money"
    assert predicate["probability"] == expected.scores[0].prob
    assert predicate["x_logprob"] == [score.logprob for score in expected.scores]

    # A boolean and a text that looks like it are different options.
    listed = '- "true (boolean)"\n- "true": as text\n- "no"'
    expected = choose(f"{INPUT}\n\n?\n{listed}", "true (boolean)", "true", "no")
    assert [entry["value"] for entry in choice["probabilities"]] == [True, "true", "no"]
    assert [entry["probability"] for entry in choice["probabilities"]] == [
        score.prob for score in expected.scores
    ]
    assert choice["choice"] == [True, "true", "no"][expected.index]
    assert choice["name"] is None

    expected = choose(f'{INPUT}\n\nHow?\n- "Calm"\n- "Angry": shouts', "Calm", "Angry")
    assert score["score"] == expected.scores[1].prob
    assert [(e["value"], e["label"]) for e in score["probabilities"]] == [(0, "Calm"), (1, "Angry")]


def test_a_conversation_is_one_text(client: TestClient) -> None:
    as_items = post(client, PREDICATE, source=CONVERSATION)
    as_text = post(client, PREDICATE, source=CONVERSATION_TEXT)

    assert as_items.status_code == 200, as_items.text
    assert as_items.json() == as_text.json()


def test_usage_counts_prompts_and_scored_options(client: TestClient) -> None:
    usage = post(client, PREDICATE, PREDICATE).json()["usage"]

    with random_model(seed=3) as model:
        question = f'{INPUT}\n\nIt is about money.\n- "Yes"\n- "No"'
        pieces = chat_prompt(model, question).pieces
        tokens = sum(
            len(model.tokenize(piece.text, parse_special=piece.trusted))
            for piece in pieces
            if isinstance(piece, TextPiece)
        )
    assert usage["input_tokens"] == pytest.approx(2 * tokens, abs=6)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}


@pytest.mark.parametrize(
    ("change", "status", "place"),
    [
        ({"input": [{"role": "user", "content": [IMAGE]}]}, 400, "input.0.content.0"),
        (
            {"questions": [{**PREDICATE, "instructions": [IMAGE]}]},
            400,
            "questions.0.instructions.0",
        ),
        ({"questions": []}, 422, "questions"),
        ({"questions": [{**PREDICATE, "name": "a"}, {**PREDICATE, "name": "a"}]}, 422, None),
        ({"questions": [{"type": "predicate"}]}, 422, "questions.0.predicate.instructions"),
        (
            {
                "questions": [
                    {"type": "choice", "instructions": "", "choices": [{"value": "a"}] * 2}
                ]
            },
            422,
            "questions.0.choice.choices",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "1", "output": ""}]},
            422,
            "input.0.call_id",
        ),
        ({"input": []}, 422, "input"),
        ({"input": [{"type": "reasoning"}]}, 422, "input.0"),
        ({"input": "\ud800"}, 422, "input"),
        ({"model": "none"}, 404, "model"),
    ],
)
def test_a_wrong_body_has_an_error_with_its_place(
    client: TestClient, change: dict[str, Any], status: int, place: str | None
) -> None:
    body = json.dumps({"input": INPUT, "questions": [PREDICATE], **change})
    answer = client.post(ROUTE, content=body, headers={"content-type": "application/json"})

    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == place
    assert answer.json()["error"]["message"]


def test_an_error_of_the_model_names_its_question() -> None:
    with app_in_process({"short": lambda: random_model(context_length=60)}) as short:
        named = {**PREDICATE, "instructions": "long " * 50, "name": "the long one"}
        answer = short.post(ROUTE, json={"input": "x", "questions": [named]})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("questions.0 (the long one)")
    assert answer.json()["error"]["code"] == "context_length_exceeded"
