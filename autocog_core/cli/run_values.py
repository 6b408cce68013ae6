"""The values of `--set NAME=VALUE`: texts, data, and the content of files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocog_core.cli.inputs import DATA_SUFFIXES, file_of, read_text_file, split_pairs
from autocog_core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from autocog_core import Automaton
    from autocog_core.automaton.inputs import InputType


def input_values(
    automaton: Automaton, pairs: Sequence[str], *, is_stdin_used: bool = False
) -> dict[str, Any]:
    """Return the values of the automaton's inputs from `NAME=VALUE` pairs.

    `@FILE` stands for the content of a file, and `@@` for one @.

    :param automaton: the automaton, whose inputs have the types.
    :param pairs: the pairs.
    :param is_stdin_used: the rows come from standard input, so that no value can.
    :raises InputError: for a malformed pair, a repeated name, a name that is no input, or a file
        that cannot be read.
    """
    values: dict[str, Any] = {}
    for name, text in split_pairs("--set", pairs, "NAME=VALUE"):
        if name not in automaton.inputs:
            problem = f'no input "{name}"' if automaton.inputs else "no inputs"
            hint = did_you_mean(name, automaton.inputs) or "leave out --set"
            raise InputError(f"the program has {problem}", where="--set", hint=hint)
        type_ = automaton.inputs[name].type
        if (path := file_of(text)) is not None:
            is_stdin = text == "@-"
            if is_stdin and is_stdin_used:
                raise InputError("standard input is read only once", where=f"--set {name}")
            is_stdin_used = is_stdin_used or is_stdin
            values[name] = _read_value(path, type_)
        else:
            text = text.removeprefix("@")
            values[name] = _parse_json(text) if type_ == "any" else text
    return values


def _read_value(path: Path, type_: InputType) -> Any:
    """Return the value that a file holds for an input.

    An input of type "text" has the text of any file. For others the suffix decides: data, rows as a
    list of objects, or text, whose lines are a list.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if type_ == "text":
        return read_text_file(path).removesuffix("\n")
    if suffixes and suffixes[-1] in DATA_SUFFIXES:
        from autocog_core.program.document import read_document

        return read_document(path).data
    if _holds_rows(path):
        return _read_rows(path)
    text = read_text_file(path).removesuffix("\n")
    if type_ == "list" and not text.lstrip().startswith("["):
        # Not splitlines(), which also splits at characters that may be part of an item.
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        return [line for line in lines if line]
    is_text = suffixes[-1:] == [".txt"]
    return text if is_text or type_ != "any" else _parse_json(text)


def _holds_rows(path: Path) -> bool:
    from autocog_core.dataset import RowSource

    try:
        RowSource.of(path)
    except InputError:
        return False
    return True


def _read_rows(path: Path) -> list[dict[str, Any]]:
    from autocog_core.dataset import read_rows

    rows = []
    for row in read_rows(path):
        if row.error is not None:
            raise row.error
        rows.append(dict(row.values))
    return rows


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
