"""Where a run writes: the output, and the journal from which it is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.dataset.column import Column
from autocog_core.dataset.columns import all_columns
from autocog_core.dataset.expected import Gold
from autocog_core.dataset.export import export_rows
from autocog_core.dataset.input_rows import Row, column_names, read_rows
from autocog_core.dataset.output_file import remove_file, remove_output, resolve_output
from autocog_core.dataset.output_format import STDOUT, FormatName, OutputFormat, journal_path
from autocog_core.dataset.row_source import RowSource
from autocog_core.dataset.run_identity import OVERWRITE_HINT
from autocog_core.dataset.table_columns import (
    TableOptions,
    input_columns,
    require_distinct,
    result_columns,
)
from autocog_core.dataset.table_fields import table_fields
from autocog_core.errors import InputError


@dataclass(frozen=True, slots=True)
class Destination:
    """The output of a run.

    :ivar output: the file; `-` is standard output.
    :ivar format: its format.
    :ivar journal: the .jsonl file to which the run appends each row.
    :ivar options: which columns a table has.
    """

    output: Path
    format: OutputFormat
    journal: Path
    options: TableOptions = field(default_factory=TableOptions)

    @classmethod
    def of(
        cls,
        output: Path,
        source: Path,
        *,
        format_name: FormatName | None = None,
        options: TableOptions | None = None,
    ) -> Destination:
        """Return the destination that an output's name stands for.

        :param output: the name; a symbolic link stands for its target, `-` for standard output.
        :param source: the input file, which it must not replace.
        :param format_name: the format, whatever the name says.
        :param options: which columns a table has.
        :raises InputError: if autocog cannot write there, or not in this format.
        """
        format_ = OutputFormat.of(output, format_name)
        options = options or TableOptions()
        if output == STDOUT:
            return cls(output, format_, output, options)
        journal = resolve_output(journal_path(output, format_), source)
        output = resolve_output(output, source)
        return cls(output, format_, journal, options)

    def check(
        self,
        automaton: AutomatonGraph,
        source: RowSource,
        gold: Gold | None = None,
        marginals: Sequence[str] = (),
    ) -> list[Column]:
        """Check the columns of a table before a model is loaded, and return them.

        :param automaton: the automaton.
        :param source: the input file.
        :param gold: the right answers.
        :param marginals: the fields whose marginals the rows have.
        :raises InputError: for equal names of columns, or an `id` that is missing or not unique.
        """
        if not self.format.is_table:
            return []
        gold_field = None if gold is None else gold.field
        results = result_columns(table_fields(automaton), self.options, gold_field, marginals)
        names = all_columns(source)
        require_distinct(names, results, self.options)
        columns = [*input_columns(names, self.options), *results]
        if self.options.id is not None:
            require_unique(read_rows(source), self.options.id)
        return columns

    def describe(self, automaton: AutomatonGraph, source: RowSource) -> dict[str, Any]:
        """Return what a table of the rows needs to know, as plain data for the run's identity."""
        columns = column_names(source)
        return {
            "columns": None if columns is None else list(columns),
            "fields": [entry.to_dict() for entry in table_fields(automaton)],
        }

    def require_new_or_known(self, overwrite: bool = False) -> None:
        """Check that a table does not replace a file that no run has made.

        :param overwrite: whether an earlier output may be lost.
        :raises InputError: if such a file is there.
        """
        if overwrite or self.output == self.journal:
            return
        if self.output.exists() and not self.journal.exists():
            message = f"exists already, and {self.journal.name}, its journal, does not"
            raise InputError(message, where=str(self.output), hint=OVERWRITE_HINT)

    def remove(self) -> None:
        """Remove the output of an earlier run, and its journal.

        :raises InputError: if they cannot be removed.
        """
        if self.output != self.journal:
            remove_file(self.output)
        remove_output(self.journal)

    def finish(self) -> None:
        """Make the output from the journal.

        :raises InputError: if it cannot be written.
        """
        if self.output != self.journal:
            export_rows(
                self.journal, self.output, format_name=self.format.name, options=self.options
            )


def require_unique(rows: Iterable[Row], column: str) -> None:
    """Check that the rows have different ids.

    :param rows: the rows; those that cannot be read do not count.
    :param column: the column with the ids.
    :raises InputError: naming two rows with one id, or a row without.
    """
    # Only hashes: the ids of a large file would need much memory.
    seen: dict[int, int] = {}
    for row in rows:
        if row.error is not None:
            continue
        value = row.values.get(column)
        if value is None:
            message = f'row {row.index} has no "{column}"'
            raise InputError(message, where="id", hint="leave out the id")
        first = seen.setdefault(hash(str(value)), row.index)
        if first != row.index:
            message = f'rows {first} and {row.index} have the same "{column}": {str(value)!r}'
            raise InputError(message, where="id", hint="leave out the id")
