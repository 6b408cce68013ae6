"""Run a program on rows of Python: mappings, or a data frame of pandas or polars.

In short:

    with autocog.load("smol") as model:
        for result in run_rows("quiz.yaml", model, [{"question": "Is water wet?"}]):
            print(result.fields, result.error)
        frame = run_frame("quiz.yaml", model, frame, probs="all")
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeVar, cast

from autocog_core.automaton.winners import ChoiceProbs, require_winners, with_winners
from autocog_core.dataset.column import Probs
from autocog_core.dataset.columns import require_columns
from autocog_core.dataset.data_frame import read_frame
from autocog_core.dataset.input_rows import Row
from autocog_core.dataset.notebook_progress import with_progress
from autocog_core.dataset.plain_values import plain_values
from autocog_core.dataset.row_marginals import check_marginals
from autocog_core.dataset.row_result import RowResult
from autocog_core.dataset.run import Run
from autocog_core.dataset.table_columns import (
    TableOptions,
    require_distinct,
    result_columns,
    with_kinds,
)
from autocog_core.dataset.table_fields import table_fields
from autocog_core.errors import InputError
from autocog_core.evaluation.concurrency import Concurrency
from autocog_core.evaluation.evaluation import Strategy
from autocog_core.hooks.automaton_run import Budget
from autocog_core.model.automaton import Automaton
from autocog_core.model.model import Model

#: A data frame of pandas or polars.
Frame = TypeVar("Frame")
Program = Automaton | str | PathLike[str]


def run_rows(
    program: Program,
    model: Model,
    rows: Iterable[Mapping[str, Any]],
    *,
    values: Mapping[str, Any] | None = None,
    models: Mapping[str, Model] | None = None,
    budget: Budget | None = None,
    strategy: Strategy | None = None,
    concurrency: Concurrency = 1,
    marginals: Sequence[str] = (),
    probs: ChoiceProbs = "all",
) -> Iterator[RowResult]:
    """Run a program on each row, and yield the results in the order of the rows.

    Rows are taken one by one, as many at once as `concurrency` says. A row that fails has a result
    with an `error`, and the run goes on. Missing values (None, NaN, NA) give an input its default.

    :param program: the automaton, or a program file.
    :param model: the model of actions that name none.
    :param rows: the values of the program's inputs by name; other names are kept in the results.
    :param values: values of inputs that are the same for all rows, and are no columns.
    :param models: the models that actions name.
    :param budget: the limits of each row.
    :param strategy: "token_tree" or "text"; None uses "token_tree" where the model supports it.
    :param concurrency: how many rows run at once; "auto" takes what suits the models.
    :param marginals: fields whose marginals are added to the output rows.
    :param probs: "winner" reads only what proves the best choice of each action. The fields stay
        the same, and most of their probabilities are then known only within `prob_bounds`.
    :returns: a result for each row. A notebook shows how many are done, if `rows` has a length.
    :raises InputError: for a program with errors, or one without these marginals.
    :raises AutocogError: for errors that concern all rows, such as a closed model.
    """
    run = Run(
        _automaton(program),
        model,
        values=values or {},
        models=models or {},
        budget=budget,
        concurrency=concurrency,
        strategy=strategy,
        marginals=marginals,
        probs=probs,
    )
    # Errors of the program are raised by this call, not by the first result.
    run.automaton.require_sound()
    return with_progress(run.run_rows(_read(rows)), rows)


def run_frame(
    program: Program,
    model: Model,
    frame: Frame,
    *,
    probs: Probs = "best",
    prefix: str = "",
    values: Mapping[str, Any] | None = None,
    models: Mapping[str, Model] | None = None,
    budget: Budget | None = None,
    strategy: Strategy | None = None,
    concurrency: Concurrency = 1,
    marginals: Sequence[str] = (),
) -> Frame:
    """Run a program on each row of a data frame, and return the frame with new columns.

    The columns are those of a table (`TableOptions`): the fields, their probabilities, `exact`, and
    `error`, which is missing for rows that succeeded. Rows, index and columns of the frame stay.

    :param program: the automaton, or a program file.
    :param model: the model of actions that name none.
    :param frame: a data frame of pandas or polars, with a column for each input.
    :param probs: "best" adds to each choice its probability, "all" those of all its values, "none"
        neither. "winner" reads only what proves the best choice of each action, and adds the bounds
        of its probability (`FIELD.prob_min`, `FIELD.prob_max`).
    :param prefix: what the names of the new columns begin with.
    :param values: as in `run_rows`, and so are `models`, `budget`, `strategy`, `concurrency` and
        `marginals`, which have columns of their own.
    :returns: a new frame of the same kind.
    :raises InputError: for a program with errors, or columns that are missing or have one name.
    :raises AutocogError: for errors that concern all rows, such as a closed model.
    """
    automaton = _automaton(program)
    options = TableOptions(probs=probs, prefix=prefix)
    choice_probs: ChoiceProbs = "winner" if probs == "winner" else "all"
    require_winners(automaton, choice_probs)
    marginals = check_marginals(with_winners(automaton, choice_probs), marginals)
    columns = result_columns(table_fields(automaton), options, marginals=marginals)
    table = read_frame(frame)
    require_columns("frame", table.columns, automaton, values or ())
    require_distinct(table.columns, columns, options)
    results = run_rows(
        automaton,
        model,
        table.rows(),
        values=values,
        models=models,
        budget=budget,
        strategy=strategy,
        concurrency=concurrency,
        marginals=marginals,
        probs=choice_probs,
    )
    # Without the trees and the input, which the frame has already.
    output_rows = [result.output_row | {"input": None} for result in with_progress(results, frame)]
    kinds = with_kinds(columns, output_rows)
    new_columns = [
        (column.name, column.kind, [column.read(row) for row in output_rows]) for column in kinds
    ]
    return cast("Frame", table.with_columns(new_columns))


def _read(rows: Iterable[Any]) -> Iterator[Row]:
    for index, values in enumerate(rows):
        if not isinstance(values, Mapping):
            kind = type(values).__name__
            raise InputError(
                f"row {index} is no mapping but {kind}",
                where="rows",
                hint='give {"input": value, ...} for each row',
            )
        yield Row(index, plain_values(values))


def _automaton(program: Program) -> Automaton:
    if isinstance(program, Automaton):
        return program
    return Automaton.from_file(Path(fspath(program)))
