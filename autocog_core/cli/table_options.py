"""The options of `autocog run` and `autocog export` that say which table is written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from autocog_core.errors import UsageError

if TYPE_CHECKING:
    from autocog_core.automaton.winners import ChoiceProbs
    from autocog_core.dataset import TableOptions
    from autocog_core.dataset.output_format import FormatName, OutputFormat


class OutputFormatName(StrEnum):
    """The formats of an output."""

    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"


class ProbsName(StrEnum):
    """The probabilities in a table."""

    NONE = "none"
    BEST = "best"
    ALL = "all"
    WINNER = "winner"


@dataclass(frozen=True, kw_only=True)
class TableFlags:
    """The options that say which table is written.

    :ivar output_format: the format; None for what the name of the output says.
    :ivar probs: the probabilities in the table; None for "best".
    :ivar prefix: what the names of the results begin with.
    :ivar id_column: the column of the input that comes first.
    """

    output_format: Annotated[
        OutputFormatName | None,
        typer.Option(help="Format of the output (default: what its name says; jsonl on stdout)."),
    ] = None
    probs: Annotated[
        ProbsName | None,
        typer.Option(
            help="In a table, add to each choice the probability of the best value (best), of "
            "every value (all), or nothing (none) (default: best). For a run, winner reads only "
            "what proves the best choice of each action; its probability is then known only within "
            "bounds, which are columns of their own."
        ),
    ] = None
    prefix: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="In a table, begin the names of all result columns with this."
        ),
    ] = None
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="COLUMN",
            help="In a table, put this column of the input first; its values must be unique.",
        ),
    ] = None

    @property
    def choice_probs(self) -> ChoiceProbs:
        """Which choices a run reads."""
        return "winner" if self.probs is ProbsName.WINNER else "all"

    @property
    def format_name(self) -> FormatName | None:
        """The format that was given; None if none was."""
        return None if self.output_format is None else self.output_format.value

    def given(self) -> dict[str, object]:
        """Return the options by name, None for those that were not given."""
        return {
            "--output-format": self.output_format,
            # Of a run, not only of a table.
            "--probs": None if self.probs is ProbsName.WINNER else self.probs,
            "--prefix": self.prefix,
            "--id": self.id_column,
        }

    def options(self, format_: OutputFormat) -> TableOptions:
        """Return which columns a table has.

        :param format_: the format of the output.
        :raises UsageError: if an option is given that such an output does not have.
        """
        from autocog_core.dataset import TableOptions

        if not format_.is_table:
            for name, value in self.given().items():
                if value is not None and name != "--output-format":
                    hint = "rows in .jsonl have the whole input and all probabilities"
                    message = "requires a table: .csv, .tsv or .parquet"
                    raise UsageError(message, where=name, hint=hint)
        return TableOptions(
            probs="best" if self.probs is None else self.probs.value,
            prefix=self.prefix or "",
            id=self.id_column,
        )
