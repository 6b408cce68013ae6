"""The method "decision" by System One: what is sent, and what becomes of the answer."""

from __future__ import annotations

import math
from typing import Any

import pytest
from starlette.responses import JSONResponse

from autocog_core import Automaton, CapabilityError, Prompt, TextPiece
from autocog_core.errors import EngineError, InputError
from autocog_openai.connection.errors import MalformedAnswerError
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.scripted import Scripted, refusal
from tests.support.openai.servers.system_one import PATH, SystemOneServer, shares, with_route
from tests.support.openai.servers.vllm import VLLM

STATE = "I was charged twice."
TEAMS = [" Billing", " Technical", " Sales"]
REQUESTED = "requested; the probabilities are those of the server's decision (/v1/systemone)"


def names_of(question: dict[str, Any]) -> list[str]:
    return list(question["criteria"])


def test_a_choice_has_the_servers_probabilities_and_no_tokens(connect: Connect) -> None:
    server = SystemOneServer()
    found = connect(server).choose(STATE, TEAMS, method="decision")
    assert [score.prob for score in found.scores] == pytest.approx(shares(3))
    assert (found.choice, found.method, found.exact) == (" Sales", "decision", False)
    assert found.reason.startswith(REQUESTED)
    assert "blanks around the choices were removed" in found.reason
    # Not the x_logprob that the server sends with it.
    assert all(score.tokens == () and score.token_logprobs == () for score in found.scores)
    assert found.best.logprob == pytest.approx(math.log(1 / 2))
    assert found.tokens_evaluated == 11
    assert server.log.bodies(PATH)[-1] == {
        "model": "random",
        "state": STATE,
        "questions": {
            "question 1": {
                "type": "choice",
                "criteria": {"Billing": None, "Technical": None, "Sales": None},
            }
        },
    }


def test_a_prompt_of_two_texts_is_a_state_and_instructions(connect: Connect) -> None:
    server = SystemOneServer()
    model = connect(server)
    prompt = Prompt((TextPiece(STATE), TextPiece("\nWhich team?")))
    model.choose(prompt, TEAMS, method="decision")
    body = server.log.bodies(PATH)[-1]
    assert body["state"] == STATE
    assert body["questions"]["question 1"]["instructions"] == "Which team?"
    model.choose(Prompt((TextPiece(STATE), TextPiece("\n"))), list("ab"), method="decision")
    assert server.log.bodies(PATH)[-1]["state"] == STATE + "\n"


def test_messages_are_a_list(connect: Connect) -> None:
    server = SystemOneServer()
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": STATE}]
    connect(server).choose(messages=messages, choices=TEAMS, method="decision")
    assert server.log.bodies(PATH)[-1]["state"] == messages


@pytest.mark.parametrize(
    ("choices", "names"),
    [
        (["a ", " b\n"], ["a", "b"]),
        (["a", " a"], ["a", " a"]),
        ([" ", "a"], [" ", "a"]),
        (["é", "e\u0301"], ["é", "e\u0301"]),
    ],
)
def test_names_of_options_differ(connect: Connect, choices: list[str], names: list[str]) -> None:
    server = SystemOneServer()
    found = connect(server).choose(STATE, choices, method="decision")
    assert names_of(server.log.bodies(PATH)[-1]["questions"]["question 1"]) == names
    assert [score.choice for score in found.scores] == choices
    assert ("blanks" in found.reason) == (names != choices)


def test_all_questions_about_a_state_are_one_request(connect: Connect) -> None:
    server = SystemOneServer()
    model = connect(server)
    pieces = [Prompt((TextPiece(STATE), TextPiece(f"Is it {number}?"))) for number in range(300)]
    choices = [[" yes", " no", f" {number}"] for number in range(300)]
    found = model.choose_many([*pieces, "Another"], [*choices, TEAMS], method="decision")
    bodies = server.log.bodies(PATH)[1:]
    assert sorted(len(body["questions"]) for body in bodies) == [1, 300]
    assert [scores.scores[2].choice for scores in found[:300]] == [each[2] for each in choices]
    assert [scores.scores[1].prob for scores in found] == pytest.approx([1 / 3] * 301)
    spent = sum(scores.tokens_evaluated or 0 for scores in found)
    assert spent == 3001 + 11
    one = model.choose(pieces[7], choices[7], method="decision")
    assert [score.prob for score in one.scores] == [score.prob for score in found[7].scores]
    assert one.reason == found[7].reason


