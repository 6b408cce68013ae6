"""Results on stdout: tables for people, one JSON document for programs.

No console here reads rich markup, so that "[red]" in a prompt or a choice is shown as it is.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table

_BAR_WIDTH = 10
_NARROW = 60


def stdout() -> Console:
    """A console for results."""
    return Console(markup=False, emoji=False, highlight=False)


def is_narrow() -> bool:
    """Whether there is no room for ornaments."""
    return stdout().width < _NARROW


def show(*parts: RenderableType) -> None:
    """Print tables and texts."""
    console = stdout()
    for part in parts:
        console.print(part)


def show_json(data: Any) -> None:
    """Print one JSON document: indented for people, on one line for files and pipes."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    indent = 2 if sys.stdout.isatty() else None
    text = json.dumps(data, indent=indent, ensure_ascii=not unicode, allow_nan=False)
    sys.stdout.write(text + "\n")


def new_table() -> Table:
    """A table in the house style."""
    return Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )


def facts_table(facts: Iterable[tuple[str, RenderableType]]) -> Table:
    """Names and what is said of each, one a line, without header."""
    table = new_table()
    table.show_header = False
    table.box = None
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, value)
    return table


def add_number(table: Table, header: str) -> None:
    """Add a column of numbers: right-aligned and never broken."""
    table.add_column(header, justify="right", no_wrap=True)


def add_text(table: Table, header: str, style: str = "") -> None:
    """Add a column of texts, which are broken anywhere rather than cut."""
    table.add_column(header, overflow="fold", style=style, min_width=min(8, len(header) + 2))


def number(value: float | None) -> str:
    """A log-probability: three decimals are all that a table needs."""
    return "-" if value is None else f"{value:.3f}"


def probability(value: float) -> str:
    """A probability; a small one is not shown as nothing."""
    return "<.0001" if 0 < value < 0.00005 else f"{value:.4f}"


def bar(share: float) -> str:
    """`share` of 1 as a bar of blocks, or of # where stdout has no blocks."""
    eighths = round(max(0.0, min(1.0, share)) * _BAR_WIDTH * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + ("" if rest == 0 else chr(0x2590 - rest))
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = "#" * round(share * _BAR_WIDTH)
    return text


def surface(raw: bytes, special: str | None = None) -> str:
    """A token in quotes with its blanks visible; bytes that are no text as bytes."""
    if special is not None:
        return special
    try:
        return repr(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(raw)


def printable(text: str) -> str:
    """`text` with its control characters spelled out: they are not to command the terminal."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    # Blanks of other widths, format characters (in emoji and in Arabic) and private use are no
    # commands; only controls and lone surrogates are spelled out.
    if unicodedata.category(character) in ("Cc", "Cs"):
        return character.encode("unicode_escape").decode("ascii")
    return character
