"""Checkpoints of an output: a run that uses them knows what one that reads all rows knows."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from autocog_core.dataset import summarize, written_rows
from autocog_core.dataset.output_file import open_output, remove_output
from autocog_core.dataset.shard import WHOLE, Shard
from autocog_core.dataset.summary import SummaryBuilder
from autocog_core.dataset.written_rows import WrittenRows, checkpoint_path
from autocog_core.errors import InputError
from tests.support.soak import count

IDENTITY = {"program": "a" * 64}
INTERVAL = 4


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written_rows, "CHECKPOINT_ROWS", INTERVAL)


def draw_row(draw: random.Random, index: int) -> dict[str, Any]:
    """Return a row with an answer, an error that stays, or one that may not occur again."""
    gold = draw.choice(["a", "b", None])
    kind = draw.random()
    if kind < 0.3:
        error: dict[str, Any] = {"message": "no \u2028 \ud83d", "where": "", "hint": ""}
        if kind < 0.15:
            error["retryable"] = True
        return {"row": index, "error": error, "gold": gold}
    values = [{"value": "a", "prob": 1 / 3}, {"value": "b", "prob": 2 / 3 - 1e-17}]
    prob = draw.choice([draw.random(), None])
    row = {
        "row": index,
        "fields": {"answer": draw.choice(["a", "b"])},
        "probs": {"answer": prob},
        "distribution": {},
        "exact": True,
        "tokens_evaluated": draw.randrange(99),
        "stopped_by": draw.choice([None, "tokens"]),
        "error": None,
        "marginals": {"answer": {"values": values, "unexplored": 0.0, "standard_error": None}},
        "gold": gold,
        "gold_choice": draw.choice([gold, None]),
    }
    return row if prob is not None else {**row, "prob_bounds": {"answer": [0.1, 0.9]}}


def new_rows(shard: Shard = WHOLE) -> WrittenRows:
    return WrittenRows(SummaryBuilder("answer", has_marginals=True), shard)


def read_all(output: Path, shard: Shard) -> WrittenRows:
    """The slow twin: every row is read."""
    written = new_rows(shard)
    written.read_rest(output, "")
    return written


def known(written: WrittenRows) -> dict[str, Any]:
    return {
        "rows": (written.rows, written.size, written.retryable_rows, written.last_line),
        # As JSON, for equal floats to the last bit.
        "totals": json.dumps(written.totals.to_dict()),
    }


@pytest.mark.parametrize("seed", range(count(normal=12, soak=400)))
def test_what_a_checkpoint_holds_is_what_all_rows_say(tmp_path: Path, seed: int) -> None:
    """Runs that are killed at any byte, resume, and repeat rows."""
    draw = random.Random(seed)
    output = tmp_path / "out.jsonl"
    shard = draw.choice([WHOLE, Shard(2, 3)])
    for _ in range(draw.randrange(1, 6)):
        with open_output(output, IDENTITY, None, new_rows(shard)) as file:
            again = [row for row in file.retryable_rows if draw.random() < 0.5]
            if again:
                file.replace({row: draw_row(draw, row) for row in again})
            for _ in range(draw.randrange(7)):
                file.write(draw_row(draw, shard.row(file.rows)))
            expected = read_all(output, shard)
            assert file.rows == expected.rows
            assert list(file.retryable_rows) == expected.retryable_rows
            assert file.summary() == expected.totals.summary()
        at_checkpoint = WrittenRows.load(output, shard)
        if at_checkpoint is not None and not again:
            # A replacement changes the bytes before a checkpoint, which then does not count.
            assert at_checkpoint.rows == expected.rows - expected.rows % INTERVAL
        if at_checkpoint is not None:
            at_checkpoint.read_rest(output, "")
            assert known(at_checkpoint) == known(expected)
        content = output.read_bytes()
        output.write_bytes(content[: len(content) - draw.choice([0, 0, 1, 30, 200])])


def write_rows(output: Path, rows: int) -> None:
    draw = random.Random(3)
    with open_output(output, IDENTITY, None, new_rows()) as file:
        for _ in range(rows):
            file.write(draw_row(draw, file.rows))


def test_only_the_rows_after_the_checkpoint_are_read(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    write_rows(output, 10)
    content = output.read_bytes()
    # What nobody should do: the rows before the checkpoint are damaged.
    output.write_bytes(b"#" + content[1:])
    with open_output(output, IDENTITY, None, new_rows()) as file:
        assert file.rows == 10
    with pytest.raises(InputError, match="line 1: is not row 0"):
        summarize(output)
    output.write_bytes(content.replace(b'"row": 8', b'"row": 7'))
    with (
        pytest.raises(InputError, match="line 9: is not row 8"),
        open_output(output, IDENTITY, None, new_rows()),
    ):
        pass


@pytest.mark.parametrize("damage", ["cut", "byte", "empty", "version", "shard", "folder", "other"])
def test_a_checkpoint_that_does_not_fit_is_not_used(tmp_path: Path, damage: str) -> None:
    output = tmp_path / "out.jsonl"
    write_rows(output, 10)
    path = checkpoint_path(output)
    content = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(content[:-9])
        case "byte":
            path.write_bytes(content.replace(b'"rows": 8', b'"rows": 9'))
        case "empty":
            path.write_bytes(b"")
        case "version":
            data = json.loads(content.split(b"\n", 1)[1])
            written_rows.write_checked(path, json.dumps({**data, "format": 0}).encode())
        case "shard":
            assert WrittenRows.load(output, Shard(1, 2)) is None
            return
        case "folder":
            path.unlink()
            path.mkdir()
        case "other":
            # A shorter output in the place of this one.
            lines = output.read_bytes().splitlines(keepends=True)
            output.write_bytes(b"".join(lines[:5]))
    assert WrittenRows.load(output, WHOLE) is None
    with open_output(output, IDENTITY, None, new_rows()) as file:
        assert file.summary() == read_all(output, WHOLE).totals.summary()


def test_a_replaced_row_of_the_same_length_counts(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    error = {"message": "down", "where": "", "hint": "", "retryable": True}
    with open_output(output, IDENTITY, None, new_rows()) as file:
        for row in range(5):
            file.write({"row": row, "error": error, "gold": None})
    with open_output(output, IDENTITY, None, new_rows()) as file:
        lasting = {**error, "message": "do", "retryable": False}
        file.replace({1: {"row": 1, "error": {**lasting, "message": "dow"}, "gold": None}})
    assert len(set(map(len, output.read_bytes().splitlines()))) == 1
    with open_output(output, IDENTITY, None, new_rows()) as file:
        assert list(file.retryable_rows) == [0, 2, 3, 4]


def test_no_checkpoint_outlives_its_output(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    write_rows(output, 4)
    assert checkpoint_path(output).exists()
    remove_output(output)
    assert not list(tmp_path.iterdir())
    write_rows(output, 4)
    output.unlink()
    write_rows(output, 1)
    assert not checkpoint_path(output).exists()
