"""`autocog tokenize` and `autocog greedy`: the tokens of a text, and the most likely next ones."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from autocog_core.cli.inputs import ChatOptions
from autocog_core.cli.loading import ModelOptions
from autocog_core.cli.options import AsJson, ChatPromptText
from autocog_core.cli.output import (
    add_number,
    add_text,
    format_bar,
    format_logprob,
    format_probability,
    format_token,
    is_narrow,
    new_table,
    show,
    show_json,
)
from autocog_core.cli.styles import BAR
from autocog_core.errors import InputError
from autocog_core.model.model import Model, NextToken
from autocog_core.types.json_number import to_json_number
from autocog_core.types.prompt import TextPiece


def tokenize(
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="Text to tokenize; - reads standard input, without its last newline. Not with "
            "--user.",
        ),
    ] = None,
    *,
    special: Annotated[
        bool,
        typer.Option("--special", help="Parse special tokens in TEXT; only for text you trust."),
    ] = False,
    continues: Annotated[
        bool,
        typer.Option("--continue", help="Tokenize TEXT as the continuation of other text."),
    ] = False,
    with_bos: Annotated[
        bool,
        typer.Option("--bos", help="Start with the BOS token, if the model adds one to prompts."),
    ] = False,
    chat_options: ChatOptions,
    as_json: AsJson = False,
    model_options: ModelOptions,
) -> None:
    """Show the tokens of a text: ids and texts."""
    if continues and (with_bos or chat_options.is_chat):
        other = "--bos" if with_bos else "--chat"
        raise InputError(
            f"cannot be combined with {other}, which starts a prompt",
            where="--continue",
            hint="leave one out",
        )
    text = chat_options.read_prompt(text, "tokenize", "TEXT")
    chat_options.require_chat(model_options.template_argument)
    with model_options.open() as model:
        if chat_options.is_chat:
            tokens = model.encode(model.chat_prompt(chat_options.messages(text)))
        elif with_bos:
            tokens = model.encode(TextPiece(text, trusted=special))
        else:
            tokens = model.tokenize(text, at_start=not continues, parse_special=special)
        raw_tokens = [model.detokenize_bytes([token]) for token in tokens]
        special_texts = _special_texts(model)
    if as_json:
        show_json(
            {
                "tokens": tokens,
                "surfaces": [
                    special_texts.get(token) or raw.decode("utf-8", errors="replace")
                    for token, raw in zip(tokens, raw_tokens, strict=True)
                ],
                "bytes": [raw.hex() for raw in raw_tokens],
            }
        )
        return
    table = new_table()
    add_number(table, "#")
    add_number(table, "id")
    add_text(table, "token")
    for position, (token, raw) in enumerate(zip(tokens, raw_tokens, strict=True)):
        table.add_row(str(position), str(token), format_token(raw, special_texts.get(token)))
    show(table)


def greedy(
    prompt: ChatPromptText = None,
    *,
    k: Annotated[int, typer.Option("-k", "--top-k", min=1, help="Number of tokens to show.")] = 10,
    chat_options: ChatOptions,
    as_json: AsJson = False,
    model_options: ModelOptions,
) -> None:
    """Show the most likely next tokens after a prompt."""
    arguments = chat_options.prompt_arguments(chat_options.read_prompt(prompt, "greedy"))
    chat_options.require_chat(model_options.template_argument)
    with model_options.open() as model:
        next_tokens = model.next_tokens(k=k, **arguments)
        special_texts = _special_texts(model)
    if as_json:
        rows = [
            {
                "token": token.token,
                "text": special_texts.get(token.token) or token.text,
                "bytes": token.raw.hex(),
                "logprob": to_json_number(token.logprob),
                "prob": math.exp(token.logprob),
            }
            for token in next_tokens
        ]
        show_json({"next_tokens": rows})
    else:
        _show_next_tokens(next_tokens, special_texts)


def _show_next_tokens(next_tokens: list[NextToken], special_texts: dict[int, str]) -> None:
    has_bars = not is_narrow()
    table = new_table()
    add_number(table, "#")
    add_text(table, "token")
    add_number(table, "id")
    add_number(table, "prob")
    if has_bars:
        table.add_column(style=BAR, no_wrap=True)
    add_number(table, "logprob")
    for rank, token in enumerate(next_tokens, start=1):
        prob = math.exp(token.logprob)
        table.add_row(
            str(rank),
            format_token(token.raw, special_texts.get(token.token)),
            str(token.token),
            format_probability(prob),
            *([format_bar(prob)] if has_bars else []),
            format_logprob(token.logprob),
        )
    show(table)


def _special_texts(model: Model) -> dict[int, str]:
    """Return the texts of special tokens: they have no bytes."""
    return {token.id: token.text for token in model.info.special_tokens}
