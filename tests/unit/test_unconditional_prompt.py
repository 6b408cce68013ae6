"""What the norm "pmi" conditions on, where the tokenizer adds no BOS."""

from __future__ import annotations

from typing import Any

import pytest

from autocog_core import Automaton, Choose, Complete, InputError, Text
from autocog_core.automaton import Input, Template
from autocog_core.scoring.unconditional_prompt import cut_end
from autocog_core.types.prompt import Prompt, TextPiece, TokenPiece
from tests.support.small_backends import random_model

MODEL = random_model(seed=5, bos=False)
WITH_BOS = random_model(seed=5)
#: " Paris" is one token.
MERGES = random_model(seed=5, vocabulary="merges", bos=False)
CHOICES = [" Paris", " Rome"]


def ask(*texts: str | Template, choices: list[str] = CHOICES, **fields: Any) -> Automaton:
    """A program of texts, and a choice by pmi after them."""
    actions: list[Any] = [
        Text(uid=f"t{index}", text=text, successors=(f"t{index + 1}",))
        for index, text in enumerate(texts)
    ]
    choice = Choose(uid=f"t{len(texts)}", choices=tuple(choices), norm="pmi", **fields)
    inputs = {name for text in texts if isinstance(text, Template) for name in text.names}
    return Automaton([*actions, choice], inputs={name: Input() for name in inputs})


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([Template("Q: {{ q }}\nA:")], "\nA:"),
        ([Template("Q: {{ q }}{# so #}\nA:")], "\nA:"),
        ([Template("Q: {{ q }}{% if q %} ({{ q }}){% endif %}\nA:")], "\nA:"),
        ([Template("Q: {{ q }}"), "\nA", ":"], "\nA:"),
        ([Template("Q: {{ q }}\n"), "", "A:"], "\nA:"),
        ([Template("Q: {{ q }}{% raw %}{{ A }}:{% endraw %}")], "{{ A }}:"),
    ],
)
def test_a_program_has_the_text_after_its_last_expression(texts: list[Any], told: str) -> None:
    program = ask(*texts)
    bound = program.bind({"q": "Where?"})
    prompt = "".join(str(text.text) for text in bound.actions if isinstance(text, Text))
    expected = MODEL.choose(prompt, CHOICES, norm="pmi", unconditional_prompt=told)
    saved = Automaton.from_dict(bound.to_dict())
    for same in (bound, bound.simplify(), saved):
        for strategy in ("token_tree", "text"):
            nodes = same.run(MODEL, strategy=strategy).nodes[-2:]  # type: ignore[arg-type]
            assert [node.unconditional_prompt for node in nodes] == [told, told]
            assert [node.prob for node in nodes] == pytest.approx(
                [score.prob for score in expected.scores]
            )
    assert program.run(MODEL, {"q": "Where?"}).nodes[-1].unconditional_prompt == told


def test_healed_text_is_cut_off_because_the_decided_tokens_spell_it_again() -> None:
    program = ask(Template("Q: {{ q }}\nA= "), choices=["Paris", "the"])
    tree = program.run(MERGES, {"q": "Where?"})
    assert tree.nodes[-1].unconditional_prompt == "\nA="
    result = MERGES.choose(
        "Q: Where?\nA= ", ["Paris", "the"], norm="pmi", unconditional_prompt="\nA="
    )
    assert result.healed_text == " "
    with pytest.raises(InputError, match="unconditional_prompt"):
        ask(Template("Q:{{ q }} "), choices=["Paris", "the"]).run(MERGES, {"q": "Where?"})
    assert [node.prob for node in tree.nodes[-2:]] == pytest.approx(
        [score.prob for score in result.scores]
    )


