"""`context: fresh`: an action begins a new text, and its path goes on."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from autocog_core import (
    Automaton,
    Budget,
    Choose,
    Complete,
    InputError,
    Prompt,
    Text,
    TextPiece,
    ThoughtTree,
    TokenPiece,
)
from autocog_core.evaluation.evaluation import Strategy
from autocog_core.viz.graph_text import graph_text
from autocog_core.viz.tree_text import tree_text
from tests.support.small_backends import random_model

CHOICES = (" yes", " no")


def two_texts(**options: Any) -> Automaton:
    """A choice after each of two texts; the second one begins a new text."""
    return Automaton(
        [
            Text(uid="first", text="Is it?", successors="one"),
            Choose(uid="one", name="one", choices=CHOICES, width=None, successors="second"),
            Text(uid="second", text="Was it?", context="fresh", successors="two", **options),
            Choose(uid="two", name="two", choices=CHOICES),
        ]
    )


@pytest.mark.parametrize("strategy", ["token_tree", "text"])
def test_a_new_text_is_scored_like_a_text_alone(strategy: Strategy) -> None:
    model = random_model()
    tree = two_texts().run(model, strategy=strategy)
    first, second = (model.choose(text, CHOICES) for text in ("Is it?", "Was it?"))
    for path in tree.complete:
        one, two = path.nodes[1], path.nodes[3]
        assert one.logprob == pytest.approx(first.scores[CHOICES.index(one.text)].logprob)
        assert two.logprob == pytest.approx(second.best.logprob)
        assert path.logprob == pytest.approx(one.logprob + two.logprob)
        assert path.text == f"Is it?{one.text}Was it?{two.text}"
        assert path.context == f"Was it?{two.text}"
        assert [node.uid for node in path.context_nodes] == ["second", "two"]
        assert [node.context_parent for node in path.nodes[:2]] == [-1, 0]
        assert path.nodes[2].context_parent == -1
        assert path.nodes[2].parent >= 0
        assert path.nodes[3].context_parent == path.nodes[3].parent


def test_trees_keep_where_texts_begin_in_json() -> None:
    tree = two_texts().run(random_model())
    data = json.loads(json.dumps(tree.to_dict()))
    assert ThoughtTree.from_dict(data) == tree
    written = [node["uid"] for node in data["nodes"] if "context_parent" in node]
    assert written == ["second", "second"]
    data["nodes"][3]["context_parent"] = 3
    with pytest.raises(InputError, match="a node comes before its parent"):
        ThoughtTree.from_dict(data)


def test_programs_keep_where_texts_begin() -> None:
    automaton = two_texts()
    data = automaton.to_dict()
    assert data["actions"][2]["context"] == "fresh"
    assert Automaton.from_dict(data) == automaton
    data["actions"][2]["context"] = "new"
    with pytest.raises(InputError, match='context: expected "continue" or "fresh", got "new"'):
        Automaton.from_dict(data)
    (error,) = Automaton([Text(uid="a", text="b", context="new")]).errors()  # type: ignore[arg-type]
    assert 'give "continue" or "fresh"' in error.message


@pytest.mark.parametrize("strategy", ["token_tree", "text"])
def test_a_text_before_a_new_one_is_scored_as_at_the_end_of_a_path(strategy: Strategy) -> None:
    model, judge = random_model(), random_model(seed=5)
    texts = [
        Text(uid="start", text="So: ", successors="scored"),
        Text(uid="scored", name="s", text="a fine day", evaluate=True),
    ]
    alone = Automaton(texts).run(model, strategy=strategy)
    more = Automaton(
        [
            texts[0],
            Text(**{**vars(texts[1]), "successors": "new"}),
            Text(uid="new", text="{}", context="fresh", evaluate=True, successors="asked"),
            Choose(uid="asked", choices=CHOICES, model="judge"),
        ]
    )
    for options in ({}, {"order": "best_first", "top": 1}):
        tree = more.run(model, models={"judge": judge}, strategy=strategy, **options)
        for node, expected in zip(tree.nodes, alone.nodes, strict=False):
            assert node.tokens == expected.tokens
            assert node.logprobs == expected.logprobs
            assert node.path_logprob == expected.path_logprob
        assert len(tree.nodes[1].logprobs) == len(tree.nodes[1].tokens) > 0
        new = tree.nodes[2]
        assert new.model == "judge"
        assert new.path_logprob == tree.nodes[1].path_logprob + new.logprob
        expected_scores = judge.choose("{}", CHOICES)
        assert tree.best().end.logprob == pytest.approx(expected_scores.best.logprob)


def test_the_budget_of_paths_does_not_count_new_texts() -> None:
    automaton = Automaton(
        [
            Text(uid="a", text="ab", successors="b"),
            Text(uid="b", text="c", evaluate=True, successors="c"),
            Text(uid="c", text="d", context="fresh", successors="d"),
            Choose(uid="d", choices=CHOICES),
        ]
    )
    assert automaton.run(random_model(), budget=Budget(paths=2)).complete
    tree = automaton.run(random_model(), budget=Budget(tokens=1))
    assert tree.stopped_by == "tokens"
    assert [node.uid for node in tree.nodes] == ["a", "b"]
    assert tree.nodes[-1].pruned_by == "budget"


def test_a_loop_of_new_texts_has_a_context_for_each_round() -> None:
    automaton = Automaton(
        [
            Text(uid="a", text="a", context="fresh", max_visits=40, successors="b"),
            Complete(uid="b", length=2, successors="a"),
        ]
    )
    model = random_model()
    tree = automaton.run(model)
    texts = {node.text for node in tree.nodes if node.uid == "b"}
    assert len(tree.nodes) == 80
    assert len(texts) == 1
    assert tree.stats["unique_tokens"] <= 1 + 40 * 2


def test_actions_that_begin_a_new_text_without_a_prompt_are_warned_about() -> None:
    automaton = Automaton(
        [
            Text(uid="a", text="a b", successors="b"),
            Choose(uid="b", choices=CHOICES, context="fresh", successors="c"),
            Text(uid="c", text="ends here ", successors="d"),
            Complete(uid="d", length=1, context="fresh"),
        ]
    )
    messages = [str(finding) for finding in automaton.check()]
    hint = "begins a new text, and has no prompt: give `context: fresh` to a text before it"
    assert messages == [f'action "b": {hint}', f'action "d": {hint}']
    tree = automaton.run(random_model())
    assert math.isfinite(tree.best().logprob)


def test_chains_of_texts_are_merged_up_to_a_new_text() -> None:
    texts = ["a", "b", "c", "d"]
    automaton = Automaton(
        [
            *(
                Text(
                    uid=text,
                    text=text,
                    context="fresh" if text == "c" else "continue",
                    successors=following,
                )
                for text, following in zip(texts, [*texts[1:], "end"], strict=True)
            ),
            Choose(uid="end", choices=CHOICES),
        ]
    )
    simple = automaton.simplify()
    assert [(a.uid, a.context) for a in simple.actions] == [
        ("a", "continue"),
        ("c", "fresh"),
        ("end", "continue"),
    ]
    model = random_model()
    assert simple.run(model).best().logprob == automaton.run(model).best().logprob


def test_drawings_mark_where_texts_begin() -> None:
    automaton = two_texts()
    rows = [str(cell) for column in graph_text(automaton).columns for cell in column.cells]
    assert "'Was it?', new text" in rows
    lines = tree_text(automaton.run(random_model()), 100).plain.splitlines()
    assert sum(line.rstrip().endswith("new text") for line in lines) == 2


def test_an_empty_new_text_at_the_end_needs_no_token() -> None:
    automaton = Automaton(
        [
            Text(uid="a", text="a", successors="b"),
            Text(uid="b", text="", context="fresh", evaluate=True),
        ]
    )
    for strategy in ("token_tree", "text"):
        tree = automaton.run(random_model(bos=False), strategy=strategy)
        assert [node.tokens for node in tree.nodes][1] == ()
        assert tree.complete


def test_a_conversation_may_be_a_new_text() -> None:
    data: dict[str, Any] = {
        "actions": [
            {"messages": [{"user": "Hi"}]},
            {"choices": ["a", "b"]},
            {"messages": [{"user": "Hi again"}], "context": "fresh"},
            {"choices": ["a", "b"]},
        ]
    }
    findings = Automaton.from_dict(data).check()
    assert "fresh-without-text" not in [finding.code for finding in findings]


def test_the_name_of_bos_in_a_text_takes_no_tokens_of_the_next_text() -> None:
    """Many chat templates write BOS, also those of models that add it."""
    model = random_model()
    bos = next(token for token in model.info.special_tokens if token.id == model.info.bos)
    tree = Automaton(
        [
            Text(uid="a", text=Prompt((TextPiece(f"{bos.text}Hi", trusted=True),)), successors="b"),
            Text(uid="b", text="yes", evaluate=True, successors="c"),
            Complete(uid="c", length=1),
        ]
    ).run(model)
    before, text = tree.nodes[:2]
    assert list(before.tokens) == model.tokenize("Hi")
    assert list(text.tokens) == model.tokenize("yes")
    assert list(tree.context_tokens(1)) == [bos.id, *before.tokens]
    alone = model.choose(TokenPiece((bos.id, *before.tokens)), ["yes", "no"])
    assert text.logprobs == pytest.approx(alone.scores[0].token_logprobs)
