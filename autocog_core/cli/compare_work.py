"""The work of `autocog compare`, from files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from autocog_core import Automaton
from autocog_core.automaton.inputs import require_valid_values
from autocog_core.cli.inputs import read_lines
from autocog_core.cli.run_values import input_values
from autocog_core.dataset import Row, RowSource, check_columns, read_rows
from autocog_core.errors import InputError
from autocog_core.model.model import Model
from autocog_core.types.choice import Norm
from autocog_core.types.comparison import Comparison

_PROGRAM_SUFFIXES = (".yaml", ".yml")
_LINE_SUFFIXES = (".txt", "")


@dataclass(frozen=True, kw_only=True)
class CompareJob:
    """Arguments of `Model.compare`.

    :ivar work: texts, prompts or a program.
    :ivar arguments: the keywords.
    """

    work: Sequence[str] | Automaton
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_picks(self) -> bool:
        """Whether models pick something in this work."""
        return isinstance(self.work, Automaton) or "choices" in self.arguments

    def compare(
        self, first: Model, second: Model, on_progress: Callable[[int, int], None]
    ) -> Comparison:
        """Compare two models."""
        return first.compare(second, self.work, on_progress=on_progress, **self.arguments)


def read_work(
    path: Path,
    *,
    rows: Path | None,
    values: Sequence[str],
    choices: Sequence[str],
    norm: Norm,
    context: str,
    limit: int | None,
) -> CompareJob:
    """Read the files that the work needs.

    :param path: the program, or the file with texts or prompts; - is standard input.
    :param rows: the rows for a program.
    :param values: `NAME=VALUE` pairs for a program.
    :param choices: the choices of all prompts.
    :param norm: what ranks the choices.
    :param context: the text before each text.
    :param limit: maximum number of items.
    :raises InputError: for a file that cannot be read, or options that do not go with it.
    """
    if _is_program(path, has_rows=rows is not None or bool(values)):
        _reject("a program", {"--choice": choices, "--context": context, "--norm": norm != "sum"})
        return _read_program(path, rows, values, limit)
    _reject("texts and prompts, only to a program", {"--input": rows, "--set": values})
    if path.suffix.lower() in _LINE_SUFFIXES:
        items: list[str] = read_lines(path)[:limit]
        own_choices = None
    else:
        items, own_choices = _read_columns(path, limit, needs_choices=not choices)
    if not items:
        raise InputError("has no text", where=str(path))
    all_choices = list(choices) or own_choices
    if all_choices is None:
        _reject("texts", {"--norm": norm != "sum"})
        return CompareJob(work=items, arguments={"context": context})
    _reject("prompts", {"--context": context})
    return CompareJob(work=items, arguments={"choices": all_choices, "norm": norm})


def _is_program(path: Path, *, has_rows: bool) -> bool:
    suffix = path.suffix.lower()
    if suffix != ".json":
        return suffix in _PROGRAM_SUFFIXES
    if has_rows:
        return True
    # A file of rows is a list.
    try:
        with path.open("rb") as file:
            return file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except OSError:
        return False


def _read_program(
    path: Path, rows: Path | None, values: Sequence[str], limit: int | None
) -> CompareJob:
    automaton = Automaton.from_file(path)
    automaton.require_sound()
    fixed = input_values(automaton, values)
    if rows is None:
        automaton.bind(fixed)
        return CompareJob(work=automaton, arguments={"rows": [fixed]})
    require_valid_values(automaton.inputs, fixed)
    source = RowSource.of(rows)
    check_columns(source, automaton, None, fixed)
    items: list[Any] = [
        row.error if row.error is not None else {**fixed, **row.values}
        for row in islice(read_rows(source), limit)
    ]
    if not items:
        raise InputError("has no rows", where=str(rows))
    return CompareJob(work=automaton, arguments={"rows": items})


def _read_columns(
    path: Path, limit: int | None, *, needs_choices: bool
) -> tuple[list[str], list[list[str]] | None]:
    """Return the column `prompt` or `text`, and the choices; None if there are none.

    :raises InputError: for a row without text, or prompts without choices.
    """
    items: list[str] = []
    choices: list[list[str]] = []
    column = "text"
    for row in islice(read_rows(path), limit):
        if row.error is not None:
            raise row.error
        column = "prompt" if "prompt" in row.values else "text"
        items.append(_read_text(row, column, path))
        if needs_choices and row.values.get("choices") is not None:
            choices.append(_read_choices(row, path))
    if needs_choices and column == "prompt" and not choices:
        hint = "give --choice TEXT or a column `choices`; or name the column `text` to score it"
        raise InputError("has prompts without choices", where=str(path), hint=hint)
    if choices and len(choices) != len(items):
        raise InputError("some rows have no choices", where=str(path), hint="fill in the column")
    return items, choices or None


def _read_text(row: Row, column: str, path: Path) -> str:
    text = row.values.get(column)
    if not isinstance(text, str) or not text:
        raise InputError(
            "has no text in a column `text`, or `prompt`",
            where=f"{path}, row {row.index}",
            hint="name the column of the texts `text`, and that of prompts with choices `prompt`",
        )
    return text


def _read_choices(row: Row, path: Path) -> list[str]:
    """Return the choices of a row: a list, or a text that is one in JSON."""
    choices = row.values["choices"]
    if isinstance(choices, str):
        try:
            choices = json.loads(choices)
        except ValueError:
            choices = None
    if not isinstance(choices, list) or not all(isinstance(each, str) for each in choices):
        raise InputError(
            "is no list of strings",
            where=f"{path}, row {row.index}, choices",
            hint='write them as JSON: [" yes", " no"]',
        )
    return choices


def _reject(work: str, options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if value:
            raise InputError(f"does not apply to {work}", where=name, hint="leave it out")
