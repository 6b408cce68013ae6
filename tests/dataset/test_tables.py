"""Tables of a run: cells equal the trees, and what reads tables reads these."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, Budget, Choose, InputError, Model, ThoughtTree
from autocog_core.dataset import Gold, Row, Run, TableOptions, export_rows, run_file
from autocog_core.dataset.column_kind import Kind, KindScan
from autocog_core.dataset.run_identity import identity_path
from autocog_core.dataset.table_fields import table_fields
from tests.support.small_backends import random_model

PROGRAM: dict[str, Any] = {
    "inputs": {"text": "text", "labels": {"type": "list", "default": ["x", "y"]}},
    "actions": [
        {"text": "{{ text }}:"},
        {"name": "topic", "choices": [" a", ' b, "c"']},
        {"text": " because"},
        {"name": "why", "length": 4},
        {"name": "label", "choices": {"each": "labels", "text": "{{ item }}"}},
        {
            "uid": "loop",
            "name": "step",
            "choices": [{"text": "+", "next": "again"}, {"text": "-", "next": "end"}],
        },
        {"uid": "again", "text": ",", "next": "loop", "max_visits": 3},
        {"uid": "end", "text": "."},
    ],
}
#: Texts that are hard for tables, a row with an error, and columns that only some rows have.
ROWS: list[dict[str, Any]] = [
    {"id": 1, "text": 'quotes ", commas, and\nlines\r\n', "labels": ["x", "z"]},
    {"id": 2, "text": "\ttabs\t", "note": "late", "right": "a"},
    {"id": 3, "labels": ["no text"]},
    {"id": 4, "text": "=1+1", "score": 0.1, "right": 'b, "c"', "nested": {"k": [1, None]}},
    {"id": 5, "text": "naïve \U0001f600 \u2028 \x00", "score": 12, "ok": True, "many": [1, 2]},
    {"id": 6, "text": "half \ud83d of a pair"},
]
ALL = TableOptions(probs="all", prefix="m.")
Table = list[dict[str, Any]]


@pytest.fixture(scope="module")
def automaton() -> Automaton:
    return Automaton.from_dict(PROGRAM)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with random_model(seed=5) as opened:
        yield opened


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def expected_table(automaton: Automaton, model: Model) -> Table:
    """The table with all probabilities, from the trees: slow and obvious."""
    names = dict.fromkeys(name for row in ROWS for name in row)
    table = []
    for row in ROWS:
        cells: dict[str, Any] = {name: row.get(name) for name in names}
        try:
            tree = automaton.run(model, row)
        except InputError as error:
            cells |= {"m.error": f"{error.where}: {error.message}"}
        else:
            cells |= expected_results(tree)
        table.append(cells)
    return table


def expected_results(tree: ThoughtTree) -> dict[str, Any]:
    path = tree.best()
    cells: dict[str, Any] = {"m.exact": path.exact, "m.error": None}
    for node in path.nodes:
        if node.name is None:
            continue
        shares = {tree.nodes[i].value: tree.nodes[i].prob for i in tree.children[node.parent]}
        new: dict[str, Any] = {f"m.{node.name}": node.value}
        if node.name != "why":
            new[f"m.{node.name}.prob"] = node.prob
        if node.name == "label":
            new["m.label.probs"] = shares
        elif node.name != "why":
            new |= {f"m.{node.name}.prob.{value}": share for value, share in shares.items()}
        for name, value in new.items():
            if node.name == "step":
                cells.setdefault(name, []).append(value)
            else:
                cells[name] = value
    return cells


def as_text(value: Any) -> str:
    """A cell of .csv."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()


COLUMNS = [
    *("id", "text", "labels", "note", "right", "score", "nested", "ok", "many"),
    *("m.topic", "m.topic.prob", "m.topic.prob.a", 'm.topic.prob.b, "c"', "m.why"),
    *("m.label", "m.label.prob", "m.label.probs"),
    *("m.step", "m.step.prob", "m.step.prob.+", "m.step.prob.-", "m.exact", "m.error"),
]


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.csv.gz", "out.tsv.zst"])
def test_cells_of_text_tables_equal_the_trees(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path, name: str
) -> None:
    if name.endswith(".zst"):
        pytest.importorskip("backports.zstd")
    run_file(Run(automaton, model), source, tmp_path / name, options=ALL)
    content = (tmp_path / name).read_bytes()
    if name.endswith(".gz"):
        content = gzip.decompress(content)
    elif name.endswith(".zst"):
        content = import_module("backports.zstd").decompress(content)
    delimiter = "\t" if "tsv" in name else ","
    lines = io.StringIO(content.decode(), newline="")
    header, *rows = csv.reader(lines, delimiter=delimiter, strict=True)
    assert header == COLUMNS
    expected = expected_table(automaton, model)
    assert rows == [[as_text(row.get(column)) for column in COLUMNS] for row in expected]


