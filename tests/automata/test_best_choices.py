"""Programs that read only the best choices: `top`, and runs with `probs="winner"`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autocog_core import Ask, Automaton, Choice, Choose, InputError, Text, ThoughtTree
from autocog_core.dataset import make_output_row, run_rows
from autocog_core.testing import assert_choice
from tests.support.small_backends import random_model

LABELS = tuple(
    f" {first}{second} {third}" for first in "abcd" for second in "efg" for third in "hi"
)


def program(**options: Any) -> Automaton:
    return Automaton(
        [
            Text(uid="text", text="A text", evaluate=True, successors="label"),
            Choose(uid="label", name="label", choices=LABELS, successors="more", **options),
            Text(uid="more", text=".", successors="last"),
            Choose(uid="last", name="last", choices=(" yes", " no", " perhaps")),
        ]
    )


@pytest.mark.parametrize("norm", ["sum", "mean", "per_byte", "pmi"])
def test_the_best_path_is_that_of_all_choices(norm: str) -> None:
    for seed in range(2):
        model = random_model(seed=seed)
        whole = program(norm=norm, unconditional_prompt="x" if norm == "pmi" else None).run(model)
        for options, probs in (({"top": 1}, "all"), ({"top": 3}, "all"), ({}, "winner")):
            automaton = program(
                norm=norm, unconditional_prompt="x" if norm == "pmi" else None, **options
            )
            tree = automaton.run(model, probs=probs)
            assert tree.best().text == whole.best().text
            assert tree.best().logprob == whole.best().logprob
            assert ThoughtTree.from_dict(json.loads(json.dumps(tree.to_dict()))) == tree
            labels = [node for node in tree.nodes if node.uid == "label"]
            assert len(labels) == options.get("top", 1)
            true = {node.text: node for node in whole.nodes if node.uid == "label"}
            for node in labels:
                assert node.logprobs == true[node.text].logprobs
                lowest, highest = node.prob_bounds or (node.prob, node.prob)
                prob = true[node.text].prob
                assert prob is not None
                assert lowest is not None
                assert highest is not None
                assert lowest * (1 - 1e-9) <= prob <= highest * (1 + 1e-9)


def test_a_choice_without_visits_left_does_not_count() -> None:
    def loop(top: int | None) -> Automaton:
        return Automaton(
            [
                Text(uid="start", text="Go", max_visits=2, successors="go"),
                Choose(
                    uid="go",
                    choices=(" on", " stop", " end"),
                    successors=("start", "stop", "end"),
                    top=top,
                ),
                Text(uid="stop", text="."),
                Text(uid="end", text="!"),
            ]
        )

    for seed in range(6):
        model = random_model(seed=seed)
        whole, best = loop(None).run(model), loop(1).run(model)
        assert [path.text for path in best.complete] == [path.text for path in whole.complete]


def test_groups_and_several_texts_keep_the_best_choices_alone() -> None:
    model = random_model(seed=3)
    question = (Text(uid="q", text="?", successors="a"), Choose(uid="a", name="a", choices=LABELS))
    group = Automaton(
        [Text(uid="t", text="T", successors="g"), Ask(uid="g", questions=(question,))]
    )
    assert group.run(model, probs="winner").fields == group.run(model).fields
    choices = (Choice(texts=[" a", " b"], value=1), Choice(" c", value=2), Choice(" d", value=3))
    several = Automaton([Text(uid="t", text="T", successors="c"), Choose(uid="c", choices=choices)])
    tree = several.run(model, probs="winner")
    (node,) = [node for node in tree.nodes if node.kind == "choice"]
    assert node.prob == max(
        node.prob or 0 for node in several.run(model).nodes if node.kind == "choice"
    )


def test_rows_say_what_is_not_known() -> None:
    model = random_model(seed=1)
    tree = program().run(model, probs="winner")
    row = make_output_row(0, tree)
    if tree.best().nodes[1].prob is not None:
        pytest.fail("the whole tree was read: take another seed")
    assert row["probs"]["label"] is None
    assert row["prob"] is None
    assert row["margin"] is None
    assert row["distribution"]["label"] == {}
    lowest, highest = row["prob_bounds"]["label"]
    assert 0 < lowest < highest <= 1
    assert tree.provenance["probs"] == "winner"
    with pytest.raises(InputError, match="only what proves the best"):
        tree.marginals("label")
    assert_choice(tree, "label", tree.fields["label"], min_prob=lowest)
    with pytest.raises(AssertionError, match=r"with 0\.\d+ to [01]\.\d+"):
        assert_choice(tree, "label", tree.fields["label"], min_prob=highest)
    (result,) = run_rows(program(), model, [{}], probs="winner")
    with pytest.raises(InputError, match="read only the best"):
        result.distribution("label")
    # The whole tree was read, but the shares of the other choices are not in the thought tree.
    few = Automaton([Choose(uid="few", name="few", choices=("a", "b"))])
    (result,) = run_rows(few, model, [{}], probs="winner")
    assert result.probs["few"] is not None
    with pytest.raises(InputError, match="read only the best"):
        result.distribution("few")


def test_everything_wrong_is_one_error_before_any_model() -> None:
    with pytest.raises(InputError) as caught:
        program(top=1, width=None, threshold=0.5).require_sound()
    assert "width is null" in str(caught.value)
    assert "threshold is 0.5" in str(caught.value)
    for top in (0, True, "1", 1.5):
        with pytest.raises(InputError, match=f"top is {top!r}"):
            program(top=top).require_sound()
    model = random_model(seed=1)
    with pytest.raises(
        InputError, match=r"follows several choices \(width null\).*has a threshold"
    ):
        program(width=None, threshold=0.5).run(model, probs="winner")
    with pytest.raises(InputError, match="one of all, winner"):
        program().run(model, probs="best")  # type: ignore[arg-type]
    data = program(top=2).to_dict()
    assert Automaton.from_dict(data) == program(top=2)
    data["actions"][2]["text"] = "{{ fields.label.prob }}"
    with pytest.raises(InputError, match="reads only the best choices"):
        Automaton.from_dict(data).require_sound()
    del data["actions"][1]["top"]
    with pytest.raises(InputError, match=r"uses fields\.label\.prob"):
        Automaton.from_dict(data).run(model, probs="winner")
