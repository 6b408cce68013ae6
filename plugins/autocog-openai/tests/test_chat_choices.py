"""Choices on routes that list only the most likely tokens: exact, or bounds with a reason."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from starlette.responses import JSONResponse

from autocog_core import Automaton, Model
from autocog_core.errors import CapabilityError, InputError
from autocog_openai.connection.errors import MalformedAnswerError
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.openai_api import CHAT, DECIDER, INSTRUCT, REASONING, OpenAIServer
from tests.support.openai.servers.openai_decisions import DECIDES, probabilities
from tests.support.openai.servers.scripted import Scripted
from tests.support.openai.servers.wrong_echo import WrongEcho

MESSAGES = [{"role": "user", "content": "Yes or no?"}]
OPENAI = {"model": CHAT, "server": "openai"}


def plain_tokens(truth: Model, ids: list[int], among: int | None = 20) -> list[str]:
    """Return printable one-token texts: among the most likely ones, or (None) not among 20."""
    order = [int(token) for token in np.argsort(-truth.greedy(ids), kind="stable")]
    chosen = order[:among] if among else order[20:]
    return [chr(token) for token in chosen if 33 <= token < 127]


def assert_bounds(found: Any, own: Any) -> None:
    """Check that scores are lower bounds, and that `unseen_probability` covers the rest."""
    assert found.exact is False
    assert found.reason
    missing = 0.0
    for one, other in zip(found.scores, own.scores, strict=True):
        assert one.logprob <= other.logprob + 1e-5
        if math.isinf(one.logprob):
            missing += math.exp(other.logprob)
        else:
            assert one.logprob == pytest.approx(other.logprob, abs=1e-5)
    assert missing - 1e-6 <= found.unseen_probability <= 1.0


@pytest.mark.parametrize(
    ("make", "options"),
    [(OpenAIServer, OPENAI), (Generic, {})],
    ids=["openai", "generic"],
)
def test_one_token_choices_are_exact_while_all_are_listed(
    connect_chat: Connect, make: Any, options: dict[str, Any]
) -> None:
    server = make()
    model, truth = connect_chat(server, **options), server.engine.model
    ids = truth.encode(truth.chat_prompt(MESSAGES))
    seen, unseen = plain_tokens(truth, ids), plain_tokens(truth, ids, None)
    found = model.choose(messages=MESSAGES, choices=seen)
    own = truth.choose(messages=MESSAGES, choices=seen)
    assert (found.exact, found.method, found.unseen_probability, found.reason) == (
        True,
        "top_logprobs",
        0.0,
        "",
    )
    assert found.index == own.index
    for one, other in zip(found.scores, own.scores, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-5)
        assert one.prob == pytest.approx(other.prob, abs=1e-5)
    choices = [*seen[:2], *unseen[:3]]
    own = truth.choose(messages=MESSAGES, choices=choices)
    found = model.choose(messages=MESSAGES, choices=choices)
    assert_bounds(found, own)
    assert "20 most likely" in found.reason


def test_two_token_choices_are_exact_if_a_bias_forces_the_first_token(
    connect_chat: Connect,
) -> None:
    server = OpenAIServer()
    model, truth = connect_chat(server, **OPENAI), server.engine.model
    facts = model.as_model().info.details
    assert (facts["logit_bias"], facts["prefill"]) == (True, False)
    ids = truth.encode(truth.chat_prompt(MESSAGES))
    first, other = plain_tokens(truth, ids)[:2]
    choices = [first + letter for letter in plain_tokens(truth, [*ids, ord(first)])[:2]]
    choices.append(other)
    found = model.choose(messages=MESSAGES, choices=choices)
    own = truth.choose(messages=MESSAGES, choices=choices)
    assert (found.exact, found.reason) == (True, "")
    assert [score.logprob for score in found.scores] == pytest.approx(
        [score.logprob for score in own.scores], abs=1e-5
    )


def test_tokens_at_unreachable_positions_are_bounded(connect_chat: Connect) -> None:
    server = OpenAIServer()
    model, truth = connect_chat(server, **OPENAI), server.engine.model
    ids = truth.encode(truth.chat_prompt(MESSAGES))
    first, other = plain_tokens(truth, ids)[:2]
    after = [*ids, ord(first)]
    second = plain_tokens(truth, after)[0]
    choices = [first + second + "x", other]
    found = model.choose(messages=MESSAGES, choices=choices)
    assert_bounds(found, truth.choose(messages=MESSAGES, choices=choices))
    assert found.choice == other
    reached = truth.greedy(ids)[ord(first)] + truth.greedy(after)[ord(second)]
    assert found.unseen_probability == pytest.approx(math.exp(reached), abs=1e-6)


def test_instruct_models_are_scored_by_the_completions_route(connect_chat: Connect) -> None:
    server = OpenAIServer()
    model = connect_chat(server, model=INSTRUCT, server="openai")
    truth = server.engine.model
    assert model.as_model().info.details["api"] == "completions"
    ids = truth.encode("It is")
    seen = plain_tokens(truth, ids, 5)
    found = model.choose("It is", seen)
    own = truth.choose("It is", seen)
    assert (found.exact, found.method) == (True, "top_logprobs")
    assert [s.logprob for s in found.scores] == pytest.approx(
        [s.logprob for s in own.scores], abs=1e-5
    )
    choices = [seen[0], *plain_tokens(truth, ids, None)[:2]]
    found = model.choose("It is", choices)
    assert_bounds(found, truth.choose("It is", choices))
    assert "5 most likely" in found.reason
    assert all((body.get("logprobs") or 0) <= 5 for body in accepted(server))


def accepted(server: Any) -> list[Any]:
    """Return the bodies of completions requests that are not from the probe."""
    bodies = server.log.bodies("/v1/completions")
    return [body for body in bodies if str(body["prompt"]) == "It is"]


@pytest.mark.parametrize("right", [True, False])
def test_texts_are_scored_position_by_position_without_echo(
    connect_chat: Connect, right: bool
) -> None:
    server = WrongEcho(right=right)
    model, truth = connect_chat(server), server.engine.model
    ids = truth.encode("It is")
    first, other = plain_tokens(truth, ids, 5)[:2]
    second = plain_tokens(truth, [*ids, ord(first)], 5)[:2]
    choices = [first + letter for letter in second] + [other]
    assert model.as_model().info.details["prompt_logprobs"] == ("right" if right else "wrong")
    server.log.clear()
    found = model.choose("It is", choices, method="top_logprobs")
    own = truth.choose("It is", choices)
    assert (found.exact, found.method) == (True, "top_logprobs")
    assert [s.logprob for s in found.scores] == pytest.approx(
        [s.logprob for s in own.scores], abs=1e-5
    )
    assert not any(body.get("echo") for body in server.log.bodies("/v1/completions"))


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda: Generic(logprobs=False), {}),
        (OpenAIServer, {"model": REASONING, "server": "openai"}),
        (OpenAIServer, {**OPENAI, "api": "responses"}),
    ],
    ids=["generic", "reasoning", "responses"],
)
def test_without_log_probabilities_the_method_is_pick(
    connect_chat: Connect, make: Any, options: dict[str, Any]
) -> None:
    server = make()
    model = connect_chat(server, **options)
    found = model.choose(messages=MESSAGES, choices=["yes", "no", "maybe so"])
    assert (found.exact, found.method) == (False, "pick")
    assert "no log-probabilities" in found.reason
    assert "no distribution" in found.reason
    assert sorted(score.prob for score in found.scores) == [0.0, 0.0, 1.0]
    assert all(score.tokens == () for score in found.scores)
    with pytest.raises(CapabilityError, match="top_logprobs"):
        model.choose(messages=MESSAGES, choices=["yes", "no"], method="top_logprobs")
    with pytest.raises(CapabilityError, match="pmi"):
        model.choose(messages=MESSAGES, choices=["yes", "no"], norm="pmi")


def test_each_method_can_be_requested(connect_chat: Connect) -> None:
    server = OpenAIServer()
    model, truth = connect_chat(server, **OPENAI), server.engine.model
    choices = plain_tokens(truth, truth.encode(truth.chat_prompt(MESSAGES)))[:3]
    listed = model.choose(messages=MESSAGES, choices=choices, method="top_logprobs")
    assert (listed.method, listed.exact) == ("top_logprobs", True)
    picked = model.choose(messages=MESSAGES, choices=choices, method="pick")
    assert (picked.method, picked.exact) == ("pick", False)
    assert picked.choice == choices[picked.index]
    for method, reason in [
        ("tree", "named tokens"),
        ("decision", "no route"),
        ("guess", "the methods are"),
    ]:
        with pytest.raises(CapabilityError, match=reason):
            model.choose(messages=MESSAGES, choices=choices, method=method)


def test_pick_constrains_the_answer_to_the_choices(
    connect_chat: Connect,
) -> None:
    server = OpenAIServer()
    model = connect_chat(server, **OPENAI)
    choices = ['say "no"', "été", "no\nway"]
    found = model.choose(messages=MESSAGES, choices=choices, method="pick")
    body = server.log.bodies("/v1/chat/completions")[-1]
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["choice"]["enum"] == choices
    assert body["temperature"] == 0
    assert found.choice in choices


def test_decisions_have_the_servers_probabilities_and_no_tokens(connect_chat: Connect) -> None:
    server = OpenAIServer()
    model = connect_chat(server, model=DECIDER, server="openai")
    assert model.as_model().info.details["decision_routes"] == DECIDES
    found = model.choose(messages=MESSAGES, choices=["yes", "no", "maybe"], method="decision")
    asked = server.log.bodies("/v1/decisions")[-1]
    expected = probabilities(server.engine, "Yes or no?", asked["questions"][0], 3)
    assert [score.prob for score in found.scores] == pytest.approx(expected, abs=1e-6)
    assert (found.method, found.exact) == ("decision", False)
    assert found.reason.startswith(
        "requested; the probabilities are those of the server's decision"
    )
    assert all(score.tokens == () and score.token_logprobs == () for score in found.scores)
    with pytest.raises(CapabilityError, match="pmi"):
        model.choose(messages=MESSAGES, choices=["yes", "no"], method="decision", norm="pmi")


@pytest.mark.parametrize("shares", [(1.5, 0.2), (-0.1, 0.6), (0.9, 0.9), ("nan", 0.5)])
def test_decisions_with_invalid_probabilities_are_errors(
    connect_chat: Connect, shares: tuple[Any, Any]
) -> None:
    scripted = Scripted(OpenAIServer())
    model = connect_chat(scripted, model=DECIDER, server="openai")
    assert model.as_model().info.details["decision_routes"] == DECIDES
    told = [{"value": v, "probability": p} for v, p in zip(("yes", "no"), shares, strict=True)]
    answer = {"type": "choice", "choice": "yes", "probabilities": told}
    scripted.answers.append(JSONResponse({"answers": [answer]}))
    with pytest.raises(MalformedAnswerError, match="probabilit"):
        model.choose(messages=MESSAGES, choices=["yes", "no"], method="decision")
    assert model.choose(messages=MESSAGES, choices=["yes", "no"], method="decision").index in (0, 1)


@pytest.mark.parametrize(
    ("make", "options", "method"),
    [
        (OpenAIServer, {"server": "openai"}, "top_logprobs"),
        (lambda: WrongEcho(right=True), {}, "echo"),
        (lambda: WrongEcho(right=True), {}, "top_logprobs"),
        (OpenAIServer, {"server": "openai"}, "pick"),
    ],
)
def test_the_cost_of_a_choice_is_what_the_server_reports(
    connect_chat: Connect, make: Any, options: dict[str, Any], method: str
) -> None:
    model = connect_chat(make(), **options).as_model()
    assert model.info.name
    before = model.usage
    found = model.choose("It is", choices=["yes", "no"], method=method)
    after = model.usage
    assert before is not None
    assert after is not None
    spent = after - before
    assert found.method == method
    assert (
        found.tokens_evaluated
        == spent.prompt_tokens - spent.cached_tokens + spent.completion_tokens
    )
    assert found.tokens_evaluated >= 3


def test_decision_is_the_default_if_nothing_else_is_supported(connect_chat: Connect) -> None:
    model = connect_chat(OpenAIServer(), model=DECIDER, server="openai")
    found = model.choose(messages=MESSAGES, choices=["yes", "no"])
    assert found.method == "decision"
    assert "no log-probabilities" in found.reason
    with pytest.raises(InputError, match="2 to 255"):
        model.choose(messages=MESSAGES, choices=[f"number {i}" for i in range(256)])


@pytest.mark.parametrize("options", [{"model": DECIDER}, {"model": REASONING}], ids=str)
def test_pick_and_decision_add_nothing_to_the_log_probability_of_a_path(
    connect_chat: Connect, options: dict[str, Any]
) -> None:
    model = connect_chat(OpenAIServer(), server="openai", **options).as_model()
    automaton = Automaton.from_dict(
        {
            "actions": [
                {"uid": "ask", "text": "Is it right?"},
                {"uid": "answer", "name": "answer", "choices": ["yes", "no"]},
            ]
        }
    )
    tree = automaton.run(model)
    best = tree.best()
    assert best.logprob == 0.0
    assert best.end.exact is False
    assert best.end.logprobs == ()
    assert 0 < best.end.prob <= 1