@pytest.mark.parametrize(
    ("pieces", "tail", "trusted"),
    [
        (["Q: Where?", "\nA:"], "\nA:", ()),
        (["Q: Where?", "\nA:", ""], "\nA:", ()),
        ([TokenPiece((72, 73)), "\nA:"], "\nA:", ()),
        (["Q: Where?", "<|end|>\nA:"], "<|end|>\nA:", (1,)),
        (["<|end|>Q:", " Where?", "<|end|>\nA:"], "<|end|>\nA:", (0, 2)),
    ],
)
def test_a_prompt_of_pieces_has_its_last_one(
    pieces: list[Any], tail: str, trusted: tuple[int, ...]
) -> None:
    prompt = Prompt(
        tuple(
            TextPiece(piece, index in trusted) if isinstance(piece, str) else piece
            for index, piece in enumerate(pieces)
        )
    )
    result = MODEL.choose(prompt, CHOICES, norm="pmi")
    assert result.unconditional_prompt == tail == result.to_dict()["unconditional_prompt"]
    logprobs = [score.logprob - (score.pmi or 0.0) for score in result.scores]
    after = MODEL.choose(TextPiece(tail, bool(trusted)), CHOICES)
    assert [score.logprob for score in after.scores] == pytest.approx(logprobs)


@pytest.mark.parametrize(
    ("prompt", "hint"),
    [
        ("Where is it?", "Answer:"),
        ("Where is it?\nIt is in", "It is in"),
        ([TextPiece("Where? ", trusted=True), TextPiece("There")], "Answer:"),
        ([TextPiece("Where? "), TokenPiece((72, 73))], "Answer:"),
    ],
)
def test_a_call_without_a_constant_piece_is_an_error_with_an_example(
    prompt: Any, hint: str
) -> None:
    with pytest.raises(InputError, match=f"unconditional_prompt: .*unconditional_prompt='{hint}'"):
        MODEL.choose(prompt, CHOICES, norm="pmi")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (ask(Template("Q: {{ q }}")), "no constant text"),
        (ask("The capital is"), "the whole prompt"),
        (ask("The capital", " is"), "the whole prompt"),
        (
            Automaton(
                [
                    Text(uid="t", text="It is ", successors=("c",)),
                    Complete(uid="c", length=2, successors=("a",)),
                    Choose(uid="a", choices=(" a", " b"), norm="pmi"),
                ]
            ),
            "no constant text",
        ),
    ],
)
def test_a_program_without_constant_text_before_the_choice_is_an_error(
    program: Automaton, message: str
) -> None:
    values = {"q": "Where?"} if program.inputs else {}
    for strategy in ("token_tree", "text"):
        with pytest.raises(InputError, match=rf"unconditional_prompt: .*{message}"):
            program.run(MODEL, values, strategy=strategy)  # type: ignore[arg-type]
    errors = [finding for finding in program.check(MODEL) if not finding.warning]
    assert any("unconditional_prompt" in finding.message for finding in errors), errors
    assert not [finding for finding in program.check(WITH_BOS) if not finding.warning]
    assert program.run(WITH_BOS, values).nodes[-1].unconditional_prompt == ""


def test_each_path_has_the_text_that_it_came_by() -> None:
    program = Automaton(
        [
            Text(uid="start", text="It is", successors=("way",)),
            Choose(uid="way", choices=(" a", " b"), width=2, successors=("one", "two")),
            Text(uid="one", text=" one:", successors=("end",)),
            Text(uid="two", text=" two:", successors=("end",)),
            Choose(uid="end", choices=(" a", " b"), norm="pmi", width=None),
        ]
    )
    assert [error for error in program.check(MODEL) if not error.warning] == []
    nodes = [node for node in program.run(MODEL).nodes if node.uid == "end"]
    assert [node.unconditional_prompt for node in nodes] == [" one:"] * 2 + [" two:"] * 2


def test_the_cut_keeps_pieces_and_their_trust() -> None:
    pieces = (TextPiece("<a>", trusted=True), TextPiece("bc"), TextPiece("d"))
    assert cut_end(pieces, "cd") == (pieces[0], TextPiece("b"))
    assert cut_end(pieces, "bcd") == pieces[:1]
    assert cut_end(pieces, "more than all") == ()
    assert cut_end(pieces, "") == pieces


def test_a_constant_tail_that_its_text_does_not_end_with_is_an_error() -> None:
    program = Automaton([Text(uid="t", text="It is", constant_tail="so")])
    assert ["constant_tail" in str(error) for error in program.errors()] == [True]
