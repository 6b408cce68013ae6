"""Where `autocog run` writes its rows: to a file with a journal, or to standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocog_core.cli.output import StdoutBytes, write_json_line
from autocog_core.cli.session import session
from autocog_core.cli.table_options import TableFlags
from autocog_core.errors import AutocogError, shorten

if TYPE_CHECKING:
    from autocog_core import Automaton
    from autocog_core.cli.run_progress import RunProgress
    from autocog_core.dataset import Gold, OutputRow, RowSource
    from autocog_core.dataset.column import Column
    from autocog_core.dataset.destination import Destination


def choose_destination(output: Path | None, source: RowSource, flags: TableFlags) -> Destination:
    """Return where the rows go.

    :param output: the output file; None for standard output.
    :param source: the input file.
    :param flags: which table is written.
    :raises UsageError: if autocog cannot write there, or not in this format.
    """
    from autocog_core.dataset.destination import Destination
    from autocog_core.dataset.output_format import STDOUT, OutputFormat

    output = STDOUT if output is None else output
    options = flags.options(OutputFormat.of(output, flags.format_name))
    return Destination.of(output, source.path, format_name=flags.format_name, options=options)


def row_writer(destination: Destination, columns: Sequence[Column]) -> Callable[[OutputRow], None]:
    """Return the function that writes a row to standard output, at once.

    :param destination: standard output, with its format.
    :param columns: the columns of a table.
    """
    if not destination.format.is_table:
        return write_json_line
    from autocog_core.dataset.csv_table import CsvTable

    stdout = StdoutBytes()
    table = CsvTable(stdout, columns, destination.format.delimiter)

    def write(row: OutputRow) -> None:
        table.write(row)
        stdout.flush()

    return write


def is_for_reader(output: Path | None, flags: TableFlags) -> bool:
    """Return whether the rows go to a person, who gave neither a file nor a format.

    :param output: the output that was given; `-` is standard output for another program.
    :param flags: the format that was given.
    """
    return output is None and flags.format_name is None and sys.stdout.isatty()


@contextmanager
def row_table(
    automaton: Automaton, values: Mapping[str, Any], gold: Gold | None
) -> Iterator[Callable[[OutputRow], None]]:
    """Return the function that prints a row for a person, and say what had no room at the end.

    :param automaton: the program.
    :param values: inputs with the same value for all rows, which are not shown.
    :param gold: the right answers.
    """
    from autocog_core.cli.row_table import RowTable

    inputs = [name for name in automaton.inputs if name not in values]
    table = RowTable(automaton, inputs, None if gold is None else gold.field)
    yield table.write
    if table.left_out:
        names = ", ".join(map(shorten, table.left_out[:5])) + ", ..." * (len(table.left_out) > 5)
        session.info(f"no room for {names}; -o FILE writes all of it, and -o - prints it")


@contextmanager
def suggest_export(destination: Destination, progress: RunProgress) -> Iterator[None]:
    """Say how to get the table of a run that has begun, if it does not end."""
    try:
        yield
    except (KeyboardInterrupt, AutocogError):
        journal = destination.journal
        has_rows = progress.progress is not None and progress.progress.done
        if journal != destination.output and has_rows:
            session.info(
                f"`autocog export {journal} -o {destination.output}` writes the rows so far"
            )
        raise