def test_an_isolated_question_is_a_request_of_its_own(connect: Connect) -> None:
    server = SystemOneServer()
    model = connect(server)
    together = model.choose_many([STATE] * 3, TEAMS, method="decision")
    alone = model.choose_many([STATE] * 3, TEAMS, method="decision", isolate=True)
    assert [len(body["questions"]) for body in server.log.bodies(PATH)[1:]] == [3, 1, 1, 1]
    assert [each.scores for each in alone] == [each.scores for each in together]


def test_vllm_takes_fewer_questions(connect: Connect) -> None:
    server = with_route(VLLM())
    connect(server).choose_many([STATE] * 130, TEAMS, method="decision")
    sizes = [len(body["questions"]) for body in server.log.bodies(PATH)[1:]]
    assert sorted(sizes) == [2, 64, 64]


def test_messages_are_not_sent_as_rendered_text(connect: Connect) -> None:
    server = with_route(VLLM())
    messages = [{"role": "user", "content": STATE}]
    with pytest.raises(CapabilityError, match='api = "chat" sends messages as they are'):
        connect(server).choose(messages=messages, choices=TEAMS, method="decision")
    model = connect(server, api="chat")
    assert model.choose(messages=messages, choices=TEAMS, method="decision").choice == " Sales"
    assert server.log.bodies(PATH)[-1]["state"] == messages
    with pytest.raises(CapabilityError, match="variables of the chat template"):
        model.choose(
            messages=messages,
            choices=TEAMS,
            method="decision",
            template_arguments={"enable_thinking": False},
        )


def test_more_questions_than_a_request_may_have_are_split(connect: Connect) -> None:
    server = SystemOneServer()
    found = connect(server).choose_many(
        [STATE] * 900, [[f"{number}", "other"] for number in range(900)], method="decision"
    )
    sizes = [len(body["questions"]) for body in server.log.bodies(PATH)[1:]]
    assert sorted(sizes) == [100, 400, 400]
    assert [scores.scores[0].choice for scores in found] == [f"{number}" for number in range(900)]


def test_255_options_stay_together(connect: Connect) -> None:
    server = SystemOneServer()
    choices = [f"option {number}" for number in range(255)]
    found = connect(server).choose_many([STATE] * 50, choices, method="decision")
    sizes = [len(body["questions"]) for body in server.log.bodies(PATH)[1:]]
    assert sorted(sizes) == [11, 39]
    assert all(scores.index == 254 for scores in found)


@pytest.mark.parametrize("digits", [2, 4])
def test_rounded_probabilities_are_divided_by_their_sum(connect: Connect, digits: int) -> None:
    server = SystemOneServer()
    server.digits = digits
    found = connect(server).choose(STATE, list("abcdefghijk"), method="decision")
    assert math.fsum(score.prob for score in found.scores) == pytest.approx(1, abs=1e-12)
    assert found.scores[3].prob == pytest.approx(shares(11)[3], abs=10**-digits)
    total = sum(round(share, digits) for share in shares(11))
    assert (f"they summed to {total:.3f}" in found.reason) == (abs(total - 1) > 1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "mean"}, "norm mean"),
        ({"norm": "per_byte"}, "norm per_byte"),
        ({"norm": "pmi"}, "norm pmi"),
        ({"suffix": "."}, "suffix"),
    ],
)
def test_what_needs_log_probabilities_is_refused(
    connect: Connect, arguments: dict[str, Any], message: str
) -> None:
    server = SystemOneServer()
    model = connect(server)
    with pytest.raises(CapabilityError, match=f'"decision" does not take .*{message}'):
        model.choose(STATE, TEAMS, method="decision", **arguments)
    with pytest.raises(CapabilityError, match=message):
        model.choose_many([STATE] * 2, TEAMS, method="decision", **arguments)
    assert not any("question 1" in body for body in server.log.bodies(PATH)[1:])


