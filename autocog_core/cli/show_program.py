"""`autocog show`: the graph of a program."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from autocog_core.cli.options import ProgramFile
from autocog_core.cli.output import show as show_parts
from autocog_core.errors import UsageError


class GraphFormat(StrEnum):
    """The formats of a graph."""

    TEXT = "text"
    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


_SUFFIXES = {
    ".mmd": GraphFormat.MERMAID,
    ".mermaid": GraphFormat.MERMAID,
    ".dot": GraphFormat.DOT,
    ".gv": GraphFormat.DOT,
    ".svg": GraphFormat.SVG,
}
#: Files for lines of text.
_TEXT_SUFFIXES = ("", ".txt", ".text", ".md", ".log")


def show(
    program: ProgramFile,
    graph_format: Annotated[
        GraphFormat | None,
        typer.Option(
            "--format",
            help="Lines of text, a Mermaid flowchart, Graphviz's DOT, or an SVG picture. "
            "The default follows the name of the output file.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file, not to stdout."),
    ] = None,
) -> None:
    """Draw the graph of a program."""
    from autocog_core import Automaton
    from autocog_core.viz import graph_dot, graph_mermaid, graph_svg, graph_text

    suffix = "" if output is None else output.suffix.lower()
    if graph_format is None and suffix not in {*_SUFFIXES, *_TEXT_SUFFIXES}:
        raise UsageError(
            f"no format has the suffix {suffix}",
            where=str(output),
            hint="name a file with .svg, .mmd, .dot or .txt, or give --format",
        )
    automaton = Automaton.from_file(program)
    match graph_format or _SUFFIXES.get(suffix, GraphFormat.TEXT):
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
    if output is None:
        typer.echo(text.removesuffix("\n"))
        return
    try:
        output.write_text(text.removesuffix("\n") + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(output)) from error


def _plain(table: Table) -> str:
    """Return a table without colors, as wide as a page."""
    console = Console(width=120, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()
