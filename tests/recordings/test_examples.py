"""The examples' programs on recorded answers of SmolLM2, without its weights."""

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
    return {name: run_replay(name) for name in ROWS}


def run_replay(name: str) -> ThoughtTree:
    path = HERE / f"{name}.jsonl.gz"
    with load(backend="replay", options={"path": str(path)}) as model:
        return Automaton.from_file(EXAMPLES / name / f"{name}.yaml").run(model, ROWS[name])


def test_every_example_is_recorded(trees: dict[str, ThoughtTree]) -> None:
    assert sorted(ROWS) == sorted(path.stem for path in EXAMPLES.glob("*/*.yaml"))


def test_the_numbers_are_exact_and_from_smollm2(trees: dict[str, ThoughtTree]) -> None:
    for tree in trees.values():
        assert tree.provenance["model"]["name"].startswith("SmolLM2")
        assert_exact(tree)
        assert tree.best().logprob < 0


def test_the_quiz_has_the_right_answer(trees: dict[str, ThoughtTree]) -> None:
    assert_choice(trees["quiz"], "answer", "Paris", min_prob=0.5)
    assert_text(trees["quiz"], "reasoning", ".*Paris.*")


def test_an_invoice_is_a_record(trees: dict[str, ThoughtTree]) -> None:
    record = trees["invoices"].fields["invoice"]
    assert (record["seller"], record["currency"]) == ("Northern Rail", "GBP")
    assert trees["invoices"].fields["invoice.count"] == record["count"] == 2


def test_routing_finds_the_intent(trees: dict[str, ThoughtTree]) -> None:
    assert_choice(trees["routing"], "intent", "when will my card arrive")
    assert len(trees["routing"].nodes) == 78


def test_triage_chooses_topic_wish_and_urgency(trees: dict[str, ThoughtTree]) -> None:
    assert_record(trees["triage"], {"topic": "a payment", "wish": "a refund", "urgency": "urgent"})


def test_each_answer_is_judged_in_a_new_text(trees: dict[str, ThoughtTree]) -> None:
    tree = trees["second_opinion"]
    assert_text(tree, "answer", ".*Jupiter.*")
    assert_choice(tree, "verdict", "correct")
    assert len(tree.complete) == 2
    for path in tree.complete:
        question = "What is the largest planet of the solar system?"
        answer = str(path.fields["answer"])
        assert path.context.startswith("Question: What is the capital of France?")
        assert f"Question: {question}\nProposed answer:{answer}\n" in path.context


def test_the_shopping_list_has_five_items(trees: dict[str, ThoughtTree]) -> None:
    fields = trees["shopping_list"].fields
    assert fields["items"] == [" 1 apple", *(f" {number} apples" for number in range(2, 6))]
    assert len(fields["more"]) == 5
    assert fields["more"][-1].isspace()


def test_the_speed_of_light_has_only_digits(trees: dict[str, ThoughtTree]) -> None:
    assert "".join(trees["speed_of_light"].fields["digits"]).isdigit()


def test_a_review_has_an_answer_for_each_label(trees: dict[str, ThoughtTree]) -> None:
    fields = trees["multi_label"].fields
    assert list(fields) == ["mood", "stars", "labels"]
    assert list(fields["labels"]) == ["price", "delivery", "quality", "service"]
    assert set(fields["labels"].values()) <= {"Yes", "No"}
