"""A program on the rows of a file: output rows equal the API's results, also after interrupts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, Budget, ClosedError, EngineError, InputError, Model
from autocog_core.backends.random import RandomLM
from autocog_core.dataset import Gold, Progress, Row, Run, run_file, summarize
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


def read_rows(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_bytes().split(b"\n")[:-1]]


def stop_at(row: int) -> Callable[[Progress], None]:
    """Interrupt like Ctrl-C when this many rows are done."""

    def watch(progress: Progress) -> None:
        if progress.done == row:
            raise KeyboardInterrupt

    return watch


@pytest.mark.parametrize("concurrency", [1, 3, 100])
def test_each_row_equals_the_api_and_bad_rows_have_errors(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path, concurrency: int
) -> None:
    output = tmp_path / "out.jsonl"
    summary = run_file(Run(automaton, model, concurrency=concurrency), source, output)
    output_rows = read_rows(output)
    assert [output_row["row"] for output_row in output_rows] == list(range(len(ROWS)))
    for output_row, row in zip(output_rows, ROWS, strict=True):
        if output_row["row"] in WITHOUT_ANSWER:
            assert set(output_row) == {"row", "input", "error"}
            assert output_row["error"]["message"]
            continue
        tree = automaton.run(model, row)
        assert output_row["error"] is None
        assert output_row["fields"] == tree.fields
        assert output_row["logprob"] == pytest.approx(tree.best().logprob)
        assert output_row["tokens_evaluated"] > 0
        assert output_row["stopped_by"] is None
    assert "line 3" in output_rows[2]["error"]["where"]
    assert '"question" is missing' in output_rows[3]["error"]["message"]
    assert (summary.rows, summary.errors) == (len(ROWS), len(WITHOUT_ANSWER))
    assert summary.tokens == sum(
        output_row.get("tokens_evaluated", 0) for output_row in output_rows
    )


def test_the_numbers_of_an_output_row_are_those_of_its_choices(
    automaton: Automaton, model: Model
) -> None:
    run = Run(automaton, model)
    (result,) = run.run_rows([Row(0, {"question": "One"})])
    output_row = result.output_row
    first = model.choose("One:", (" a", " b", " c"))
    second = model.choose(f"One:{first.choice} Sure?", (" yes", " no"))
    assert output_row["fields"] == {"answer": first.choice.strip(), "sure": second.choice.strip()}
    assert output_row["probs"] == pytest.approx(
        {"answer": first.best.prob, "sure": second.best.prob}
    )
    assert output_row["prob"] == pytest.approx(first.best.prob * second.best.prob)
    margins = []
    for scores in (first, second):
        high, low = sorted((score.prob for score in scores.scores), reverse=True)[:2]
        margins.append(math.log(high) - math.log(low))
    assert output_row["margin"] == pytest.approx(min(margins))
    assert output_row["logprob"] == pytest.approx(first.best.logprob + second.best.logprob)
    assert output_row["exact"] is True
    assert output_row["input"] == {"question": "One"}
    for name, scores in (("answer", first), ("sure", second)):
        expected = {score.choice.strip(): pytest.approx(score.prob) for score in scores.scores}
        assert output_row["distribution"][name] == expected
        assert result.distribution(name) == expected
        assert list(result.distribution(name)) == list(expected)
    with pytest.raises(InputError, match='no choice is named "anser"; did you mean "answer"'):
        result.distribution("anser")


@pytest.mark.parametrize(
    ("second", "prob", "margin"),
    [({"b": 0.25}, 0.75, math.log(3)), ({}, 1.0, None)],
    ids=["two", "one"],
)
def test_the_margin_is_in_nats_and_none_without_another_choice(
    second: Mapping[str, float], prob: float, margin: float | None
) -> None:
    choices = ["a", *second]
    program = Automaton.from_dict({"actions": [{"text": "It is "}, {"choices": choices}]})
    model = table_model({"It is ": {"a": 0.75, **second}})
    (result,) = Run(program, model).run_rows([Row(0)])
    # A choice without a name is in no field, and counts in `prob`.
    assert result.output_row["fields"] == result.output_row["probs"] == {}
    assert result.output_row["prob"] == pytest.approx(prob, rel=1e-6)
    assert result.output_row["margin"] == (pytest.approx(margin, rel=1e-6) if margin else None)


def test_a_certain_choice_has_no_infinite_margin() -> None:
    """JSON has no infinity."""
    program = Automaton.from_dict({"actions": [{"text": "It is "}, {"choices": ["a", "b"]}]})
    (result,) = Run(program, table_model({"It is ": {"a": 1.0}})).run_rows([Row(0)])
    assert result.output_row["prob"] == 1.0
    assert result.output_row["margin"] is None
    json.dumps(result.output_row, allow_nan=False)


def test_repeated_fields_have_lists(model: Model) -> None:
    program = Automaton.from_dict(
        {
            "actions": [
                {"text": "x"},
                {"name": "step", "choices": ["a", "b"]},
                {"name": "step", "choices": ["c", "d"]},
            ]
        }
    )
    (result,) = Run(program, model).run_rows([Row(0)])
    assert len(result.output_row["fields"]["step"]) == 2
    assert math.prod(result.output_row["probs"]["step"]) == pytest.approx(result.output_row["prob"])
    first, last = result.output_row["distribution"]["step"]
    assert (list(first), list(last)) == (["a", "b"], ["c", "d"])
    assert result.distribution("step") == last


def test_a_row_that_a_budget_ended_has_stopped_by(automaton: Automaton, model: Model) -> None:
    run = Run(automaton, model, budget=Budget(tokens=1))
    (result,) = run.run_rows([Row(0, {"question": "One"})])
    assert result.output_row["stopped_by"] == "tokens"
    assert set(result.output_row["fields"]) == {"answer"}
    assert result.output_row["error"] is None


def test_a_run_interrupted_after_any_row_resumes_to_the_same_file(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    run = Run(automaton, model, concurrency=2, gold=Gold("answer", "label"))
    summary = run_file(run, source, tmp_path / "whole.jsonl")
    for row in range(len(ROWS)):
        output = tmp_path / f"out-{row}.jsonl"
        with pytest.raises(KeyboardInterrupt):
            run_file(run, source, output, on_progress=stop_at(row))
        assert len(read_rows(output)) == row
        seen: list[Progress] = []
        assert run_file(run, source, output, on_progress=seen.append) == summary
        assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
        assert [progress.done for progress in seen] == list(range(row, len(ROWS) + 1))
        assert {(progress.resumed, progress.total) for progress in seen} == {(row, len(ROWS))}


def test_a_larger_limit_continues_and_a_smaller_one_removes_nothing(
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


def test_a_run_with_another_identity_is_refused(
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
        (Run(automaton, model, tree_dir=tmp_path / "trees"), source, "another folder of trees"),
    ]
    for run, rows, message in refused:
        with pytest.raises(InputError) as caught:
            run_file(run, rows, output)
        assert str(caught.value).count("another ") == 2, "one, and in the hint"
        assert message in str(caught.value)
        assert output.read_bytes() == before
    # Another concurrency is accepted.
    run_file(Run(automaton, model, concurrency=5), source, output)


def test_overwrite_removes_rows_and_trees_of_the_earlier_run(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    output, trees = tmp_path / "out.jsonl", tmp_path / "trees"
    run_file(Run(automaton, model, tree_dir=trees), source, output)
    (trees / "notes.txt").write_text("mine")
    other = random_model(seed=4)
    run_file(Run(automaton, other, tree_dir=trees), source, output, limit=2, overwrite=True)
    assert len(read_rows(output)) == 2
    assert read_rows(output)[0]["fields"] == automaton.run(other, ROWS[0]).fields
    assert sorted(path.name for path in trees.iterdir()) == [
        "000000.json",
        "000001.json",
        "notes.txt",
    ]


def test_complete_trees_are_written_before_their_rows(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    output, trees = tmp_path / "out.jsonl", tmp_path / "deep" / "trees"
    answered = [row for row in range(len(ROWS)) if row not in WITHOUT_ANSWER]

    def watch(progress: Progress) -> None:
        expected = [f"{row:06d}.json" for row in answered if row < progress.done]
        names = sorted(path.name for path in trees.iterdir()) if trees.exists() else []
        assert names[: len(expected)] == expected

    run_file(Run(automaton, model, tree_dir=trees), source, output, on_progress=watch)
    for row in answered:
        tree = ThoughtTree.from_dict(json.loads((trees / f"{row:06d}.json").read_text()))
        assert tree.nodes == automaton.run(model, ROWS[row]).nodes


def test_a_tree_that_cannot_be_written_ends_the_run(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "trees").write_text("a file")
    output = tmp_path / "out.jsonl"
    with pytest.raises(InputError, match="trees: cannot be created"):
        run_file(Run(automaton, model, tree_dir=tmp_path / "trees"), source, output)
    assert read_rows(output) == []


def test_an_error_of_all_rows_ends_the_run(
    automaton: Automaton, source: Path, tmp_path: Path
) -> None:
    closing = random_model(seed=3)

    def watch(progress: Progress) -> None:
        if progress.done == 1:
            closing.close()

    output = tmp_path / "out.jsonl"
    with pytest.raises(ClosedError):
        run_file(Run(automaton, closing), source, output, on_progress=watch)
    assert len(read_rows(output)) == 1


def test_right_answers_are_compared_as_text(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    run = Run(automaton, model, gold=Gold("answer", "label"))
    summary = run_file(run, source, output)
    output_rows = read_rows(output)
    assert [output_row["gold"] for output_row in output_rows] == [
        "a", "x", None, "b", "c", None, "7", None, None, None,
    ]  # fmt: skip
    assert summary.accuracy is not None
    judged = [output_rows[row] for row in (0, 1, 6)]
    assert summary.accuracy.answered == 3
    assert summary.accuracy.right == sum(
        output_row["fields"]["answer"].strip() == output_row["gold"] for output_row in judged
    )
    assert summary == summarize(output, "answer")


def test_gold_without_a_field_is_for_the_last_named_choice(automaton: Automaton) -> None:
    assert Gold.parse("label", automaton) == Gold("sure", "label")
    assert Gold.parse("answer=label", automaton) == Gold("answer", "label")
    with pytest.raises(InputError, match='did you mean "answer"'):
        Gold.parse("anser=label", automaton)
    nameless = Automaton.from_dict({"actions": [{"text": "x"}, {"choices": ["a", "b"]}]})
    with pytest.raises(InputError, match="FIELD=COLUMN"):
        Gold.parse("label", nameless)


def test_csv_gives_the_same_output_as_jsonl(
    automaton: Automaton, model: Model, tmp_path: Path
) -> None:
    """Cells are text; each input parses its text by its declared type."""
    (tmp_path / "rows.csv").write_text('question,options\nTwo,"[""x"", ""y""]"\n')
    (tmp_path / "rows.jsonl").write_text('{"question": "Two", "options": ["x", "y"]}\n')
    outputs = []
    for name in ("rows.csv", "rows.jsonl"):
        output = tmp_path / f"{name}.jsonl"
        run_file(Run(automaton, model), tmp_path / name, output)
        (output_row,) = read_rows(output)
        outputs.append(output_row)
    # The row keeps the cells as they were read.
    assert outputs[0].pop("input") == {"question": "Two", "options": '["x", "y"]'}
    assert outputs[1].pop("input") == {"question": "Two", "options": ["x", "y"]}
    assert outputs[0] == outputs[1]
    assert outputs[0]["error"] is None


def test_an_empty_cell_gives_the_default(
    automaton: Automaton, model: Model, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text('question,options\nOne,\n,"[""x""]"\n')
    run_file(Run(automaton, model), tmp_path / "rows.csv", tmp_path / "out.jsonl")
    with_default, without_value = read_rows(tmp_path / "out.jsonl")
    assert with_default["fields"] == automaton.run(model, {"question": "One"}).fields
    assert '"question" is missing' in without_value["error"]["message"]


def test_unreadable_rows_give_results_at_once(automaton: Automaton, model: Model) -> None:
    """They do not wait for the next readable row."""
    taken = []

    def source() -> Iterator[Row]:
        for index in range(1000):
            taken.append(index)
            yield Row(index, error=InputError("is not valid JSON"))

    results = Run(automaton, model, concurrency=4).run_rows(source())
    assert next(results).output_row["row"] == 0
    assert len(taken) <= 2
    assert [result.output_row["row"] for result in results] == list(range(1, 1000))


class FailsForQuestions:
    """A wrapper that fails for some rows, like a server that is down for a while."""

    def __init__(self, *questions: str) -> None:
        self.questions = questions
        self.retryable = True

    @hookimpl(wrapper=True)
    def greedy_tree_impl(self, queries: Any) -> Any:
        prefixes = b"".join(bytes(t for t in query.prefix if t < 256) for query in queries)
        if any(question.encode() in prefixes for question in self.questions):
            raise EngineError("not now", where="server", retryable=self.retryable)
        return (yield)


@pytest.mark.parametrize("stop_after", [None, 1])
def test_rows_with_retryable_errors_are_retried_and_replaced(
    automaton: Automaton, tmp_path: Path, stop_after: int | None
) -> None:
    source, output, plain = (tmp_path / name for name in ("rows.jsonl", "out.jsonl", "plain.jsonl"))
    source.write_text("".join(f'{{"question": "Row {n}"}}\n' for n in range(6)) + "no row\n")
    with random_model(seed=3) as plain_model:
        run_file(Run(automaton, plain_model), source, plain)
    wrapper = FailsForQuestions("Row 1", "Row 4")
    with Model(RandomLM(seed=3), wrappers=[wrapper]) as model:
        assert run_file(Run(automaton, model), source, output, limit=5).errors == 2
        first = read_rows(output)
        assert [row["row"] for row in first if row["error"]] == [1, 4]
        assert all(row["error"]["retryable"] for row in first if row["error"])
        wrapper.questions = ()
        if stop_after is not None:
            with pytest.raises(KeyboardInterrupt):
                run_file(Run(automaton, model), source, output, on_progress=stop_at(4))
            # The row finished before the interrupt is replaced.
            assert [row["row"] for row in read_rows(output) if row["error"]] == [4]
        assert run_file(Run(automaton, model), source, output).errors == 1
    assert read_rows(output) == read_rows(plain)


def test_rows_with_other_errors_are_not_retried(automaton: Automaton, tmp_path: Path) -> None:
    source, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"question": "Row 0"}\n')
    wrapper = FailsForQuestions("Row 0")
    wrapper.retryable = False
    with Model(RandomLM(seed=3), wrappers=[wrapper]) as model:
        run_file(Run(automaton, model), source, output)
        wrapper.questions = ()
        assert run_file(Run(automaton, model), source, output).errors == 1
    assert "retryable" not in read_rows(output)[0]["error"]
