"""`autocog show`: a program in every format, on stdout and in a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from autocog_core import Automaton, ThoughtTree
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


@pytest.mark.parametrize("name", ["g.png", "g.PDF"])
def test_a_file_type_that_cannot_be_written_is_an_error(
    wrong: Callable[..., str], run: Run, program: Path, name: str
) -> None:
    error = wrong("show", str(program), "-o", name)
    assert error == (
        f"error: {name}: no format has the suffix {Path(name).suffix.lower()}; name a file with "
        ".svg, .mmd, .dot, .html or .txt, or give --format"
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


@pytest.fixture
def tree_file(run: Run, program: Path) -> Path:
    result = run("run", str(program), "--model", "noise", "--json")
    path = program.with_name("tree.json")
    path.write_text(result.stdout, encoding="utf-8")
    return path


def test_a_tree_is_drawn_as_text_and_as_a_page(
    run: Run, wrong: Callable[..., str], program: Path, tree_file: Path
) -> None:
    lines = run("show", str(tree_file)).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [">", "answer", ">", "pruned:"]
    run("show", str(tree_file), "-o", "tree.txt")
    assert Path("tree.txt").read_text(encoding="utf-8").splitlines()[1] == lines[1].rstrip()
    page = run("show", str(tree_file), "--format", "html").stdout
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>tree.json</title>" in page
    # The file has the texts of the tokens.
    assert '"has_texts":true' in page
    run("show", str(tree_file), "-o", "tree.html")
    assert Path("tree.html").read_text(encoding="utf-8") == page
    run("run", str(program), "--model", "noise", "--html", "run.html")
    assert Path("run.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert wrong("show", str(tree_file), "-o", "tree.svg") == (
        "error: --format: a result tree has no drawing as svg; give --format html or text"
    )
    assert wrong("show", str(program), "--format", "html") == (
        f"error: {program}: a program has no drawing as html; give --format svg, or the file of a "
        "result tree"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": 3}, "nodes: Input should be a valid list"),
        ({"nodes": [{"uid": "a", "text": 1}]}, "nodes.0.text: Input should be a valid string"),
        ({"nodes": [{"uid": "a", "text": "", "parent": 4}]}, "a node comes before its parent"),
        ({"format": 9}, "format 9 is not 1"),
        ({"token_bytes": {"": {"1": "x"}}}, "token_bytes is malformed"),
    ],
)
def test_a_malformed_tree_is_one_error(
    wrong: Callable[..., str], tree_file: Path, change: dict[str, object], message: str
) -> None:
    tree = json.loads(tree_file.read_bytes())
    tree_file.write_text(json.dumps(tree | change), encoding="utf-8")
    error = wrong("show", str(tree_file), "--format", "html")
    assert error.startswith(f"error: {tree_file}: is not a result tree: {message}")


def test_a_page_is_for_one_input_and_a_file_that_can_be_written(
    wrong: Callable[..., str], folder: Path, program: Path
) -> None:
    (folder / "rows.jsonl").write_text("{}\n", encoding="utf-8")
    given = ("run", str(program), "--model", "noise", "--html")
    error = wrong(*given, "x.html", "-i", "rows.jsonl", "-o", "out.jsonl")
    assert error.startswith("error: --html: is for a single input, without --input; write trees")
    assert wrong(*given, "none/x.html").startswith("error: none/x.html: its folder does not exist")
    assert wrong(*given, str(folder)).startswith(f"error: {folder}: is a folder; give --html")
    assert wrong(*given, str(program)).startswith(f"error: {program}: is the program")


def test_two_trees_side_by_side(run: Run, wrong: Callable[..., str], program: Path) -> None:
    for name, model in (("a.json", "noise"), ("b.json", "known")):
        tree = run("run", str(program), "--model", model, "--json").stdout
        Path(name).write_text(tree, encoding="utf-8")
    result = run("show", "a.json", "--diff", "b.json")
    assert result.exit_code == 0
    expected = ThoughtTree.from_dict(json.loads(Path("a.json").read_text(encoding="utf-8"))).diff(
        ThoughtTree.from_dict(json.loads(Path("b.json").read_text(encoding="utf-8")))
    )
    assert result.stdout.split() == str(expected).split()
    document = json.loads(run("show", "a.json", "--diff", "b.json", "--json").stdout)
    assert document == json.loads(json.dumps(expected.to_dict()))
    assert "is no JSON" in wrong("show", "a.json", "--diff", str(program))
    assert "cannot be read" in wrong("show", "missing.json", "--diff", "b.json")
    Path("other.json").write_text('{"a": 1}', encoding="utf-8")
    assert "is no result tree" in wrong("show", "other.json", "--diff", "b.json")
    Path("newer.json").write_text('{"format": 2, "nodes": []}', encoding="utf-8")
    assert "format 2" in wrong("show", "newer.json", "--diff", "b.json")
    assert "--diff" in wrong("show", "a.json", "--json")
    assert "no drawing as svg" in wrong("show", "a.json", "--diff", "b.json", "--format", "svg")
    assert "--output" in wrong("show", "a.json", "--diff", "b.json", "--json", "-o", "d.txt")
    run("show", "a.json", "--diff", "b.json", "-o", "d.txt")
    assert Path("d.txt").read_text(encoding="utf-8").split() == str(expected).split()
    page = run("show", "a.json", "--diff", "b.json", "--format", "html").stdout
    assert "<title>a.json and b.json</title>" in page
    run("show", "a.json", "--diff", "b.json", "-o", "d.html")
    assert Path("d.html").read_text(encoding="utf-8") == page
