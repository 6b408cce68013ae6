"""The JSON of a report, computed again from the output files alone, and errors for bad ones."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core.dataset import Gold, summarize
from autocog_core.errors import InputError
from autocog_core.reports.page import report_page
from autocog_core.reports.report import Report, make_report, report_json
from autocog_core.reports.sentences import sentences_about
from autocog_core.schemas import FOLDER
from tests.reports.conftest import MakeOutput

metrics = pytest.importorskip("sklearn.metrics")


def figures_of(report: Report) -> dict[str, Any]:
    """The JSON, which its schema admits."""
    jsonschema = pytest.importorskip("jsonschema")
    data = json.loads(report_json(report))
    schema = json.loads((FOLDER / "report.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(data)
    return dict(data)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_figures_are_computed_again_from_the_output_alone(output: MakeOutput) -> None:
    path = output("out.jsonl")
    (run,) = figures_of(make_report([path], by="part"))["runs"]
    rows = rows_of(path)
    judged = [row for row in rows if row["gold"] is not None]
    answers = [row["fields"]["color"] for row in judged]
    rights = np.array([row["fields"]["color"] == row["gold_choice"] for row in judged])
    probs = np.array([row["probs"]["color"] for row in judged])
    assert (run["rows"], run["errors"], run["judged"], run["impossible"]) == (60, 0, 59, 1)
    assert run["accuracy"]["value"] == pytest.approx(metrics.accuracy_score(rights, [True] * 59))
    assert run["brier"]["value"] == pytest.approx(metrics.brier_score_loss(rights, probs))
    # Without the row whose right answer is no choice.
    possible = [row for row in judged if row["gold_choice"] is not None]
    labels = list(possible[0]["distribution"]["color"])
    shares = [[row["distribution"]["color"][label] for label in labels] for row in possible]
    golds = [row["gold_choice"] for row in possible]
    losses = [-math.log(row["distribution"]["color"][row["gold_choice"]]) for row in possible]
    assert run["log_loss"]["value"] == pytest.approx(np.mean(losses))
    at = np.argsort(labels)
    expected = metrics.log_loss(golds, np.array(shares)[:, at], labels=sorted(labels))
    # scikit-learn cuts shares below 2e-16.
    assert run["log_loss"]["value"] >= expected - 1e-9
    squares = [
        sum((share - (label == gold)) ** 2 for label, share in zip(labels, each, strict=True))
        for each, gold in zip(shares, golds, strict=True)
    ]
    (impossible,) = [row for row in judged if row["gold_choice"] is None]
    squares.append(1 + sum(share**2 for share in impossible["distribution"]["color"].values()))
    assert run["brier_all"]["value"] == pytest.approx(np.mean(squares))
    # Right answers have the names of choices, also where the answer is wrong.
    assert not rights[3]
    assert (judged[3]["gold"], judged[3]["gold_choice"]) == ("1", "1.0")
    names = [row["gold_choice"] or row["gold"] for row in judged]
    every = sorted({*names, *answers})
    matrix = metrics.confusion_matrix(names, answers, labels=every)
    cells = {(cell["gold"], cell["answer"]): cell["rows"] for cell in run["confusion"]}
    for line, gold in enumerate(every):
        for column, answer in enumerate(every):
            assert cells.get((gold, answer), 0) == matrix[line, column]
    assert run["answers"] == Counter(row["fields"]["color"] for row in rows)
    assert run["costs"]["tokens"] == sum(row["tokens_evaluated"] for row in rows)
    assert run["costs"]["timed_rows"] == 60
    for group in run["groups"]:
        inside = [row["input"]["part"] == group["value"] for row in judged]
        assert group["accuracy"]["rows"] == sum(inside)
        assert group["accuracy"]["count"] == rights[inside].sum()
    assert (run["program"], run["backend"]) == ("colors.yaml", "random")


def test_the_report_and_the_summary_of_the_run_agree(output: MakeOutput) -> None:
    path = output("out.jsonl")
    accuracy = summarize(path, "color").accuracy
    assert accuracy is not None
    (run,) = make_report([path]).figures.runs
    assert run.accuracy is not None
    assert run.brier is not None
    assert run.calibration_error is not None
    assert (run.accuracy.count, run.accuracy.rows) == (accuracy.right, accuracy.answered)
    assert (run.accuracy.value, run.accuracy.interval) == (accuracy.accuracy, accuracy.interval)
    assert run.brier.value == pytest.approx(accuracy.brier, rel=1e-12)
    assert run.calibration_error.value == pytest.approx(accuracy.calibration_error, rel=1e-12)
    assert run.impossible == accuracy.impossible


def test_right_answers_can_be_given_later(output: MakeOutput) -> None:
    before = figures_of(make_report([output("a.jsonl")]))["runs"][0]
    path = output("b.jsonl", gold=None)
    without = figures_of(make_report([path], by="part"))["runs"][0]
    assert (without["gold"], without["accuracy"], without["reliability"]) == (None, None, [])
    assert sum(entry["unjudged"] for entry in without["histogram"]) == 60
    assert [group["accuracy"] for group in without["groups"]] == [None, None]
    assert without["field"] == "color"
    for gold in ("label", "color=label"):
        later = figures_of(make_report([path], gold=gold))["runs"][0]
        for name in ("accuracy", "log_loss", "brier", "brier_all", "confusion", "impossible"):
            assert later[name] == before[name]
    mood = make_report([path], gold="mood=part").figures.runs[0]
    assert (mood.field, mood.judged, mood.impossible) == ("mood", 60, 60)
    # The right answers of the run are about another field.
    other = make_report([output("a.jsonl")], field="mood").figures.runs[0]
    assert (other.gold, other.accuracy, other.field) == (None, None, "mood")


def test_pairs_are_computed_again_from_both_outputs(output: MakeOutput) -> None:
    first, second = output("first.jsonl"), output("second.csv", seed=2)
    (pair,) = figures_of(make_report([first, second]))["pairs"]
    rows = [rows_of(first), rows_of(second.with_name("second.csv.rows.jsonl"))]
    assert (pair["first"], pair["second"], pair["rows"]) == ("first.jsonl", "second.csv", 60)
    assert (pair["matched_by"], pair["left_out_first"]) == ("row number", 0)
    right = np.array(
        [
            [row["fields"]["color"] == row["gold_choice"] for row in run if row["gold"] is not None]
            for run in rows
        ]
    )
    assert pair["only_first"] == (right[0] & ~right[1]).sum()
    assert pair["only_second"] == (right[1] & ~right[0]).sum()
    assert pair["accuracy"]["value"] == pytest.approx(right[1].mean() - right[0].mean())
    low, high = pair["accuracy"]["interval"]
    assert low <= pair["accuracy"]["value"] <= high
    divergences = []
    for one, other in zip(*rows, strict=True):
        shares = [row["distribution"]["color"] for row in (one, other)]
        divergences.append(
            sum(p * math.log(p / shares[1][label]) for label, p in shares[0].items() if p)
        )
    assert pair["divergence"]["value"] == pytest.approx(np.mean(divergences))
    assert pair["largest_divergence"] == pytest.approx(max(divergences))
    flips = [
        index
        for index, (one, other) in enumerate(zip(*rows, strict=True))
        if one["fields"]["color"] != other["fields"]["color"]
    ]
    assert [flip["row"] for flip in pair["flips"]] == flips
    changes = Counter(flip["change"] for flip in pair["flips"])
    assert (changes["fixed"], changes["broken"]) == (pair["only_second"], pair["only_first"])
    losses = {
        run["name"]: run["log_loss"]["value"]
        for run in figures_of(make_report([first, second]))["runs"]
    }
    assert pair["log_loss"]["value"] == pytest.approx(losses["second.csv"] - losses["first.jsonl"])
    (same,) = make_report([first, output("again.jsonl")]).figures.pairs
    assert (same.p_value, same.flips, same.largest_divergence) == (1.0, (), 0.0)


def test_runs_of_other_inputs_are_matched_by_content(output: MakeOutput) -> None:
    long, short = output("long.jsonl"), output("short.jsonl", rows=20)
    (pair,) = make_report([short, long]).figures.pairs
    assert (pair.matched_by, pair.columns) == ("content", ("text", "label", "part"))
    # The rows without a special label are the same in both.
    assert (pair.rows, pair.left_out_first, pair.left_out_second) == (20, 0, 40)
    assert [flip.row for flip in pair.flips] == [flip.second_row for flip in pair.flips] == []
    text = long.read_text(encoding="utf-8").replace("row ", "line ")
    long.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"has no row of .*: they are runs of different inputs"):
        make_report([short, long])


def test_unread_choices_give_bounds(output: MakeOutput) -> None:
    whole = make_report([output("whole.jsonl")]).figures.runs[0]
    report = make_report([output("best.jsonl", probs="winner")])
    (run,) = report.figures.runs
    assert run.accuracy == whole.accuracy
    assert run.impossible == whole.impossible
    assert run.known_probs < run.answered
    assert (run.brier, run.calibration_error, run.histogram) == (None, None, ())
    assert run.brier_bounds is not None
    assert whole.brier is not None
    assert whole.brier.value is not None
    assert run.brier_bounds[0] <= whole.brier.value + 1e-9
    assert whole.brier.value <= run.brier_bounds[1] + 1e-9
    assert run.mean_prob_bounds is not None
    figures_of(report)


def test_failed_and_half_written_rows_are_counted(output: MakeOutput) -> None:
    path = output("out.jsonl")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    row = json.loads(lines[0])
    error = {"message": "is too long", "where": "<row>", "hint": ""}
    lines[0] = json.dumps({"row": 0, "input": row["input"], "error": error, "gold": "red"}) + "\n"
    path.write_text("".join(lines[:20]) + lines[20][:30], encoding="utf-8")
    (run,) = figures_of(make_report([path], by="part"))["runs"]
    assert (run["rows"], run["errors"], run["answered"], run["judged"]) == (20, 1, 19, 18)
    assert run["first_errors"] == [{"row": 0, "message": "<row>: is too long"}]
    assert sum(group["rows"] + group["errors"] for group in run["groups"]) == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gold": "lable"}, 'the rows have no column "lable"; did you mean "label"'),
        ({"gold": "shade=label"}, 'there is no field "shade"'),
        ({"by": "parts"}, 'the rows have no column "parts"; did you mean "part"'),
        ({"field": "colour"}, 'there is no field "colour"; did you mean "color"'),
        ({"field": "mood", "gold": "color=label"}, '"mood" is not the field of --gold, "color"'),
    ],
    ids=str,
)
def test_a_wrong_name_is_one_error(
    output: MakeOutput, arguments: dict[str, str], message: str
) -> None:
    path = output("out.jsonl", rows=8)
    with pytest.raises(InputError) as caught:
        make_report([path], **arguments)
    assert message in str(caught.value)


def test_without_a_field_there_is_nothing_to_compare(output: MakeOutput) -> None:
    program = {"inputs": {"text": "text"}, "actions": [{"text": "{{ text }}"}, {"length": 2}]}
    path = output("out.jsonl", program=program, gold=None, rows=3)
    (run,) = make_report([path]).figures.runs
    assert (run.rows, run.field, run.answered, run.answers) == (3, None, 0, {})
    assert len(report_page(make_report([path]))) > 1_000
    with pytest.raises(InputError, match="no field has one answer for each row"):
        make_report([path], gold="label")


def test_what_is_no_output_is_one_error(output: MakeOutput, tmp_path: Path) -> None:
    path = output("out.jsonl", rows=8)
    with pytest.raises(InputError, match="is given twice"):
        make_report([path, tmp_path / "." / "out.jsonl"])
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="is not the journal of a run"):
        make_report([tmp_path / "rows.jsonl"])
    with pytest.raises(InputError, match="cannot be read: No such file"):
        make_report([tmp_path / "missing.jsonl"])
    path.write_bytes(b"")
    with pytest.raises(InputError, match="has no rows yet"):
        make_report([path])
    path.write_bytes(b"no row\n")
    with pytest.raises(InputError, match="is not row 0: the file was changed"):
        make_report([path])


def test_gold_of_numbers_and_booleans_is_compared_as_in_runs(output: MakeOutput) -> None:
    """Row 3 has the number 1, which is right for the choice "1.0"."""
    path = output("out.jsonl", gold=None)
    rows = make_report([path], gold="label").runs[0].answers
    own = make_report([output("own.jsonl", gold=Gold("color", "label"))]).runs[0].answers
    assert rows[3].gold_prob == own[3].gold_prob == pytest.approx(rows[3].shares[3])
    assert [row.right for row in rows] == [row.right for row in own]
    assert rows[3].gold == own[3].gold == "1.0"
    assert rows[7].has_right_choice is False


def test_probabilities_are_compared_with_the_accuracy_of_the_same_rows(output: MakeOutput) -> None:
    path = output("out.jsonl")
    rows = rows_of(path)
    for row in rows[30:]:
        # Sure, and without a right answer.
        row |= {"gold": None, "gold_choice": None}
        row["probs"]["color"] = 1.0
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (run,) = make_report([path]).figures.runs
    mean = np.mean([row["probs"]["color"] for row in rows[:30] if row["gold"] is not None])
    assert run.judged == 29
    assert f"the mean probability of the answers is {100 * mean:.1f}%" in " ".join(
        sentences_about(run)
    )


def test_the_page_shortens_long_answers_and_groups(output: MakeOutput) -> None:
    path = output("out.jsonl")
    long = "Z" * 2000
    text = path.read_text(encoding="utf-8").replace('"green"', f'"{long}"')
    path.write_text(text.replace('"part": "a"', f'"part": "{long}"'), encoding="utf-8")
    report = make_report([path], by="part")
    assert {long, "b"} == {group.value for group in report.figures.runs[0].groups}
    above, _ = report_page(report).split('<h2 id="list">')
    assert f"{'Z' * 117}...</td>" in above
    assert f"“{'Z' * 77}...”" in above
    assert f"{long}</td>" not in above
    assert f"{long}”" not in above
