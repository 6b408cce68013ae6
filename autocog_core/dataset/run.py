"""Run an automaton on the rows of a data set, with models of this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

from autocog_core.config.plugins import name_of_backend
from autocog_core.dataset.columns import check_values, reject_values_of_rows
from autocog_core.dataset.expected import Gold, find_right_choice
from autocog_core.dataset.input_rows import Row
from autocog_core.dataset.output_row import (
    OutputRow,
    best_path,
    last_value,
    make_error_row,
    make_output_row,
)
from autocog_core.dataset.plain_values import plain_values
from autocog_core.dataset.row_marginals import make_marginals
from autocog_core.dataset.row_result import RowResult
from autocog_core.dataset.run_plan import ModelIdentity, RunPlan, identify_model
from autocog_core.dataset.table_fields import TableField, table_fields
from autocog_core.dataset.tree_files import write_tree
from autocog_core.dataset.usage import UsageMeter
from autocog_core.errors import AutocogError, InputError
from autocog_core.evaluation.concurrency import rows_at_once
from autocog_core.model.model import Model
from autocog_core.types.thought_tree import ThoughtTree


@dataclass(frozen=True)
class Run(RunPlan):
    """How to run an automaton on each row, with models of this process.

    The other arguments are those of `RunPlan`.

    :ivar model: the main model.
    :ivar models: the models that actions name.
    """

    model: Model
    _: KW_ONLY
    models: Mapping[str, Model] = field(default_factory=dict)

    @property
    def rows_at_once(self) -> int:
        """How many rows run at once."""
        models = (self.model, *self.models.values())
        return rows_at_once(self.concurrency, [model.info for model in models])

    @property
    def backend_name(self) -> str:
        """The name of the main model's backend."""
        return name_of_backend(type(self.model.backend))

    def model_identities(self) -> Mapping[str | None, ModelIdentity]:
        """Return what identifies each model, by the name that actions use; None is the main one."""
        identities: dict[str | None, ModelIdentity] = {None: identify_model(self.model)}
        identities.update((name, identify_model(model)) for name, model in self.models.items())
        return identities

    def start_usage_meter(self) -> UsageMeter:
        """Start to count the usage of the models."""
        return UsageMeter(self.model, self.models)

    def run_rows(self, rows: Iterable[Row]) -> Iterator[RowResult]:
        """Yield the result of each row, in order. A bad row yields an error, and the run continues.

        :param rows: the input rows.
        :raises AutocogError: for errors that concern all rows, such as a closed model.
        """
        checked = (self._check_row(row) for row in rows)
        for is_readable, group in groupby(checked, lambda row: row.error is None):
            run_group = self._run_readable if is_readable else self._report_unreadable
            yield from run_group(group)

    def output_rows(self, rows: Iterable[Row]) -> Iterator[OutputRow]:
        """Yield the output row of each row, as `run_rows`."""
        return (result.output_row for result in self.run_rows(rows))

    @cached_property
    def _gold_entry(self) -> TableField | None:
        """The compared field; None if the program has none of this name."""
        fields = {entry.name: entry for entry in table_fields(self.automaton)}
        return fields.get(str(self.gold_field))

    def _check_row(self, row: Row) -> Row:
        """Return the row, with an error if its values cannot be those of the inputs."""
        if self.values:
            try:
                reject_values_of_rows("inputs", row.values, self.values)
            except InputError as error:
                return Row(row.index, row.values, error)
        return check_values(row, self.automaton.inputs)

    def _run_readable(self, rows: Iterable[Row]) -> Iterator[RowResult]:
        pending: deque[Row] = deque()
        results = self.automaton.run_many(
            self.model,
            _values(rows, self.values, pending),
            models=self.models,
            budget=self.budget,
            strategy=self.strategy,
            concurrency=self.concurrency,
            probs=self.probs,
        )
        for result in results:
            yield self._row_result(pending.popleft(), result)

    def _report_unreadable(self, rows: Iterable[Row]) -> Iterator[RowResult]:
        for row in rows:
            assert row.error is not None
            yield self._row_result(row, row.error)

    def _row_result(self, row: Row, outcome: ThoughtTree | AutocogError) -> RowResult:
        start = {"row": row.index, "input": plain_values(row.values)}
        try:
            if isinstance(outcome, AutocogError):
                raise outcome
            output_row = start | make_output_row(row.index, outcome)
            if self.marginals:
                output_row["marginals"] = make_marginals(outcome, self.marginals)
            result = RowResult(output_row, outcome, row.values)
        except AutocogError as error:
            output_row = start | make_error_row(row.index, error)
            result = RowResult(output_row, row=row.values, error=error)
        if self.gold is not None:
            self._add_gold(self.gold, row, result)
        if self.tree_dir is not None:
            # Before the row is written: a run does not repeat rows of its output.
            tree = result.tree and result.tree.with_token_bytes(self.model, self.models)
            write_tree(self.tree_dir, row.index, tree)
        return result

    def _add_gold(self, gold: Gold, row: Row, result: RowResult) -> None:
        """Add the right answer and, for a choice, which of the choices it is."""
        right = gold.right_answer(row.values)
        result.output_row["gold"] = right
        if right is None or result.tree is None:
            return
        path = best_path(result.tree)
        entry = self._gold_entry
        choices = gold.choices(
            path,
            None if entry is None else entry.values,
            reads_best=self.probs == "winner" or (entry is not None and entry.has_bounds),
        )
        if choices is not None:
            chosen = last_value(path.fields[gold.field])
            result.output_row["gold_choice"] = find_right_choice(choices, right, chosen)


def _values(
    rows: Iterable[Row], values: Mapping[str, Any], pending: deque[Row]
) -> Iterator[Mapping[str, Any]]:
    """Yield the values of rows with those of all rows, and append the rows to `pending`."""
    for row in rows:
        pending.append(row)
        yield {**values, **row.values} if values else row.values
