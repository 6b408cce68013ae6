"""What a run asked of its models: the difference of what they count, and nothing for others."""

from __future__ import annotations

import json
from pathlib import Path

from autocog_core import Automaton, Choose, Complete, Model, Text, Usage
from autocog_core.dataset import Meter, Row, Run, run_file
from tests.support.automata.side_by_side import Server
from tests.support.small_backends import random_model

PROGRAM = Automaton(
    [
        Text(uid="t", text="Say:", successors="c"),
        Choose(uid="c", name="c", choices=("a", "b"), successors="w"),
        Complete(uid="w", length=2, model="other"),
    ]
)


def write_rows(path: Path, count: int) -> Path:
    path.write_text("{}\n" * count)
    return path


def test_a_summary_has_what_this_run_asked_for(tmp_path: Path) -> None:
    model = Model(Server(), name="main")
    model.choose("x", ("a", "b"))
    job = Run(PROGRAM, model, {"other": random_model()}, concurrency=2)
    source, output = write_rows(tmp_path / "rows.jsonl", 5), tmp_path / "out.jsonl"
    first = run_file(job, source, output, limit=3)
    assert first.usage == {"main": Usage(3, 30, 12, 6)}
    whole = run_file(job, source, output)
    assert (whole.rows, whole.usage) == (5, {"main": Usage(2, 20, 8, 4)})
    assert json.loads(json.dumps(whole.to_dict()))["usage"]["main"]["cached_tokens"] == 8


def test_each_model_is_counted_once_whatever_it_is_called() -> None:
    first, second = Model(Server(), name="one"), Model(Server(), name="two")
    meter = Meter(
        first, {"again": first, "judge": second, "judge too": second, "one": Model(Server())}
    )
    PROGRAM.run(first, models={"other": second})
    assert meter.read() == {
        "one": Usage(1, 10, 4, 2),
        "judge": Usage(1, 10, 4, 2),
        "one (2)": Usage(),
    }
    assert Meter(random_model()).read() == {}


def test_another_strategy_is_another_output(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "rows.jsonl", 1)
    model = random_model()
    plain = Run(PROGRAM, model, {"other": model})
    asked = Run(PROGRAM, model, {"other": model}, strategy="text")
    assert plain.identity(source)["strategy"] is None
    assert asked.identity(source)["strategy"] == "text"
    (answer,) = asked.answers([Row(0)])
    assert answer.tree is not None
    assert answer.tree.provenance["strategy"] == "text"
