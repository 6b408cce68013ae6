"""`autocog show`: a program in every format, on stdout and in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autocog_core import Automaton
from autocog_core.viz import graph_dot, graph_mermaid, graph_svg
from tests.cli.conftest import Run

PROGRAM = """
actions:
  - {uid: ask, text: "Is it?"}
  - {uid: answer, choices: [" yes", " no"]}
"""
DRAWINGS = {
    "mermaid": (graph_mermaid, "flowchart TD", ("g.mmd", "g.mermaid", "g.MMD")),
    "dot": (graph_dot, "digraph", ("g.dot", "g.gv")),
    "svg": (graph_svg, "<svg", ("g.svg",)),
}


@pytest.fixture
def program(folder: Path) -> Path:
    path = folder / "program.yaml"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["g.png", "g.html", "g.PDF"])
def test_a_file_type_that_cannot_be_written_is_an_error(
    wrong: Callable[..., str], run: Run, program: Path, name: str
) -> None:
    error = wrong("show", str(program), "-o", name)
    assert error == (
        f"error: {name}: no format has the suffix {Path(name).suffix.lower()}; name a file with "
        ".svg, .mmd, .dot or .txt, or give --format"
    )
    assert not Path(name).exists()
    assert run("show", str(program), "-o", name, "--format", "svg").exit_code == 0


def test_text_is_the_default(run: Run, program: Path) -> None:
    lines = run("show", str(program)).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["text", "ask", "'Is", "it?'", "->", "answer"],
        ["choose", "answer", "2", "choices,", "'", "yes',", "'", "no'", "end"],
    ]
    run("show", str(program), "-o", "g.txt")
    assert Path("g.txt").read_text(encoding="utf-8").splitlines()[0].startswith("text    ask")


@pytest.mark.parametrize("name", DRAWINGS)
def test_each_format_by_option_and_by_file_name(run: Run, program: Path, name: str) -> None:
    draw, beginning, files = DRAWINGS[name]
    expected = draw(Automaton.from_file(program))
    assert expected.startswith(beginning)
    assert run("show", str(program), "--format", name).stdout == expected
    for file in files:
        run("show", str(program), "-o", file)
        assert Path(file).read_text(encoding="utf-8") == expected
    run("show", str(program), "--format", name, "-o", "g.txt")
    assert Path("g.txt").read_text(encoding="utf-8") == expected


def test_a_file_that_cannot_be_written(wrong: Callable[..., str], program: Path) -> None:
    message = wrong("show", str(program), "-o", "missing/g.svg")
    assert "missing/g.svg" in message
    assert "cannot be written" in message
