"""`autocog show`: the graph of a program, a result tree, or two trees side by side."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group
from rich.table import Table

from autocog_core.cli.options import AsJson
from autocog_core.cli.output import new_console, show_json
from autocog_core.cli.output import show as show_parts
from autocog_core.cli.page_file import write_page
from autocog_core.cli.text import Text
from autocog_core.cli.tree_file import read_tree_file, require_tree
from autocog_core.errors import UsageError

if TYPE_CHECKING:
    from autocog_core.types.thought_tree import ThoughtTree


class GraphFormat(StrEnum):
    """The formats of a graph."""

    TEXT = "text"
    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"
    HTML = "html"


_SUFFIXES = {
    ".mmd": GraphFormat.MERMAID,
    ".mermaid": GraphFormat.MERMAID,
    ".dot": GraphFormat.DOT,
    ".gv": GraphFormat.DOT,
    ".svg": GraphFormat.SVG,
    ".html": GraphFormat.HTML,
    ".htm": GraphFormat.HTML,
}
_PAGE_COLUMNS = 120
#: Files for lines of text.
_TEXT_SUFFIXES = ("", ".txt", ".text", ".md", ".log")


def show(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="File with the program (.yaml, .json), or with a result tree (.json).",
        ),
    ],
    *,
    diff: Annotated[
        Path | None,
        typer.Option(
            metavar="TREE",
            help="Compare two result trees (.json): FILE is the first, and this is the second.",
        ),
    ] = None,
    graph_format: Annotated[
        GraphFormat | None,
        typer.Option(
            "--format",
            help="Lines of text; of a program also a Mermaid flowchart, Graphviz's DOT or an SVG "
            "picture; of a tree also a page for a browser (html). The default follows the name of "
            "the output file.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file, not to stdout."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw a program or a result tree, or compare two trees.

    Trees are what `autocog run --json` prints, and the files of --trees.
    """
    if diff is not None:
        _show_diff(file, diff, graph_format, output, as_json)
        return
    if as_json:
        raise UsageError("requires --diff", where="--json")
    suffix = "" if output is None else output.suffix.lower()
    if graph_format is None and suffix not in {*_SUFFIXES, *_TEXT_SUFFIXES}:
        raise UsageError(
            f"no format has the suffix {suffix}",
            where=str(output),
            hint="name a file with .svg, .mmd, .dot, .html or .txt, or give --format",
        )
    chosen = graph_format or _SUFFIXES.get(suffix, GraphFormat.TEXT)
    tree = read_tree_file(file)
    if tree is None:
        _show_program(file, chosen, output)
    else:
        _show_tree(tree, chosen, output, file)


def _show_tree(
    tree: ThoughtTree, tree_format: GraphFormat, output: Path | None, file: Path
) -> None:
    """Print or write a tree as text, or as a page."""
    from autocog_core.viz.tree_text import tree_text

    if tree_format is GraphFormat.HTML:
        _write(tree.to_html(title=file.name), output)
    elif tree_format is not GraphFormat.TEXT:
        raise UsageError(
            f"a result tree has no drawing as {tree_format.value}",
            where="--format",
            hint="give --format html or text",
        )
    elif output is None:
        show_parts(Group(tree_text(tree, new_console().width)))
    else:
        _write(tree_text(tree, _PAGE_COLUMNS).plain, output)


def _show_program(file: Path, graph_format: GraphFormat, output: Path | None) -> None:
    """Print or write the graph of a program."""
    from autocog_core import Automaton
    from autocog_core.viz import graph_dot, graph_mermaid, graph_svg, graph_text

    automaton = Automaton.from_file(file)
    match graph_format:
        case GraphFormat.HTML:
            raise UsageError(
                "a program has no drawing as html",
                where=str(file),
                hint="give --format svg, or the file of a result tree",
            )
        case GraphFormat.MERMAID:
            text = graph_mermaid(automaton)
        case GraphFormat.DOT:
            text = graph_dot(automaton)
        case GraphFormat.SVG:
            text = graph_svg(automaton)
        case _ if output is None:
            show_parts(graph_text(automaton))
            return
        case _:
            text = _plain(graph_text(automaton))
    _write(text, output)


def _write(text: str, output: Path | None) -> None:
    """Write a drawing to a file, or to stdout."""
    text = text.removesuffix("\n")
    if output is None:
        typer.echo(text)
    else:
        write_page(output, text + "\n")


def _show_diff(
    first: Path,
    second: Path,
    diff_format: GraphFormat | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Print or write what differs in two trees, as text, as a page or as JSON."""
    suffix = "" if output is None else output.suffix.lower()
    chosen = diff_format or _SUFFIXES.get(suffix, GraphFormat.TEXT)
    if chosen not in (GraphFormat.TEXT, GraphFormat.HTML):
        raise UsageError(
            f"two trees have no drawing as {chosen.value}",
            where="--format",
            hint="give --format html or text",
        )
    if as_json and (diff_format is not None or output is not None):
        name = "--output" if diff_format is None else "--format"
        raise UsageError("cannot be combined with --json", where=name, hint="leave one out")
    diff = require_tree(first).diff(require_tree(second))
    if as_json:
        show_json(diff.to_dict())
    elif chosen is GraphFormat.HTML:
        _write(diff.to_html(title=f"{first.name} and {second.name}"), output)
    elif output is None:
        show_parts(Text(str(diff)))
    else:
        _write(str(diff), output)


def _plain(table: Table) -> str:
    """Return a table without colors, as wide as a page."""
    console = Console(
        width=_PAGE_COLUMNS, color_system=None, markup=False, emoji=False, highlight=False
    )
    with console.capture() as captured:
        console.print(table)
    return captured.get()
