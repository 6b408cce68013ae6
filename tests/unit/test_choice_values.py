"""The value of a choice: what fields hold."""

from __future__ import annotations

import pytest

from autocog_core import Automaton, Choose, Complete, Text, ThoughtTree
from autocog_core.backends.random import RandomLM
from autocog_core.evaluation.evaluation import Strategy
from autocog_core.model.model import Model
from autocog_core.types.choice_value import default_values


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        ([" Paris", "Rome\n"], ("Paris", "Rome")),
        ([" a", "a", " b"], (" a", "a", "b")),
        (["\n", " ", "x"], ("\n", " ", "x")),
    ],
)
def test_a_value_is_the_text_without_blanks_unless_that_is_empty_or_not_unique(
    texts: list[str], values: tuple[str, ...]
) -> None:
    assert default_values(texts) == values


@pytest.mark.parametrize("strategy", ["token_tree", "text"])
def test_fields_hold_values_and_trees_keep_them_in_json(strategy: Strategy) -> None:
    program = Automaton(
        [
            Text(uid="t", name="asked", text="Is it? ", successors="c"),
            Choose(uid="c", name="answer", choices=(" yes", " no"), successors="w"),
            Complete(uid="w", name="why", length=3),
        ]
    )
    tree = program.run(Model(RandomLM()), strategy=strategy)
    asked, answer, why = tree.best().nodes
    assert asked.value == asked.text
    assert answer.value == answer.text.strip()
    assert why.value == why.text
    assert tree.fields == {"asked": asked.text, "answer": answer.value, "why": why.text}
    data = tree.to_dict()
    assert ["value" in node for node in data["nodes"]] == [
        node.value != node.text for node in tree.nodes
    ]
    assert ThoughtTree.from_dict(data) == tree
