"""The options that constrain a whole text: --regex, --grammar and --json-schema."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

from autocog_core.cli.inputs import DATA_SUFFIXES, file_of, read_text_file
from autocog_core.errors import InputError

_Regex = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="Allow only texts that match this regular expression as a whole; @FILE reads it from "
        "a file.",
    ),
]
_Grammar = Annotated[
    str | None,
    typer.Option(
        metavar="GRAMMAR",
        help="Allow only texts of this grammar in Lark's syntax, usually @FILE.",
    ),
]
_JsonSchema = Annotated[
    str | None,
    typer.Option(
        metavar="SCHEMA",
        help="Allow only JSON that this JSON Schema accepts, usually @FILE (.json or .yaml).",
    ),
]


@dataclass(frozen=True, kw_only=True)
class ConstraintOptions:
    """The options of a constraint, of which one may be given.

    :ivar regex: a regular expression, or @FILE; as `grammar` and `json_schema`.
    """

    regex: _Regex = None
    grammar: _Grammar = None
    json_schema: _JsonSchema = None

    def arguments(self, *, is_stdin_used: bool = False) -> dict[str, Any]:
        """Return the constraint as a keyword argument of `complete`; empty without one.

        :param is_stdin_used: the prompt comes from standard input, so that no option can.
        :raises InputError: for several constraints, and for a file that cannot be read.
        """
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        given = {name: text for name, text in given.items() if text is not None}
        options = ["--" + name.replace("_", "-") for name in given]
        if len(given) > 1:
            raise InputError("give one of them", where=" and ".join(options))
        for (name, text), option in zip(given.items(), options, strict=True):
            if text == "@-" and is_stdin_used:
                raise InputError("standard input is read only once", where=option)
            is_schema = name == "json_schema"
            given[name] = _read_schema(text, option) if is_schema else _read_text(text)
        return given


def _read_text(text: str) -> str:
    path = file_of(text)
    return text.removeprefix("@") if path is None else read_text_file(path).removesuffix("\n")


def _read_schema(text: str, option: str) -> Any:
    path = file_of(text)
    if path is not None and path.suffix.lower() in DATA_SUFFIXES:
        from autocog_core.program.document import read_document

        schema = read_document(path).data
    else:
        where = option if path is None else str(path)
        schema = _parse_json(_read_text(text), where)
    if not isinstance(schema, dict | bool):
        raise InputError("is not a JSON Schema: expected a mapping", where=option)
    return schema


def _parse_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"is not JSON: {error}"
        raise InputError(message, where=where, hint="give JSON, or @FILE for a file") from error
