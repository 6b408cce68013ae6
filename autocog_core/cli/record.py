"""`autocog record`: a typed record, with a probability for each field."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from autocog_core.cli.inputs import (
    DATA_SUFFIXES,
    ChatOptions,
    has_escaped_newline,
    read_text_file,
)
from autocog_core.cli.loading import ModelOptions
from autocog_core.cli.options import AsJson, ChatPromptText
from autocog_core.cli.output import (
    escape_controls,
    format_logprob,
    format_probability,
    show,
    show_json,
)
from autocog_core.cli.session import session
from autocog_core.cli.text import Text
from autocog_core.errors import InputError


def record(
    prompt: ChatPromptText = None,
    *,
    schema: Annotated[
        str,
        typer.Option(
            metavar="FILE|MODULE:CLASS",
            help="A JSON Schema (.json or .yaml), or a type in a Python module, such as "
            "shop:Order for the class Order in shop.py.",
        ),
    ],
    style: Annotated[
        str,
        typer.Option(
            metavar="TEMPLATE",
            help="How the record is written: json, or lines such as "
            "$'Name: {name}\\nAge: {age}\\n'; @FILE reads them from a file.",
        ),
    ] = "json",
    beams: Annotated[int, typer.Option(min=1, help="Beams of each text; 1 is greedy.")] = 1,
    max_tokens_per_text: Annotated[
        int, typer.Option(min=1, help="Maximum number of tokens of a string or number.")
    ] = 64,
    max_items: Annotated[
        int, typer.Option(min=1, help="Maximum number of items of a list without maxItems.")
    ] = 20,
    chat_options: ChatOptions,
    as_json: AsJson = False,
    model_options: ModelOptions,
) -> None:
    """Let the model write a typed record, and print each field with its probability.

    The model sees the prompt, not the schema: say in the prompt what you want.
    """
    if has_escaped_newline(style):
        session.warn(r"--style contains a backslash and an n, not a newline; in bash, write $'\n'")
    arguments = chat_options.prompt_arguments(chat_options.read_prompt(prompt, "record"))
    chat_options.require_chat(model_options.template_argument)
    source = _read_schema(schema)
    if style.startswith("@"):
        style = read_text_file(Path(style[1:]))
    with model_options.open() as model:
        result = model.record(
            **arguments,
            schema=source,
            style=style,
            beams=beams,
            max_tokens_per_text=max_tokens_per_text,
            max_items=max_items,
        )
    if as_json:
        show_json(result.to_dict())
        return
    show(*(Text(escape_controls(line)) for line in str(result).split("\n")))
    if result.prob is None:
        session.info(f"not exact: {result.reason}")
        return
    numbers = f"prob {format_probability(result.prob)}, logprob {format_logprob(result.logprob)}"
    session.info(numbers if result.exact else f"{numbers}; not exact: {result.reason}")


def _read_schema(argument: str) -> Any:
    """Return the JSON Schema of a file, or a type in a module.

    :raises InputError: if it cannot be read or imported.
    """
    path = Path(argument.removeprefix("@"))
    if path.suffix.lower() in DATA_SUFFIXES:
        from autocog_core.program.document import read_document

        data = read_document(path).data
        if not isinstance(data, dict | bool):
            raise InputError("is not a JSON Schema: expected a mapping", where=str(path))
        return data
    module, colon, name = argument.partition(":")
    if not colon or not name.isidentifier():
        raise InputError(
            f"{argument!r} is neither a file nor a type",
            where="--schema",
            hint="give a .json or .yaml file, or MODULE:CLASS",
        )
    # As `python -m` does: a module of the current folder.
    sys.path.insert(0, "")
    try:
        return getattr(import_module(module), name)
    except AttributeError as error:
        raise InputError(f'the module "{module}" has no "{name}"', where="--schema") from error
    except Exception as error:
        # The module is the user's, and can raise anything.
        message = f'the module "{module}" cannot be imported: {type(error).__name__}: {error}'
        raise InputError(message, where="--schema") from error
    finally:
        sys.path.remove("")
