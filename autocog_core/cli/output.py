"""Results on stdout: tables for people, one JSON document for programs.

No console reads rich markup, so that "[red]" in a prompt or a choice is printed as it is.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table

from autocog_core.cli.console import Console
from autocog_core.controls import escape_controls as escape_controls
from autocog_core.controls import escape_json_controls
from autocog_core.types.share_bar import BAR_WIDTH, block_bar

_MIN_WIDE_COLUMNS = 60


def new_console(*, stderr: bool = False) -> Console:
    """Return a console that prints text unchanged, on stdout or stderr.

    Results in a file or a pipe are plain. FORCE_COLOR colors only messages on stderr.
    """
    force_terminal = None if stderr else sys.stdout.isatty()
    return Console(
        stderr=stderr, markup=False, emoji=False, highlight=False, force_terminal=force_terminal
    )


def is_narrow() -> bool:
    """Return whether stdout is too narrow for optional columns."""
    return new_console().width < _MIN_WIDE_COLUMNS


def show(*parts: RenderableType) -> None:
    """Print tables and texts."""
    console = new_console()
    for part in parts:
        console.print(part)


def show_json(data: Any) -> None:
    """Print one JSON document: indented on a terminal, on one line into files and pipes."""
    _write_json(data, indent=2 if sys.stdout.isatty() else None)


def write_json_line(data: Any) -> None:
    """Print `data` as one line of JSON, at once."""
    _write_json(data, indent=None)
    sys.stdout.flush()


class StdoutBytes(io.RawIOBase):
    """Standard output for bytes of UTF-8 text; on a terminal, control characters are escaped."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Write the bytes; return how many they are."""
        if sys.stdout.isatty():
            text = bytes(data).decode("utf-8", errors="backslashreplace")
            sys.stdout.write(escape_controls(text))
        else:
            sys.stdout.buffer.write(data)
        return len(data)

    def flush(self) -> None:
        """Write what is buffered."""
        sys.stdout.flush()


def _write_json(data: Any, *, indent: int | None) -> None:
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(data, indent=indent, ensure_ascii=not unicode, allow_nan=False)
    sys.stdout.write((escape_json_controls(text) if sys.stdout.isatty() else text) + "\n")


def new_table() -> Table:
    """Return an empty table in the house style."""
    return Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )


def facts_table(facts: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return a table of names and values, one pair per line, without a header."""
    table = new_table()
    table.show_header = False
    table.box = None
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, value)
    return table


def add_number(table: Table, header: str) -> None:
    """Add a column of numbers: right-aligned and never wrapped."""
    table.add_column(header, justify="right", no_wrap=True)


def add_text(table: Table, header: str, style: str = "") -> None:
    """Add a column of texts: wrapped anywhere rather than cut."""
    table.add_column(header, overflow="fold", style=style, min_width=min(8, len(header) + 2))


def format_logprob(logprob: float | None) -> str:
    """Return a log-probability with three decimals; - for None."""
    return "-" if logprob is None else f"{logprob:.3f}"


def format_probability(prob: float) -> str:
    """Return a probability with four decimals; a small one is not shown as 0."""
    return "<.0001" if 0 < prob < 0.00005 else f"{prob:.4f}"


def format_bar(fraction: float) -> str:
    """Return a fraction of 1 as a bar of blocks; of # if stdout cannot encode blocks."""
    text = block_bar(fraction)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = "#" * round(fraction * BAR_WIDTH)
    return text


def format_token(raw: bytes, special_text: str | None = None) -> str:
    """Return a token in quotes, so that spaces are visible; bytes if it is not UTF-8.

    :param special_text: the text of a special token, which is returned without quotes.
    """
    if special_text is not None:
        return special_text
    try:
        return repr(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(raw)
