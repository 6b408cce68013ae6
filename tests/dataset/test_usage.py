"""Usage of a run: the difference of the models' counters; models without counters are left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autocog_core import Automaton, Choose, Complete, InputError, Model, Text, Usage
from autocog_core.dataset import InputFile, Row, Run, UsageMeter, run_file
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


def test_a_summary_has_the_usage_of_this_run(tmp_path: Path) -> None:
    model = Model(Server(), name="main")
    model.choose("x", ("a", "b"))
    job = Run(PROGRAM, model, models={"other": random_model()}, concurrency=2)
    source, output = write_rows(tmp_path / "rows.jsonl", 5), tmp_path / "out.jsonl"
    first = run_file(job, source, output, limit=3)
    assert first.usage == {
        "main": Usage(requests=3, prompt_tokens=30, cached_tokens=12, completion_tokens=6)
    }
    whole = run_file(job, source, output)
    assert (whole.rows, whole.usage) == (
        5,
        {"main": Usage(requests=2, prompt_tokens=20, cached_tokens=8, completion_tokens=4)},
    )
    assert json.loads(json.dumps(whole.to_dict()))["usage"]["main"]["cached_tokens"] == 8


def test_a_model_with_several_names_is_counted_once() -> None:
    first, second = Model(Server(), name="one"), Model(Server(), name="two")
    meter = UsageMeter(
        first, {"again": first, "judge": second, "judge too": second, "one": Model(Server())}
    )
    PROGRAM.run(first, models={"other": second})
    assert meter.read() == {
        "one": Usage(requests=1, prompt_tokens=10, cached_tokens=4, completion_tokens=2),
        "judge": Usage(requests=1, prompt_tokens=10, cached_tokens=4, completion_tokens=2),
        "one (2)": Usage(),
    }
    assert UsageMeter(random_model()).read() == {}


def test_another_strategy_is_another_output(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "rows.jsonl", 1)
    model = random_model()
    plain = Run(PROGRAM, model, models={"other": model})
    asked = Run(PROGRAM, model, models={"other": model}, strategy="text")
    assert plain.identity(InputFile(source))["strategy"] is None
    assert asked.identity(InputFile(source))["strategy"] == "text"
    (result,) = asked.run_rows([Row(0)])
    assert result.tree is not None
    assert result.tree.provenance["strategy"] == "text"


def test_other_template_arguments_are_another_output(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "rows.jsonl", 1)
    output = tmp_path / "out.jsonl"
    backend = random_model().backend
    program = Automaton([Text(uid="a", text="A", successors="b"), Complete(uid="b", length=1)])
    run_file(Run(program, Model(backend)), source, output)
    changed = Run(program, Model(backend, template_arguments={"enable_thinking": False}))
    with pytest.raises(InputError, match=r"template_arguments was none, is .*false"):
        run_file(changed, source, output)
