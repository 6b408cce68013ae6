"""`repr` of results: one short line, whatever is in their texts."""

from __future__ import annotations

import re

import pytest

from autocog_core import Automaton, Choose, Complete, Model, Text
from autocog_core.backends.random import RandomLM
from autocog_core.types.brief import brief
from autocog_core.types.completion import Completion
from autocog_core.types.thought_tree import ThoughtTree

HOSTILE = "\x1b[31m\u202e\u200f</script>[red]\r\n" * 9


@pytest.mark.parametrize("text", [" yes", HOSTILE])
def test_a_repr_is_one_short_line(text: str) -> None:
    model = Model(RandomLM(seed=3))
    scores = model.choose("Is it?", [text, " no"])
    automaton = Automaton(
        [
            Text(uid="q", text="Is it?", successors="a"),
            Choose(uid="a", name="answer", choices=(text, " no"), successors="t"),
            Complete(uid="t", length=3),
        ]
    )
    tree = automaton.run(model)
    schema = {"type": "object", "properties": {"a": {"enum": [text, "no"]}}, "required": ["a"]}
    record = model.record("Say: ", {**schema, "additionalProperties": False})
    written = Completion(text=text, tokens=(1, 2), logprobs=(-1.0, -0.5), finish_reason="stop")
    objects = [
        scores,
        tree,
        record,
        written,
        ThoughtTree(nodes=()),
        model,
        model.choose("a", [text]),
        model.choose("Is it?", [text, " no"], top=1),
    ]
    for each in objects:
        assert len(repr(each)) <= 110, repr(each)
        assert repr(each).isprintable()
        assert type(each).__name__ in repr(each)
    assert f"{scores.best.prob:.4f} of 2 choices, norm sum" in repr(scores)
    assert repr(tree).startswith(f"<ThoughtTree {len(tree.nodes)} nodes, 1 path complete, best {{")
    assert f"prob {record.prob:.4g}, {len(record.fields)} field" in repr(record)
    assert repr(written).endswith("2 tokens, finish stop, logprob -1.500>")
    assert repr(ThoughtTree(nodes=())) == "<ThoughtTree 0 nodes, 0 paths complete>"
    assert repr(model) == f"<Model RandomLM: {model.info.name}>"
    model.close()
    assert repr(model) == "<Model RandomLM: closed>"


@pytest.mark.parametrize("width", [4, 10, 40])
def test_brief_texts_fit_and_begin_as_they_do(width: int) -> None:
    for text in ("", "a", "it's", "a \"b\" 'c'", "x" * 100, HOSTILE, "\x00" * 50, "日本語" * 20):
        shown = brief(text, width)
        assert len(shown) <= width
        assert shown.isprintable()
        if len(repr(text)) <= width:
            assert shown == repr(text)
    assert brief([1, 2], 40) == "[1, 2]"
    assert len(brief({"a": HOSTILE}, width)) <= width
    assert re.fullmatch(r"'x+…'", brief("x" * 100, 10))
