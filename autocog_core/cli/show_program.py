"""`autocog show`: the graph of a program."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from autocog_core.cli.options import ProgramFile
from autocog_core.cli.output import show as show_parts
from autocog_core.errors import UsageError


class Drawing(StrEnum):
    """What a graph can be drawn as."""

    TEXT = "text"
    DOT = "dot"
    SVG = "svg"


def show(
    program: ProgramFile,
    drawing: Annotated[
        Drawing | None,
        typer.Option(
            "--format",
            help="Lines of text, Graphviz's language, or a picture (else by the output's name).",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it here, not to stdout."),
    ] = None,
) -> None:
    """Draw the graph of a program."""
    from autocog_core import Automaton
    from autocog_core.viz import graph_dot, graph_svg, graph_text

    automaton = Automaton.from_file(program)
    kind = drawing or _by_name(output)
    if kind is Drawing.TEXT and output is None:
        show_parts(graph_text(automaton))
        return
    if kind is Drawing.TEXT:
        text = _plain(graph_text(automaton))
    else:
        text = graph_dot(automaton) if kind is Drawing.DOT else graph_svg(automaton)
    if output is None:
        typer.echo(text)
        return
    try:
        output.write_text(text.removesuffix("\n") + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(output)) from error


def _by_name(output: Path | None) -> Drawing:
    suffix = "" if output is None else output.suffix.lower()
    return {".svg": Drawing.SVG, ".dot": Drawing.DOT, ".gv": Drawing.DOT}.get(suffix, Drawing.TEXT)


def _plain(table: object) -> str:
    from rich.console import Console

    console = Console(width=120, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()
