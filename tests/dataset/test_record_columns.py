"""Records in tables: a JSON column, or a column for each field, with their probabilities."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from autocog_core import Automaton, Model
from autocog_core.automaton import Record, Text
from autocog_core.automaton.inputs import Input
from autocog_core.automaton.templates.template import Template
from autocog_core.backends.random import RandomLM
from autocog_core.dataset import Gold, Row, Run, run_file, run_frame, run_rows
from autocog_core.dataset.expected import is_right_row

SCHEMA = {
    "type": "object",
    "properties": {
        "color": {"enum": ["red", "green", None]},
        "size": {"type": ["integer", "null"], "minimum": 0, "maximum": 999},
        "word": {"type": ["string", "null"], "maxLength": 2},
        "tags": {"type": "array", "maxItems": 2, "items": {"enum": ["x", "y"]}},
    },
    "required": ["color", "size", "word", "tags"],
}
ROWS = [{"text": text} for text in ("a", "b", "c", "dd", "e ", "f", "gg", "h", "i", "j")]


def program(*, flat: bool) -> Automaton:
    return Automaton(
        [
            Text(uid="t", text=Template("{{ text }} "), successors=("r",)),
            Record(uid="r", name="r", schema=SCHEMA, flat=flat),
        ],
        inputs={"text": Input()},
    )


@pytest.fixture
def model() -> Model:
    return Model(RandomLM(vocabulary="merges"))


def test_flat_fields_have_the_values_and_probabilities_of_the_record(model: Model) -> None:
    has_null = False
    for result in run_rows(program(flat=True), model, ROWS):
        record, fields, probs = result.fields["r"], result.fields, result.probs
        for name in ("color", "size", "word"):
            assert fields[f"r.{name}"] == record[name]
            has_null |= record[name] is None
        tags = fields.get("r.tags[]", [])
        assert (tags if isinstance(tags, list) else [tags]) == record["tags"]
        assert result.distribution("r.color").keys() == {"red", "green", None}
        assert math.fsum(result.distribution("r.color").values()) == pytest.approx(1)
        assert result.output_row["prob"] == pytest.approx(probs["r"])
        # The probability of the record is that of its fields, and of the length of its list.
        parts = [probs[f"r.{name}"] for name in ("color", "size", "word")]
        tag_probs = probs.get("r.tags[]", [])
        parts += tag_probs if isinstance(tag_probs, list) else [tag_probs]
        assert probs["r"] <= math.prod(parts) * (1 + 1e-9)
    assert has_null


def test_columns_of_files(model: Model, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    for flat in (False, True):
        output = tmp_path / f"{flat}.csv"
        run_file(Run(program(flat=flat), model), source, output)
        with output.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if not flat:
            assert list(rows[0]) == ["text", "r", "r.prob", "exact", "error"]
            records = [json.loads(row["r"]) for row in rows]
            continue
        names = ("color", "size", "word", "tags[]")
        columns = [each for name in names for each in (f"r.{name}", f"r.{name}.prob")]
        assert list(rows[0]) == ["text", *columns, "r.prob", "exact", "error"]
        for row, record in zip(rows, records, strict=True):
            assert row["r.color"] == (record["color"] or "")
            assert row["r.size"] == ("" if record["size"] is None else str(record["size"]))


def test_columns_of_frames(model: Model) -> None:
    pandas = pytest.importorskip("pandas")
    frame = run_frame(program(flat=True), model, pandas.DataFrame(ROWS), probs="all")
    shares = frame[["r.color.prob.red", "r.color.prob.green", "r.color.prob.null"]]
    assert shares.sum(axis="columns").tolist() == pytest.approx([1.0] * len(ROWS))
    results = list(run_rows(program(flat=True), model, ROWS))
    sizes = [None if pandas.isna(value) else value for value in frame["r.size"]]
    assert sizes == [result.fields["r.size"] for result in results]


def test_right_answers_of_flat_fields_and_of_whole_records(model: Model) -> None:
    automaton = program(flat=True)
    results = list(run_rows(automaton, model, ROWS))
    for field in ("r.size", "r.color", "r"):
        answers = [json.dumps(result.fields[field]).strip('"') for result in results]
        answers[0] = "wrong"
        rows = [row | {"right": answer} for row, answer in zip(ROWS, answers, strict=True)]
        run = Run(automaton, model, gold=Gold.parse(f"{field}=right", automaton))
        results_with_gold = run.run_rows([Row(index, row) for index, row in enumerate(rows)])
        right = [is_right_row(result.output_row, field) for result in results_with_gold]
        assert right == [False, *([True] * 9)]
