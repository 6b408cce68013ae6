"""A program over the rows of a file: the API's own answers, once each, whatever happens between."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, Budget, ClosedError, EngineError, InputError, Model
from autocog_core.backends.random import RandomLM
from autocog_core.dataset import Gold, Progress, Row, Run, check_columns, run_file, summarize
from autocog_core.hooks.specs import hookimpl
from autocog_core.types.thought_tree import ThoughtTree
from tests.support.small_backends import random_model, table_model

PROGRAM: dict[str, Any] = {
    "autocog": 1,
    "inputs": {"question": "text", "options": {"type": "list", "default": ["a", "b", "c"]}},
    "actions": [
        {"uid": "ask", "text": "{{ question }}:"},
        {"uid": "answer", "name": "answer", "choices": {"each": "options", "text": " {{ item }}"}},
        {"uid": "then", "text": " Sure?"},
        {"uid": "sure", "name": "sure", "choices": [" yes", " no"]},
    ],
}
ROWS: list[Any] = [
    {"question": "One", "label": "a"},
    {"question": "Two", "options": ["x", "y"], "label": "x"},
    "no row",
    {"label": "b"},
    {"question": "Five", "options": [], "label": "c"},
    {"question": "Six", "options": "not a list"},
    {"question": "Seven", "options": [7, 8], "label": 7},
    {"question": "half \ud83d of a pair"},
    {"question": "Nine", "label": None},
    "no row",
]
WITHOUT_ANSWER = (2, 3, 4, 5, 7, 9)


@pytest.fixture(scope="module")
def automaton() -> Automaton:
    return Automaton.from_dict(PROGRAM)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with random_model(seed=3) as opened:
        yield opened


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="ascii")
    return path


def records(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_bytes().split(b"\n")[:-1]]


def stop_at(row: int) -> Callable[[Progress], None]:
    """Interrupt as Ctrl-C does, once so many rows are done."""

    def watch(progress: Progress) -> None:
        if progress.done == row:
            raise KeyboardInterrupt

    return watch


@pytest.mark.parametrize("concurrency", [1, 3, 100])
def test_each_row_has_the_apis_answer_and_bad_rows_have_errors(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path, concurrency: int
) -> None:
    output = tmp_path / "out.jsonl"
    summary = run_file(Run(automaton, model, concurrency=concurrency), source, output)
    found = records(output)
    assert [record["row"] for record in found] == list(range(len(ROWS)))
    for record, row in zip(found, ROWS, strict=True):
        if record["row"] in WITHOUT_ANSWER:
            assert set(record) == {"row", "error"}
            assert record["error"]["message"]
            continue
        tree = automaton.run(model, row)
        assert record["error"] is None
        assert record["fields"] == tree.fields
        assert record["logprob"] == pytest.approx(tree.best().logprob)
        assert record["tokens_evaluated"] > 0
        assert record["stopped_by"] is None
    assert "line 3" in found[2]["error"]["where"]
    assert '"question" is missing' in found[3]["error"]["message"]
    assert (summary.rows, summary.errors) == (len(ROWS), len(WITHOUT_ANSWER))
    assert summary.tokens == sum(record.get("tokens_evaluated", 0) for record in found)


def test_the_numbers_of_a_record_are_those_of_the_choices(
    automaton: Automaton, model: Model
) -> None:
    run = Run(automaton, model)
    (answer,) = run.answers([Row(0, {"question": "One"})])
    record = answer.record
    first = model.choose("One:", (" a", " b", " c"))
    second = model.choose(f"One:{first.choice} Sure?", (" yes", " no"))
    assert record["fields"] == {"answer": first.choice, "sure": second.choice}
    assert record["probs"] == pytest.approx({"answer": first.best.prob, "sure": second.best.prob})
    assert record["prob"] == pytest.approx(first.best.prob * second.best.prob)
    margins = []
    for scores in (first, second):
        high, low = sorted((score.prob for score in scores.scores), reverse=True)[:2]
        margins.append(math.log(high) - math.log(low))
    assert record["margin"] == pytest.approx(min(margins))
    assert record["logprob"] == pytest.approx(first.best.logprob + second.best.logprob)


@pytest.mark.parametrize(
    ("second", "prob", "margin"),
    [({"b": 0.25}, 0.75, math.log(3)), ({}, 1.0, None)],
    ids=["two", "one"],
)
def test_the_margin_is_in_nats_and_nothing_where_there_was_no_other_choice(
    second: Mapping[str, float], prob: float, margin: float | None
) -> None:
    choices = ["a", *second]
    program = Automaton.from_dict({"actions": [{"text": "It is "}, {"choices": choices}]})
    model = table_model({"It is ": {"a": 0.75, **second}})
    (answer,) = Run(program, model).answers([Row(0)])
    # A choice without a name is in no field, and counts all the same.
    assert answer.record["fields"] == answer.record["probs"] == {}
    assert answer.record["prob"] == pytest.approx(prob, rel=1e-6)
    assert answer.record["margin"] == (pytest.approx(margin, rel=1e-6) if margin else None)


def test_a_choice_without_rival_has_no_infinite_margin() -> None:
    """JSON has no infinity."""
    program = Automaton.from_dict({"actions": [{"text": "It is "}, {"choices": ["a", "b"]}]})
    (answer,) = Run(program, table_model({"It is ": {"a": 1.0}})).answers([Row(0)])
    assert answer.record["prob"] == 1.0
    assert answer.record["margin"] is None
    json.dumps(answer.record, allow_nan=False)


def test_fields_that_came_more_than_once_have_lists(model: Model) -> None:
    program = Automaton.from_dict(
        {
            "actions": [
                {"text": "x"},
                {"name": "step", "choices": ["a", "b"]},
                {"name": "step", "choices": ["c", "d"]},
            ]
        }
    )
    (answer,) = Run(program, model).answers([Row(0)])
    assert len(answer.record["fields"]["step"]) == 2
    assert math.prod(answer.record["probs"]["step"]) == pytest.approx(answer.record["prob"])


def test_a_row_that_a_budget_stopped_says_so(automaton: Automaton, model: Model) -> None:
    run = Run(automaton, model, budget=Budget(tokens=1))
    (answer,) = run.answers([Row(0, {"question": "One"})])
    assert answer.record["stopped_by"] == "tokens"
    assert set(answer.record["fields"]) == {"answer"}
    assert answer.record["error"] is None


def test_interrupted_after_any_row_it_goes_on_to_the_same_file(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    run = Run(automaton, model, concurrency=2, gold=Gold("answer", "label"))
    summary = run_file(run, source, tmp_path / "whole.jsonl")
    for row in range(len(ROWS)):
        output = tmp_path / f"out-{row}.jsonl"
        with pytest.raises(KeyboardInterrupt):
            run_file(run, source, output, on_progress=stop_at(row))
        assert len(records(output)) == row
        seen: list[Progress] = []
        assert run_file(run, source, output, on_progress=seen.append) == summary
        assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
        assert [progress.done for progress in seen] == list(range(row, len(ROWS) + 1))
        assert {(progress.begun, progress.total) for progress in seen} == {(row, len(ROWS))}


def test_a_larger_limit_goes_on_and_a_smaller_one_takes_nothing_away(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    run = Run(automaton, model)
    run_file(run, source, tmp_path / "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes()
    output = tmp_path / "out.jsonl"
    for limit, rows in ((2, 2), (1, 2), (6, 6), (100, 10), (None, 10)):
        assert run_file(run, source, output, limit=limit).rows == rows
        assert whole.startswith(output.read_bytes())
    assert output.read_bytes() == whole


def test_what_would_give_other_rows_is_refused(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    run_file(Run(automaton, model), source, output, limit=3)
    before = output.read_bytes()
    actions = [*PROGRAM["actions"][:-1], {"name": "sure", "choices": [" yes", " never"]}]
    other_program = Automaton.from_dict({**PROGRAM, "actions": actions})
    other_source = tmp_path / "other.jsonl"
    other_source.write_bytes(source.read_bytes().replace(b"One", b"Won"))
    refused = [
        (Run(other_program, model), source, "another program"),
        (Run(automaton, random_model(seed=4)), source, "another model"),
        (Run(automaton, model), other_source, "another input"),
        (Run(automaton, model, budget=Budget(tokens=9)), source, "another budget"),
        (Run(automaton, model, gold=Gold("answer", "label")), source, "another gold"),
        (Run(automaton, model, trees=tmp_path / "trees"), source, "another folder of trees"),
    ]
    for run, rows, told in refused:
        with pytest.raises(InputError) as caught:
            run_file(run, rows, output)
        assert str(caught.value).count("another ") == 2, "one, and in the hint"
        assert told in str(caught.value)
        assert output.read_bytes() == before
    # How many at once is no reason.
    run_file(Run(automaton, model, concurrency=5), source, output)


def test_restart_begins_anew_with_whatever_is_given(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    output, trees = tmp_path / "out.jsonl", tmp_path / "trees"
    run_file(Run(automaton, model, trees=trees), source, output)
    (trees / "notes.txt").write_text("mine")
    other = random_model(seed=4)
    run_file(Run(automaton, other, trees=trees), source, output, limit=2, overwrite=True)
    assert len(records(output)) == 2
    assert records(output)[0]["fields"] == automaton.run(other, ROWS[0]).fields
    assert sorted(path.name for path in trees.iterdir()) == [
        "000000.json",
        "000001.json",
        "notes.txt",
    ]


def test_trees_are_whole_and_there_before_their_rows(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    output, trees = tmp_path / "out.jsonl", tmp_path / "deep" / "trees"
    answered = [row for row in range(len(ROWS)) if row not in WITHOUT_ANSWER]

    def watch(progress: Progress) -> None:
        expected = [f"{row:06d}.json" for row in answered if row < progress.done]
        found = sorted(path.name for path in trees.iterdir()) if trees.exists() else []
        assert found[: len(expected)] == expected

    run_file(Run(automaton, model, trees=trees), source, output, on_progress=watch)
    for row in answered:
        tree = ThoughtTree.from_dict(json.loads((trees / f"{row:06d}.json").read_text()))
        assert tree.nodes == automaton.run(model, ROWS[row]).nodes


def test_a_tree_that_cannot_be_written_ends_the_run_and_not_the_row(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "trees").write_text("a file")
    output = tmp_path / "out.jsonl"
    with pytest.raises(InputError, match="trees: cannot be made"):
        run_file(Run(automaton, model, trees=tmp_path / "trees"), source, output)
    assert records(output) == []


def test_what_would_meet_every_row_ends_the_run(
    automaton: Automaton, source: Path, tmp_path: Path
) -> None:
    closing = random_model(seed=3)

    def watch(progress: Progress) -> None:
        if progress.done == 1:
            closing.close()

    output = tmp_path / "out.jsonl"
    with pytest.raises(ClosedError):
        run_file(Run(automaton, closing), source, output, on_progress=watch)
    assert len(records(output)) == 1


def test_right_answers_are_compared_as_text(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    run = Run(automaton, model, gold=Gold("answer", "label"))
    summary = run_file(run, source, output)
    found = records(output)
    assert [record["gold"] for record in found] == [
        "a", "x", None, "b", "c", None, "7", None, None, None,
    ]  # fmt: skip
    assert summary.accuracy is not None
    judged = [found[row] for row in (0, 1, 6)]
    assert summary.accuracy.answered == 3
    assert summary.accuracy.right == sum(
        record["fields"]["answer"].strip() == record["gold"] for record in judged
    )
    assert summary == summarize(output, "answer")


def test_gold_is_of_the_last_named_choice_or_of_the_field_given(automaton: Automaton) -> None:
    assert Gold.parse("label", automaton) == Gold("sure", "label")
    assert Gold.parse("answer=label", automaton) == Gold("answer", "label")
    with pytest.raises(InputError, match='did you mean "answer"'):
        Gold.parse("anser=label", automaton)
    nameless = Automaton.from_dict({"actions": [{"text": "x"}, {"choices": ["a", "b"]}]})
    with pytest.raises(InputError, match="FIELD=COLUMN"):
        Gold.parse("label", nameless)


def test_columns_that_every_row_needs_are_asked_for_beforehand(
    automaton: Automaton, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("query,label\nOne,a\n")
    with pytest.raises(
        InputError, match=r'no column "question".*its columns are: "query", "label"'
    ):
        check_columns(path, automaton)
    path.write_text("question,label\nOne,a\n")
    check_columns(path, automaton, Gold("answer", "label"))
    with pytest.raises(InputError, match='no column "gold"'):
        check_columns(path, automaton, Gold("answer", "gold"))


def test_a_table_gives_what_lines_of_json_give(
    automaton: Automaton, model: Model, tmp_path: Path
) -> None:
    """Cells are text, which the inputs read as what they are declared to be."""
    (tmp_path / "rows.csv").write_text('question,options\nTwo,"[""x"", ""y""]"\n')
    (tmp_path / "rows.jsonl").write_text('{"question": "Two", "options": ["x", "y"]}\n')
    outputs = []
    for name in ("rows.csv", "rows.jsonl"):
        output = tmp_path / f"{name}.out"
        run_file(Run(automaton, model), tmp_path / name, output)
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]
    assert json.loads(outputs[0])["error"] is None


def test_the_input_is_never_written_over(automaton: Automaton, model: Model, source: Path) -> None:
    before = source.read_bytes()
    with pytest.raises(InputError, match="is the input"):
        run_file(Run(automaton, model), source, source, overwrite=True)
    assert source.read_bytes() == before


def test_rows_that_cannot_be_read_are_answered_as_they_come(
    automaton: Automaton, model: Model
) -> None:
    """They are not kept until a good one comes."""
    taken = []

    def source() -> Iterator[Row]:
        for index in range(1000):
            taken.append(index)
            yield Row(index, error=InputError("is no JSON"))

    answers = Run(automaton, model, concurrency=4).answers(source())
    assert next(answers).record["row"] == 0
    assert len(taken) <= 2
    assert [answer.record["row"] for answer in answers] == list(range(1, 1000))


class FailingNow:
    """A wrapper that fails for some rows, as a server does that is down for a while."""

    def __init__(self, *questions: str) -> None:
        self.questions = questions
        self.retryable = True

    @hookimpl(wrapper=True)
    def greedy_tree_impl(self, queries: Any) -> Any:
        told = b"".join(bytes(t for t in query.prefix if t < 256) for query in queries)
        if any(question.encode() in told for question in self.questions):
            raise EngineError("not now", where="server", retryable=self.retryable)
        return (yield)


@pytest.mark.parametrize("stop_after", [None, 1])
def test_rows_whose_errors_may_pass_are_tried_again_in_their_places(
    automaton: Automaton, tmp_path: Path, stop_after: int | None
) -> None:
    source, output, plain = (tmp_path / name for name in ("rows.jsonl", "out.jsonl", "plain.jsonl"))
    source.write_text("".join(f'{{"question": "Row {n}"}}\n' for n in range(6)) + "no row\n")
    with random_model(seed=3) as plain_model:
        run_file(Run(automaton, plain_model), source, plain)
    wrapper = FailingNow("Row 1", "Row 4")
    with Model(RandomLM(seed=3), wrappers=[wrapper]) as model:
        assert run_file(Run(automaton, model), source, output, limit=5).errors == 2
        first = records(output)
        assert [row["row"] for row in first if row["error"]] == [1, 4]
        assert all(row["error"]["retryable"] for row in first if row["error"])
        wrapper.questions = ()
        if stop_after is not None:
            with pytest.raises(KeyboardInterrupt):
                run_file(Run(automaton, model), source, output, on_progress=stop_at(4))
            # What was done before the interrupt is there.
            assert [row["row"] for row in records(output) if row["error"]] == [4]
        assert run_file(Run(automaton, model), source, output).errors == 1
    assert records(output) == records(plain)


def test_rows_whose_errors_stay_are_not_tried_again(automaton: Automaton, tmp_path: Path) -> None:
    source, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"question": "Row 0"}\n')
    wrapper = FailingNow("Row 0")
    wrapper.retryable = False
    with Model(RandomLM(seed=3), wrappers=[wrapper]) as model:
        run_file(Run(automaton, model), source, output)
        wrapper.questions = ()
        assert run_file(Run(automaton, model), source, output).errors == 1
    assert "retryable" not in records(output)[0]["error"]
