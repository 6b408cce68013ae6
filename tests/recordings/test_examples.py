"""The examples' programs on SmolLM2's recorded answers: no weights, and its real numbers."""

from __future__ import annotations

import pytest

from autocog_core import Automaton, ThoughtTree, load
from autocog_core.testing import (
    assert_choice,
    assert_exact,
    assert_record,
    assert_text,
)
from tests.recordings.rows import EXAMPLES, HERE, ROWS


@pytest.fixture(scope="module")
def trees() -> dict[str, ThoughtTree]:
    return {name: replayed(name) for name in ROWS}


def replayed(name: str) -> ThoughtTree:
    path = HERE / f"{name}.jsonl.gz"
    with load(backend="replay", options={"path": str(path)}) as model:
        return Automaton.from_file(EXAMPLES / name / f"{name}.yaml").run(model, ROWS[name])


def test_every_example_is_recorded(trees: dict[str, ThoughtTree]) -> None:
    assert sorted(ROWS) == sorted(path.stem for path in EXAMPLES.glob("*/*.yaml"))


def test_the_numbers_are_the_models(trees: dict[str, ThoughtTree]) -> None:
    for tree in trees.values():
        assert tree.provenance["model"]["name"].startswith("SmolLM2")
        assert_exact(tree)
        assert tree.best().logprob < 0


def test_a_quiz_is_answered(trees: dict[str, ThoughtTree]) -> None:
    assert_choice(trees["quiz"], "answer", "Paris", min_prob=0.5)
    assert_text(trees["quiz"], "reasoning", ".*Paris.*")


def test_a_message_is_routed(trees: dict[str, ThoughtTree]) -> None:
    assert_choice(trees["routing"], "intent", "when will my card arrive")
    assert len(trees["routing"].nodes) == 78


def test_a_message_is_sorted(trees: dict[str, ThoughtTree]) -> None:
    assert_record(trees["triage"], {"topic": "a payment", "wish": "a refund", "urgency": "urgent"})


def test_a_list_is_written_item_by_item(trees: dict[str, ThoughtTree]) -> None:
    found = trees["shopping_list"].fields
    assert found["items"] == [" 1 apple", *(f" {number} apples" for number in range(2, 6))]
    assert len(found["more"]) == 5
    assert found["more"][-1].isspace()


def test_digits_are_written_from_a_set(trees: dict[str, ThoughtTree]) -> None:
    assert "".join(trees["speed_of_light"].fields["digits"]).isdigit()
