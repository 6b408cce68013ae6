"""`POST /v1/systemone`: the answers are those of `Model.choose`, and errors say what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from autocog_core.backends.byte_vocabulary import EOS_TEXT
from autocog_core.server.decisions.chat_frame import ChatFrame
from autocog_core.server.decisions.question import Question, predicate_options
from autocog_core.server.decisions.template import DecisionTemplate
from autocog_core.types.prompt import TextPiece
from tests.server.test_decision_templates import served_with
from tests.support.questions import HARD_NAMES, chat_prompt
from tests.support.served import ROWS
from tests.support.small_backends import random_model, table_model

STATE = "I was charged twice."
ROUTE = "/v1/systemone"
TEAM = {"type": "choice", "instructions": "Which team?", "criteria": {"Bill": None, "Billing": "x"}}


def ask(client: TestClient, state: Any = STATE, **questions: Any) -> dict[str, Any]:
    """Return the answers, or with other fields of the body in `body`, the whole answer."""
    body = questions.pop("body", {})
    answer = client.post(ROUTE, json={"state": state, "questions": questions, **body})
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()
    return data if body else data["answers"]


def test_the_answer_to_a_choice_is_that_of_choose_on_the_text_of_the_template(
    client: TestClient,
) -> None:
    answer = ask(client, team=TEAM)["team"]

    with random_model(seed=3) as model:
        prompt = chat_prompt(model, f'{STATE}\n\nWhich team?\n- "Bill"\n- "Billing": x')
        scores = model.choose(prompt, ['Bill"', 'Billing"'])
    probs = [score.prob for score in scores.scores]
    assert answer["probabilities"] == dict(zip(("Bill", "Billing"), probs, strict=True))
    assert list(answer["x_logprob"].values()) == [score.logprob for score in scores.scores]
    assert answer["choice"] == ("Bill", "Billing")[scores.index]
    assert answer["confidence"] == pytest.approx((max(probs) - 1 / 2) / (1 - 1 / 2), abs=1e-12)
    assert answer["x_exact"]
    assert answer["x_norm"] == "sum"
    assert answer["x_reason"] == ""


def test_the_answer_to_a_noul_is_the_probability_of_yes(client: TestClient) -> None:
    criteria = {"true": "A refund", "false": {"other": [1, "é"]}}
    answer = ask(client, q={"type": "noul", "instructions": "Money?", "criteria": criteria})["q"]

    with random_model(seed=3) as model:
        listed = '- "Yes": A refund\n- "No": {"other":[1,"é"]}'
        prompt = chat_prompt(model, f"{STATE}\n\nMoney?\n{listed}")
        scores = model.choose(prompt, ['Yes"', 'No"'])
    assert answer["noul"] == scores.scores[0].prob
    assert answer["x_logprob"] == {
        "true": scores.scores[0].logprob,
        "false": scores.scores[1].logprob,
    }


def test_a_score_is_the_mean_level_and_its_legend_has_the_levels_unchanged(
    client: TestClient,
) -> None:
    levels = ["Calm", "Angry", "Very angry"]
    answer = ask(client, {"mail": [1]}, q={"type": "score", "criteria": levels})["q"]

    with random_model(seed=3) as model:
        prompt = chat_prompt(model, '{"mail":[1]}\n\n- "Calm"\n- "Angry"\n- "Very angry"')
        probs = [s.prob for s in model.choose(prompt, [f'{level}"' for level in levels]).scores]
    assert list(answer["probabilities"].values()) == probs
    assert answer["score"] == pytest.approx(probs[1] + 2 * probs[2], abs=1e-12)
    assert answer["legend"] == {"0": "Calm", "1": "Angry", "2": "Very angry"}


def test_levels_without_a_text_of_their_own_are_answered_by_number(client: TestClient) -> None:
    levels = [{"label": "Calm"}, "Angry", "Angry"]
    answer = ask(client, q={"type": "score", "criteria": levels})["q"]

    with random_model(seed=3) as model:
        listed = '- "0": {"label":"Calm"}\n- "1": Angry\n- "2": Angry'
        prompt = chat_prompt(model, f"{STATE}\n\n{listed}")
        scores = model.choose(prompt, ['0"', '1"', '2"'])
    assert list(answer["probabilities"].values()) == [s.prob for s in scores.scores]
    assert answer["legend"] == {"0": {"label": "Calm"}, "1": "Angry", "2": "Angry"}


def test_hard_names_of_options_are_scored_each_by_itself_and_come_back_as_they_are(
    client: TestClient,
) -> None:
    question = {"type": "choice", "criteria": dict.fromkeys(HARD_NAMES)}
    answer = ask(client, q=question)["q"]

    assert tuple(answer["probabilities"]) == HARD_NAMES
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert len(set(answer["x_logprob"].values())) == len(HARD_NAMES)
    assert answer["choice"] in HARD_NAMES


def test_an_option_that_begins_another_one_is_scored_without_it_and_counts_once() -> None:
    templates = {"known": "{{ state }} {{ answer }}"}
    with served_with(templates) as client:
        question = {"type": "choice", "criteria": {"a": None, "a1": None, "b": None}}
        answer = ask(client, "It is", q=question)["q"]

    with table_model(ROWS) as model:
        scores = model.choose("It is ", ["a", "a1", "b"])
    assert list(answer["probabilities"].values()) == [score.prob for score in scores.scores]
    assert list(answer["x_logprob"].values()) == [score.logprob for score in scores.scores]
    # "a1" is a part of "a": 0.6 and 0.3.
    assert answer["x_label_mass"] == pytest.approx(0.9)
    assert answer["probabilities"]["a1"] == pytest.approx(0.3 / 0.9)


def test_letters_stand_for_options(client: TestClient) -> None:
    names = [f"option {number}" for number in range(28)]
    question = {"type": "choice", "criteria": dict.fromkeys(names)}
    whole = ask(client, body={"x_method": "letter"}, q=question)

    letters = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB"]
    with random_model(seed=3) as model:
        listed = "\n".join(f'- {c}. "{n}"' for c, n in zip(letters, names, strict=True))
        prompt = chat_prompt(model, f"{STATE}\n\n{listed}")
        scores = model.choose(prompt, [f'{c}"' for c in letters])
    assert whole["x_method"] == "letter"
    assert list(whole["answers"]["q"]["probabilities"].values()) == [s.prob for s in scores.scores]


def test_the_norm_changes_the_probabilities_but_not_the_log_probabilities(
    client: TestClient,
) -> None:
    plain = ask(client, team=TEAM)["team"]
    for field in ("norm", "x_norm"):
        mean = ask(client, body={field: "mean"}, team=TEAM)["answers"]["team"]
        assert mean["x_norm"] == "mean"
        assert mean["x_logprob"] == plain["x_logprob"]
        assert mean["probabilities"] != plain["probabilities"]


def test_one_option_and_one_level_are_certain(client: TestClient) -> None:
    answers = ask(
        client,
        c={"type": "choice", "criteria": {"only": None}},
        s={"type": "score", "criteria": ["only"]},
    )

    assert answers["c"]["confidence"] == answers["s"]["confidence"] == 1
    assert answers["c"]["probabilities"] == {"only": 1}
    assert answers["s"]["score"] == 0


def test_hundreds_of_questions_and_255_options_are_one_request(client: TestClient) -> None:
    questions: dict[str, Any] = {
        f"q{n}": {"type": "noul", "instructions": f"Number {n}?"} for n in range(400)
    }
    questions["many"] = {"type": "choice", "criteria": {f"Queue {n}": None for n in range(255)}}
    whole = ask(client, body={"x_isolate": True}, **questions)

    assert list(whole["answers"]) == list(questions)
    assert len(whole["answers"]["many"]["probabilities"]) == 255
    assert whole["x_isolate"] is True
    # At least the characters of the state, once for each question.
    assert whole["usage"]["input_tokens"] > 401 * len(STATE)
    assert whole["usage"]["output_tokens"] > 400 * 2


def test_unknown_fields_are_ignored(client: TestClient) -> None:
    extra = {"seed": 7, "x_trace": "t", "prompt": None}

    assert ask(client, body=extra, team=TEAM)["answers"] == ask(client, team=TEAM)


def test_keys_of_objects_keep_their_order(client: TestClient) -> None:
    first, second = (
        json.dumps(ask(client, state, team=TEAM)) for state in ({"b": 1, "a": 2}, {"a": 2, "b": 1})
    )

    assert first != second


@pytest.mark.parametrize("state", ["", " ", "\n", f"a {EOS_TEXT} b", EOS_TEXT])
def test_no_state_ends_the_turn_of_the_user(client: TestClient, state: str) -> None:
    answer = ask(client, state, q={"type": "noul"})["q"]

    with random_model(seed=3) as model:
        prompt = chat_prompt(model, f'{state}\n\n- "Yes"\n- "No"')
        assert answer["noul"] == model.choose(prompt, ['Yes"', 'No"']).scores[0].prob


def test_the_shared_beginning_of_a_chat_is_one_piece_unless_it_would_have_special_tokens() -> None:
    text = DecisionTemplate.default().text_of(
        Question("q", "predicate", "", predicate_options()), "text"
    )
    frame = ChatFrame((TextPiece("<s>user <", trusted=True),), (), ("<s>", "<x>"))

    shared, *_ = frame.prompt("plain", text).pieces
    for state in ("<s>", "x>", "a <x> b"):
        head, untrusted, *_ = frame.prompt(state, text).pieces
        assert (head, untrusted) == (frame.before[0], TextPiece(state))
    assert shared == TextPiece("<s>user <plain", trusted=True)
