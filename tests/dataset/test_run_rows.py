"""Programs on rows of Python and on data frames: the results are those of the trees."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import Automaton, ClosedError, InputError, Model
from autocog_core.dataset import run_frame, run_rows
from autocog_core.dataset.plain_values import to_plain
from tests.support.small_backends import random_model

PROGRAM: dict[str, Any] = {
    "inputs": {
        "text": "text",
        "stars": {"type": "integer", "default": 3},
        "labels": {"type": "list", "default": ["x", "y"]},
    },
    "actions": [
        {"text": "{{ text }} ({{ stars }}):"},
        {"name": "topic", "choices": [" a", " b"]},
        {"name": "label", "choices": {"each": "labels", "text": " {{ item }}"}},
        {"name": "step", "choices": ["c", "d"]},
        {"name": "step", "choices": ["e", "f"]},
        {"name": "why", "length": 3},
    ],
}
ROWS: list[dict[str, Any]] = [
    {"text": "One", "stars": 5, "labels": ["x", "z"], "other": 1.5},
    {"text": "Two", "stars": None, "labels": None, "other": None},
    {"text": None, "stars": 1, "labels": None, "other": 2.5},
    {"text": "Four", "stars": None, "labels": ["w"], "other": None},
]
NEW = [
    *("topic", "topic.prob", "topic.prob.a", "topic.prob.b", "label", "label.prob", "label.probs"),
    *("step", "step.prob", "step.prob.c", "step.prob.d", "step.prob.e", "step.prob.f"),
    *("why", "exact", "error"),
]


@pytest.fixture(scope="module")
def automaton() -> Automaton:
    return Automaton.from_dict(PROGRAM)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with random_model(seed=8) as opened:
        yield opened


@pytest.mark.parametrize("concurrency", [1, 3])
def test_results_are_those_of_the_trees(
    automaton: Automaton, model: Model, concurrency: int
) -> None:
    results = list(run_rows(automaton, model, ROWS, concurrency=concurrency))
    for result, row in zip(results, ROWS, strict=True):
        assert result.row == row
        if row["text"] is None:
            assert '"text" is missing' in str(result.error)
            assert (result.fields, result.tree) == ({}, None)
            with pytest.raises(InputError, match='"text" is missing'):
                result.distribution("topic")
            continue
        tree = automaton.run(model, row)
        assert result.error is None
        assert result.tree is not None
        assert result.tree.nodes == tree.nodes
        assert result.fields == tree.fields
        assert list(result.distribution("topic")) == ["a", "b"]
        assert max(result.distribution("topic").values()) == result.probs["topic"]
        assert result.distribution("label").keys() == set(row["labels"] or ["x", "y"])


def test_rows_are_taken_one_by_one(automaton: Automaton, model: Model) -> None:
    taken: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(5):
            taken.append(number)
            yield {"text": str(number)}

    results = run_rows(automaton, model, rows())
    assert taken == []
    for number in range(1, 4):
        next(results)
        assert len(taken) <= number + 1


def test_a_program_may_be_a_file_and_errors_are_raised_at_once(
    automaton: Automaton, model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "program.json"
    path.write_text(json.dumps(automaton.to_dict()))
    for program in (path, str(path)):
        (result,) = run_rows(program, model, ROWS[:1])
        assert result.fields == automaton.run(model, ROWS[0]).fields
    with pytest.raises(InputError, match=r"nowhere\.yaml"):
        run_rows("nowhere.yaml", model, ROWS)
    with pytest.raises(InputError, match=r"rows: row 1 is no mapping but str"):
        list(run_rows(automaton, model, [{"text": "a"}, "b"]))  # type: ignore[list-item]
    closed = random_model()
    closed.close()
    with pytest.raises(ClosedError):
        list(run_rows(automaton, closed, ROWS))


def expected_columns(automaton: Automaton, model: Model) -> dict[str, list[Any]]:
    """The new columns, cell by cell from the trees."""
    columns: dict[str, list[Any]] = {name: [] for name in NEW}
    for row in ROWS:
        cells: dict[str, Any] = dict.fromkeys(NEW)
        if row["text"] is None:
            cells["error"] = 'inputs: "text" is missing'
        else:
            path = automaton.run(model, row).best()
            cells |= {"exact": True}
            for node in path.nodes:
                if node.name in (None, "why"):
                    continue
                shares = {
                    path.tree.nodes[i].value: path.tree.nodes[i].prob
                    for i in path.tree.children[node.parent]
                }
                if node.name == "label":
                    cells["label.probs"] = json.dumps(shares)
                    cells |= {"label": node.value, "label.prob": node.prob}
                elif node.name == "topic":
                    cells |= {"topic": node.value, "topic.prob": node.prob}
                    cells |= {f"topic.prob.{value}": share for value, share in shares.items()}
                else:
                    new = {"step": node.value, "step.prob": node.prob}
                    for value in "cdef":
                        new[f"step.prob.{value}"] = shares.get(value)
                    for name, value in new.items():
                        cells[name] = [*(cells[name] or []), value]
            cells["why"] = path.fields["why"]
        for name, value in cells.items():
            columns[name].append(value)
    return columns


def test_a_frame_of_pandas_keeps_its_index_and_gets_the_columns(
    automaton: Automaton, model: Model
) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS, index=pandas.Index(list("dcba"), name="key"))
    # As pandas reads integers with gaps: NaN.
    assert frame["stars"].dtype == "float64"
    before = frame.copy()
    result = run_frame(automaton, model, frame, probs="all", concurrency=2)
    pandas.testing.assert_frame_equal(frame, before)
    pandas.testing.assert_frame_equal(result[list(frame.columns)], before)
    assert list(result.columns) == [*frame.columns, *NEW]
    assert result["topic.prob"].dtype == "float64"
    assert result["exact"].dtype == "boolean"
    for name, values in expected_columns(automaton, model).items():
        cells = [None if cell is pandas.NA or cell != cell else cell for cell in result[name]]
        assert cells == values, name
    labels = frame.rename(columns={"text": 0})
    with pytest.raises(InputError, match='frame: there is no column "text"; its columns are: "0"'):
        run_frame(automaton, model, labels)
    twice = pandas.concat([frame, frame[["text"]]], axis="columns")
    with pytest.raises(InputError, match='several columns called "text"'):
        run_frame(automaton, model, twice)
    with pytest.raises(InputError, match=r"probs: is not a choice of probabilities: 'al'"):
        run_frame(automaton, model, frame, probs="al")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r'a column "topic".*a prefix, for'):
        run_frame(automaton, model, frame.assign(topic=1))
    prefixed = run_frame(automaton, model, frame.assign(topic=1), prefix="m.", probs="none")
    assert list(prefixed.columns)[-2:] == ["m.exact", "m.error"]
    assert list(prefixed["m.topic"])[:1] == expected_columns(automaton, model)["topic"][:1]


def test_a_frame_of_polars_gets_the_columns(automaton: Automaton, model: Model) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(ROWS)
    result = run_frame(automaton, model, frame, probs="all")
    assert result.columns == [*frame.columns, *NEW]
    assert result[frame.columns].equals(frame)
    for name, values in expected_columns(automaton, model).items():
        assert result[name].to_list() == values, name
    assert result.schema["step.prob"] == polars.List(polars.Float64)
    assert result.schema["exact"] == polars.Boolean
    with pytest.raises(InputError, match=r"got polars\.LazyFrame; collect it first"):
        run_frame(automaton, model, frame.lazy())


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_without_rows_gets_columns_of_the_same_types(
    automaton: Automaton, model: Model, library: str
) -> None:
    module = pytest.importorskip(library)
    frame = module.DataFrame({"text": ["a", "b"]})
    full, empty = (run_frame(automaton, model, part) for part in (frame, frame.head(0)))
    assert list(empty.columns) == list(full.columns)
    assert list(empty.dtypes) == list(full.dtypes)


def test_other_frames_are_one_error(automaton: Automaton, model: Model) -> None:
    with pytest.raises(InputError, match="got list; use run_rows"):
        run_frame(automaton, model, [{"text": "a"}])


def test_neither_library_is_imported() -> None:
    code = "import sys, autocog_core.dataset; sys.exit(bool({'pandas', 'polars'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_values_of_frames_become_json() -> None:
    values = [
        (np.int64(3), 3),
        (np.float32(0.1), 0.1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (float("nan"), None),
        (float("inf"), None),
        (np.float64("nan"), None),
        (np.datetime64("NaT"), None),
        (np.datetime64("2024-01-02T03:04:05.000000006"), "2024-01-02T03:04:05.000000006"),
        (np.array([1, 2]), [1, 2]),
        (date(2024, 1, 2), "2024-01-02"),
        (Decimal("1.10"), "1.10"),
        (b"a\xff", "a\\xff"),
        ({"k": (1, float("nan"))}, {"k": [1, None]}),
    ]
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        values += [(pandas.NA, None), (pandas.NaT, None)]
        values += [(pandas.Timestamp("2024-01-02"), "2024-01-02T00:00:00")]
    for value, expected in values:
        assert to_plain(value) == expected
        assert type(to_plain(value)) is type(expected)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert to_plain(deep) == "(nested too deeply to be kept)"
