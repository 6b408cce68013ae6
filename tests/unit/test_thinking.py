"""Thinking before an action: the thoughts are greedy, in the tree, and what follows sees them."""

from __future__ import annotations

from typing import Any

import pytest

from autocog_core import (
    Automaton,
    CapabilityError,
    Choose,
    Complete,
    InputError,
    Model,
    Text,
    Thinking,
    TokenPiece,
)
from autocog_core.dataset import run_rows
from tests.support.small_backends import random_model
from tests.support.soak import count

CHOICES = ["yes", "no"]


def think_by_hand(model: Model, prompt: list[int], length: int, end: list[int]) -> list[int]:
    """Return the likeliest tokens, one by one: up to `end`, EOS, or `length` of them."""
    tokens: list[int] = []
    while len(tokens) < length:
        tokens.append(int(model.greedy(TokenPiece((*prompt, *tokens))).argmax()))
        if tokens[-len(end) :] == end or tokens[-1] in model.info.eos:
            break
    return tokens


@pytest.mark.parametrize("seed", range(count(normal=6, soak=200)))
def test_thoughts_are_greedy_and_what_follows_is_conditioned_on_them(seed: int) -> None:
    model = random_model(seed=seed)
    length = 3 + seed % 4
    prompt = model.encode("Think:")
    plain = think_by_hand(model, prompt, 3, [-1])
    # Every other seed, the model writes the end.
    ends = seed % 2 == 0 and plain[-1] < 128 and plain[-1] not in model.info.eos
    end = chr(plain[-1]) if ends else "</think>"
    end_ids = model.tokenize(end, parse_special=True)
    tree = Automaton(
        [
            Text(uid="a", text="Think:", successors="b"),
            Choose(
                uid="b",
                choices=CHOICES,
                name="answer",
                thinking=Thinking(length=length, end=end, after=" So:"),
                successors="c",
            ),
            Complete(uid="c", length=3, thinking={"length": 2, "end": end}),
        ]
    ).run(model)
    thoughts = think_by_hand(model, prompt, length, end_ids)
    node, after = tree.nodes[1:3]
    assert (node.uid, after.uid) == ("b.thinking", "b.thinking.end")
    assert list(node.tokens) == thoughts
    assert len(node.logprobs) == len(thoughts)
    is_ended = thoughts[-len(end_ids) :] == end_ids
    if is_ended:
        assert node.finish_reason == "stop"
        assert node.text == str(node.value) + end
        assert after.text == " So:"
    else:
        assert node.finish_reason in ("length", "eos")
        assert node.value == node.text
        assert after.text == end + " So:"
        assert not after.logprobs
    kept = thoughts[:-1] if node.finish_reason == "eos" else thoughts
    context = [*prompt, *kept, *([] if is_ended else end_ids), *model.tokenize(" So:")]
    scores = model.choose(TokenPiece(tuple(context)), CHOICES)
    choices = [other for other in tree.nodes if other.uid == "b"]
    assert [other.prob for other in choices] == [score.prob for score in scores.scores]
    assert list(tree.context_tokens(tree.nodes.index(choices[0]))) == context
    assert choices[0].path_logprob == pytest.approx(node.logprob + choices[0].logprob)
    best = tree.best()
    assert best.fields == {"answer": scores.choice}
    assert [one.uid for one in best.nodes if "thinking" in one.uid].count("c.thinking") == 1
    written = best.nodes[-1]
    before = [t for one in best.nodes[:-1] for t in one.tokens if t not in model.info.eos]
    assert int(model.greedy(TokenPiece((*prompt[:1], *before))).argmax()) == written.tokens[0]


def test_new_texts_and_groups_think_too() -> None:
    model = random_model(seed=3)
    thinking = {"length": 3, "end": "</think>"}
    question: dict[str, Any] = {"name": "x", "choices": CHOICES, "thinking": thinking}
    tree = Automaton.from_dict(
        {
            "actions": [
                {"text": "Question:"},
                {"ask": [[question]]},
                {"name": "y", "choices": CHOICES, "thinking": thinking, "context": "fresh"},
            ]
        }
    ).run(model)
    starts = [node for node in tree.nodes if node.uid.endswith(".thinking")]
    assert [node.context_parent for node in starts] == [1, -1]
    for name, prompt in (("x", model.encode("Question:")), ("y", model.encode(""))):
        thoughts = think_by_hand(model, prompt, 3, model.tokenize("</think>"))
        context = (*prompt, *thoughts, *model.tokenize("</think>"))
        scores = model.choose(TokenPiece(context), CHOICES)
        probs = [node.prob for node in tree.nodes if node.name == name]
        assert probs == pytest.approx([score.prob for score in scores.scores])


def test_thinking_is_written_and_checked() -> None:
    thinking = Thinking(length=3, end="</think>", after="\n\n")
    actions = [Choose(uid="a", choices=CHOICES, thinking=thinking)]
    data = Automaton(actions).to_dict()
    assert data["actions"][0]["thinking"] == {"length": 3, "end": "</think>", "after": "\n\n"}
    assert Automaton.from_dict(data).actions == tuple(actions)
    for wrong, error in (
        ({"length": 0}, "length is 0"),
        ({"length": 1, "end": ""}, "end is empty"),
        ({"lenght": 1}, "unknown key"),
        ({}, "length"),
    ):
        with pytest.raises(InputError, match=error):
            Automaton.from_dict({"actions": [{"length": 3, "thinking": wrong}]})


def test_a_model_that_does_not_think_is_one_clear_error() -> None:
    program = Automaton.from_dict(
        {"actions": [{"text": "A"}, {"length": 2, "thinking": {"length": 2}}]}
    )
    with pytest.raises(CapabilityError, match="no token that ends the thoughts"):
        program.run(random_model())
    with pytest.raises(CapabilityError, match="token distributions"):
        program.run(random_model(), strategy="text")


def test_thoughts_that_do_not_fit_the_context_name_their_length() -> None:
    thinking = {"length": 10**6, "end": "</think>"}
    actions = [{"text": "A"}, {"length": 2, "thinking": thinking}]
    with pytest.raises(InputError, match=r'thinking of action "complete-2": .*smaller length'):
        Automaton.from_dict({"actions": actions}).run(random_model(context_length=64))


def test_rows_have_the_fields_of_thinking_actions() -> None:
    thinking = {"length": 2, "end": "</think>"}
    data = {"actions": [{"text": "A"}, {"name": "x", "choices": CHOICES, "thinking": thinking}]}
    (result,) = run_rows(Automaton.from_dict(data), random_model(), [{}])
    assert result.output_row["error"] is None