def test_cells_of_parquet_equal_the_trees_and_have_types(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run_file(Run(automaton, model), source, tmp_path / "out.parquet", options=ALL)
    table = parquet.read_table(tmp_path / "out.parquet")
    types = {field.name: str(field.type).replace("element: ", "") for field in table.schema}
    lists = {"m.step": "list<string>", "labels": "list<string>", "many": "list<int64>"}
    numbers = [name for name in COLUMNS if ".prob" in name and name != "m.label.probs"]
    lists |= {name: "list<double>" for name in numbers if "step" in name}
    kinds = {**dict.fromkeys(COLUMNS, "string"), **dict.fromkeys(numbers, "double"), **lists}
    assert types == kinds | {"id": "int64", "score": "double", "ok": "bool", "m.exact": "bool"}
    expected = expected_table(automaton, model)
    for row, cells in zip(expected, table.to_pylist(), strict=True):
        for name, cell in cells.items():
            value = row.get(name)
            if name in ("nested", "m.label.probs") and value is not None:
                value, cell = json.loads(json.dumps(value)), json.loads(cell)
            elif isinstance(value, str):
                value = as_text(value)
            assert cell == value, name


def test_pandas_reads_the_numbers_exactly(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    pandas = pytest.importorskip("pandas")
    run_file(Run(automaton, model), source, tmp_path / "out.csv", options=ALL)
    frame = pandas.read_csv(tmp_path / "out.csv")
    expected = [row.get("m.topic.prob") for row in expected_table(automaton, model)]
    assert [None if p != p else p for p in frame["m.topic.prob"]] == expected
    assert list(frame["id"]) == [row["id"] for row in ROWS]


@pytest.mark.parametrize("probs", ["none", "best"])
def test_probabilities_can_be_left_out(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path, probs: Any
) -> None:
    options = TableOptions(probs=probs, prefix="m.", id="note")
    run = Run(automaton, model)
    run_file(run, source, tmp_path / "out.csv.rows.jsonl", limit=1)
    with pytest.raises(InputError, match='row 0 has no "note"'):
        run_file(run, source, tmp_path / "out.csv", options=options)
    options = TableOptions(probs=probs, prefix="m.", id="text")
    export_rows(tmp_path / "out.csv.rows.jsonl", tmp_path / "out.csv", options=options)
    header = (tmp_path / "out.csv").read_text().splitlines()[0].split(",")
    share = [] if probs == "none" else [".prob"]
    results = [
        f"m.{name}{suffix}"
        for name in ("topic", "why", "label", "step")
        for suffix in ["", *(share if name != "why" else ())]
    ]
    assert header == ["text", "id", "labels", *results, "m.exact", "m.error"]


def test_one_journal_gives_several_formats_at_any_time(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    run, output = Run(automaton, model), tmp_path / "out.csv"
    journal = tmp_path / "out.csv.rows.jsonl"
    names = ["again.csv", "nested.jsonl.gz", "copy.jsonl"]

    def export_all(rows: int) -> None:
        for name in names:
            options = ALL if "csv" in name else None
            assert export_rows(journal, tmp_path / name, options=options) == rows

    done: list[int] = []
    run_file(
        run,
        source,
        output,
        options=ALL,
        on_progress=lambda progress: (export_all(progress.done), done.append(progress.done)),
    )
    assert done == list(range(len(ROWS) + 1))
    assert (tmp_path / "again.csv").read_bytes() == output.read_bytes()
    whole = journal.read_bytes()
    assert (tmp_path / "copy.jsonl").read_bytes() == whole
    assert gzip.decompress((tmp_path / "nested.jsonl.gz").read_bytes()) == whole
    # The output itself is the journal of a .jsonl output.
    run_file(run, source, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == whole
    # A killed run leaves a part of a line.
    for size in (0, 1, len(whole) - 1, whole.index(b"\n") + 1):
        journal.write_bytes(whole[:size])
        export_all(whole[:size].count(b"\n"))
        run_file(run, source, output, options=ALL)
        assert journal.read_bytes() == whole
        assert output.read_bytes() == (tmp_path / "out.csv").read_bytes()


def test_an_interrupted_run_leaves_the_journal_and_no_table(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    def interrupt(progress: Any) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    output = tmp_path / "out.csv"
    run = Run(automaton, model)
    options = TableOptions(prefix="m.")
    with pytest.raises(KeyboardInterrupt):
        run_file(run, source, output, options=options, on_progress=interrupt)
    assert not output.exists()
    run_file(run, source, output, options=options)
    run_file(run, source, tmp_path / "whole.csv", options=options)
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert {path.name for path in tmp_path.iterdir() if ".part" in path.name} == set()


def test_a_table_of_another_origin_is_never_replaced(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    output, run = tmp_path / "out.csv", Run(automaton, model)
    output.write_text("mine")
    with pytest.raises(InputError, match=r"out\.csv: exists already, and out\.csv\.rows\.jsonl"):
        run_file(run, source, output, options=ALL)
    assert output.read_text() == "mine"
    run_file(run, source, tmp_path / "x.jsonl", limit=1)
    with pytest.raises(InputError, match="is the journal itself"):
        export_rows(tmp_path / "x.jsonl", tmp_path / "x.jsonl")
    run_file(run, source, output, options=ALL, overwrite=True)
    assert output.read_text().startswith("id,")


def test_gold_adds_whether_the_answer_is_right_and_budgets_say_so(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path
) -> None:
    run = Run(automaton, model, gold=Gold("topic", "right"), budget=Budget(tokens=1))
    run_file(run, source, tmp_path / "out.csv", options=ALL)
    rows = list(csv.DictReader((tmp_path / "out.csv").open(newline="")))
    expected = expected_table(automaton, model)
    for row, cells in zip(rows, expected, strict=True):
        is_known = cells.get("right") is not None
        is_right = cells.get("m.topic") == cells.get("right")
        assert row["m.topic.right"] == (("false", "true")[is_right] if is_known else "")
        if "m.topic" in cells:
            assert row["m.error"] == "incomplete: the budget of tokens is spent"


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["topic"], {}, 'a column "topic", and so have .* a prefix, for example "model\\."'),
        (["topic", "error", "model.x"], {}, 'columns "topic", "error".* for example "model\\._"'),
        (["label.probs"], {"probs": "all"}, 'a column "label.probs"'),
        ([], {"id": "txt"}, 'no column "txt"; did you mean "text"'),
    ],
)
def test_columns_with_one_name_are_refused_before_the_first_row(
    automaton: Automaton,
    model: Model,
    tmp_path: Path,
    names: list[str],
    options: dict[str, Any],
    message: str,
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text(",".join(["text", *names]) + "\n")
    with pytest.raises(InputError, match=message):
        run_file(
            Run(automaton, model), source, tmp_path / "out.csv", options=TableOptions(**options)
        )
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv"}


def test_fields_that_would_share_a_column_are_refused(model: Model, tmp_path: Path) -> None:
    actions = [{"text": "x"}, {"name": "a", "choices": ["y"]}, {"name": "a.prob", "length": 1}]
    (tmp_path / "rows.csv").write_text("n\n1\n")
    run = Run(Automaton.from_dict({"actions": actions}), model)
    with pytest.raises(InputError, match=r'two columns would be called "a\.prob"'):
        run_file(run, tmp_path / "rows.csv", tmp_path / "out.csv")


def test_equal_ids_are_refused(automaton: Automaton, model: Model, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("n,text\n1,a\n2,b\n1,c\n")
    with pytest.raises(InputError, match="rows 0 and 2 have the same \"n\": '1'"):
        run_file(
            Run(automaton, model),
            tmp_path / "rows.csv",
            tmp_path / "out.csv",
            options=TableOptions(id="n"),
        )


def test_an_input_without_rows_gives_the_header(
    automaton: Automaton, model: Model, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "rows.csv").write_text("text,n\n")
    for name in ("out.csv", "out.parquet"):
        run_file(Run(automaton, model), tmp_path / "rows.csv", tmp_path / name)
    assert (tmp_path / "out.csv").read_text().startswith("text,n,topic,topic.prob,why,label,")
    schema = parquet.read_schema(tmp_path / "out.parquet")
    assert str(schema.field("step").type) == "list<element: string>"
    assert str(schema.field("topic.prob").type) == "double"


@pytest.mark.parametrize("damage", ["no identity", "no table", "a line", "nowhere"])
def test_what_is_no_journal_is_one_error(
    automaton: Automaton, model: Model, source: Path, tmp_path: Path, damage: str
) -> None:
    journal = tmp_path / "out.jsonl"
    run_file(Run(automaton, model), source, journal)
    if damage == "no identity":
        identity_path(journal).unlink()
    elif damage == "no table":
        identity_path(journal).write_text('{"format": 1, "table": {"fields": [3]}, "gold": null}')
    elif damage == "a line":
        journal.write_bytes(journal.read_bytes().replace(b'"row": 2', b'"row": 7'))
    else:
        journal = tmp_path / "nowhere.jsonl"
    with pytest.raises(InputError, match=r"(out|nowhere)\.jsonl"):
        export_rows(journal, tmp_path / "table.csv", options=ALL)
    assert not (tmp_path / "table.csv").exists()


def test_only_fields_that_a_path_can_repeat_are_lists() -> None:
    def side(name: str, choices: tuple[str, ...], *successors: str) -> Choose:
        return Choose(uid=name, name="side", choices=choices, successors=successors)

    branch = Choose(uid="branch", choices=("a", "b"), successors=("left", "right"))
    either = [branch, side("left", ("c",)), side("right", ("d", "c"))]
    (field,) = table_fields(Automaton(either))
    assert (field.values, field.is_choice, field.is_repeated) == (("c", "d"), True, False)
    (field,) = table_fields(Automaton([*either[:2], side("right", ("d",), "left")]))
    assert field.is_repeated


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], Kind("text")),
        ([None, "a"], Kind("text")),
        ([1, None], Kind("integer")),
        ([1, 2.5], Kind("number")),
        ([2**60, 2.5], Kind("json")),
        ([2**70], Kind("json")),
        ([True, 1], Kind("json")),
        ([["a", None], []], Kind("text", is_list=True)),
        ([[1], [0.5]], Kind("number", is_list=True)),
        ([[1], ["a"]], Kind("json")),
        ([["a"], "a"], Kind("json")),
        ([{}, None], Kind("json")),
    ],
)
def test_the_kind_of_a_column_holds_all_its_values(values: list[Any], kind: Kind) -> None:
    scan = KindScan()
    for value in values:
        scan.add(value)
    assert scan.kind() == kind


def test_values_and_groups_have_columns(model: Model, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    choices = [{"text": " yes", "value": True}, {"texts": [" no", " nope"], "value": False}]
    program = Automaton.from_dict(
        {
            "inputs": {"text": "text", "labels": {"type": "list", "default": ["x", "y"]}},
            "actions": [
                {"text": "{{ text }}:"},
                {
                    "ask": [
                        [{"text": "sure?"}, {"name": "sure", "choices": choices}],
                        [{"text": "how many?"}, {"name": "many", "choices": [" 1", " 2"]}],
                    ]
                },
                {
                    "name": "about",
                    "for_each": {"in": "labels", "as": "label"},
                    "ask": [[{"text": "{{ label }}?"}, {"name": "a", "choices": ["y", "n"]}]],
                },
            ],
        }
    )
    (tmp_path / "rows.csv").write_text("text\nOne\n")
    options = TableOptions(probs="all")
    run = Run(program, model)
    for name in ("out.csv", "out.parquet"):
        run_file(run, tmp_path / "rows.csv", tmp_path / name, options=options)
    (row,) = csv.DictReader((tmp_path / "out.csv").open(newline=""))
    (typed,) = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    (result,) = run.run_rows([Row(0, {"text": "One"})])
    sure = result.distribution("sure")
    assert sum(sure.values()) == pytest.approx(1)
    assert typed["sure"] is max(sure, key=lambda value: sure[value])
    assert (typed["sure.prob.true"], typed["sure.prob.false"]) == (sure[True], sure[False])
    assert row["sure"] == json.dumps(typed["sure"])
    assert float(row["many.prob.1"]) == result.distribution("many")["1"]
    about = result.distribution("about")
    assert about.keys() == {"x", "y"}
    assert json.loads(row["about"]) == json.loads(typed["about"]) == result.fields["about"]
    assert json.loads(row["about.probs"]) == json.loads(typed["about.probs"]) == about