def test_decisions_add_nothing_to_the_log_probability_of_a_path(connect: Connect) -> None:
    automaton = Automaton.from_dict(
        {
            "actions": [
                {"uid": "ask", "text": STATE},
                {"uid": "team", "name": "team", "choices": TEAMS},
            ]
        }
    )
    best = automaton.run(connect(SystemOneServer()).as_model()).best()
    assert (best.logprob, best.end.logprobs, best.end.exact) == (0.0, (), False)
    assert best.end.prob == pytest.approx(1 / 2)


def answer(**fields: Any) -> JSONResponse:
    decided = {"type": "choice", "choice": "b", "probabilities": {"a": 0.2, "b": 0.8}, **fields}
    return JSONResponse({"answers": {"question 1": decided}})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"probabilities": {"a": 0.9, "b": 0.9}}, "sum to 1.8"),
        ({"probabilities": {"a": 0.2}}, "no probability of 'b'"),
        ({"probabilities": {"a": 0.1, "b": 0.8, "c": 0.1}}, "'c', which is no option"),
        ({"probabilities": {"a": -0.2, "b": 1.2}}, "probabilities must be a probability"),
        ({"probabilities": {"a": "0.2", "b": 0.8}}, "probabilities must be a probability"),
        ({"probabilities": [0.2, 0.8]}, "probabilities must be an object"),
        ({"choice": "a"}, "'b' is likelier"),
        ({"choice": "B"}, "'B' is no option"),
        ({"type": "noul", "noul": 0.5}, "type 'noul'"),
    ],
    ids=str,
)
def test_wrong_answers_are_malformed(
    connect: Connect, fields: dict[str, Any], message: str
) -> None:
    scripted = Scripted(SystemOneServer())
    model = connect(scripted, max_retries=0)
    assert model.choose(STATE, ["a", "b"], method="decision").choice == "b"
    scripted.answers.append(answer(**fields))
    with pytest.raises(MalformedAnswerError, match=message):
        model.choose(STATE, ["a", "b"], method="decision")
    assert model.choose(STATE, ["a", "b"], method="decision").choice == "b"


def test_an_answer_that_is_missing_is_malformed(connect: Connect) -> None:
    scripted = Scripted(SystemOneServer())
    model = connect(scripted, max_retries=0)
    assert model.choose(STATE, ["a", "b"]).method == "decision"
    scripted.answers.append(answer())
    with pytest.raises(MalformedAnswerError, match="question 2 is missing"):
        model.choose_many([STATE] * 2, [["a", "b"], ["c", "d"]])


def test_errors_name_the_place_in_the_body(connect: Connect) -> None:
    scripted = Scripted(SystemOneServer())
    model = connect(scripted, max_retries=0)
    model.choose(STATE, TEAMS, method="decision")
    place = ["body", "questions", "question 1", "choice", "criteria"]
    detail = [{"loc": place, "msg": "at most 64 items", "type": "too_long"}]
    scripted.answers.append(JSONResponse({"detail": detail}, status_code=422))
    with pytest.raises(InputError, match=r"question 1\.choice.criteria: at most 64 items"):
        model.choose(STATE, TEAMS, method="decision")
    wrong = {"detail": {"error_type": "api_usage_error", "message": "the state is too long"}}
    scripted.answers.append(JSONResponse(wrong, status_code=400))
    with pytest.raises(InputError, match="400: the state is too long"):
        model.choose(STATE, TEAMS, method="decision")


def test_a_busy_server_is_asked_again(connect: Connect) -> None:
    scripted = Scripted(SystemOneServer())
    model = connect(scripted, max_retries=1)
    model.choose(STATE, TEAMS, method="decision")
    busy = {"detail": {"error_type": "rate_limit_error", "message": "slow down"}}
    scripted.answers.append(
        JSONResponse(busy, status_code=429, headers={"Retry-After": "0"}),
    )
    assert model.choose(STATE, TEAMS, method="decision").choice == " Sales"
    assert scripted.answered == 1
    scripted.answers += [refusal(503, "overloaded", headers={"Retry-After": "0"})] * 2
    with pytest.raises(EngineError, match="overloaded") as caught:
        model.choose(STATE, TEAMS, method="decision")
    assert caught.value.retryable
