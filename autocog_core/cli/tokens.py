"""`autocog tokenize` and `autocog greedy`: tokens of a text, and the likeliest next ones."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from autocog_core.cli.inputs import messages_of, prompt_arguments, read_prompt
from autocog_core.cli.loading import open_model
from autocog_core.cli.options import (
    AsJson,
    BackendName,
    BackendOption,
    Chat,
    ConfigFile,
    Debug,
    ModelName,
    PromptText,
    Quiet,
    System,
)
from autocog_core.cli.output import (
    add_number,
    add_text,
    bar,
    is_narrow,
    new_table,
    number,
    probability,
    show,
    show_json,
    surface,
)
from autocog_core.errors import InputError
from autocog_core.model.model import Model
from autocog_core.numerics import to_json_number
from autocog_core.types.prompt import TextPiece


def tokenize(
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="The text; - reads standard input."),
    ],
    special: Annotated[
        bool, typer.Option("--special", help="Parse special tokens: only for text you trust.")
    ] = False,
    continues: Annotated[
        bool, typer.Option("--continue", help="The text continues other text.")
    ] = False,
    with_bos: Annotated[
        bool, typer.Option("--bos", help="What the model is given: with BOS, where it has one.")
    ] = False,
    chat: Chat = False,
    system: System = None,
    as_json: AsJson = False,
    model: ModelName = None,
    config: ConfigFile = None,
    backend: BackendName = None,
    option: BackendOption = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show the tokens of a text: ids and surfaces."""
    chat = chat or system is not None
    if continues and (with_bos or chat):
        raise InputError("does not go with --bos or --chat", where="--continue")
    text = read_prompt(text)
    with open_model(model, config, backend, option) as opened:
        if chat:
            tokens = opened.encode(opened.chat_prompt(messages_of(text, system)))
        elif with_bos:
            tokens = opened.encode(TextPiece(text, trusted=special))
        else:
            tokens = opened.tokenize(text, at_start=not continues, parse_special=special)
        raws = [opened.detokenize_bytes([token]) for token in tokens]
        specials = _special_texts(opened)
    if as_json:
        show_json(
            {
                "tokens": tokens,
                "surfaces": [
                    specials.get(token) or raw.decode("utf-8", errors="replace")
                    for token, raw in zip(tokens, raws, strict=True)
                ],
                "bytes": [raw.hex() for raw in raws],
            }
        )
        return
    table = new_table()
    add_number(table, "#")
    add_number(table, "id")
    add_text(table, "surface")
    for position, (token, raw) in enumerate(zip(tokens, raws, strict=True)):
        table.add_row(str(position), str(token), surface(raw, specials.get(token)))
    show(table)


def greedy(
    prompt: PromptText,
    k: Annotated[int, typer.Option("-k", "--top-k", min=1, help="How many tokens.")] = 10,
    chat: Chat = False,
    system: System = None,
    as_json: AsJson = False,
    model: ModelName = None,
    config: ConfigFile = None,
    backend: BackendName = None,
    option: BackendOption = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show the likeliest next tokens after a prompt."""
    arguments = prompt_arguments(read_prompt(prompt), chat, system)
    with open_model(model, config, backend, option) as opened:
        likeliest = opened.next_tokens(k=k, **arguments)
        specials = _special_texts(opened)
    if as_json:
        rows = [
            {
                "token": following.token,
                "text": specials.get(following.token) or following.text,
                "bytes": following.raw.hex(),
                "logprob": to_json_number(following.logprob),
                "prob": math.exp(following.logprob),
            }
            for following in likeliest
        ]
        show_json({"next_tokens": rows})
        return
    bars = not is_narrow()
    table = new_table()
    add_number(table, "#")
    add_text(table, "token")
    add_number(table, "id")
    add_number(table, "prob")
    if bars:
        table.add_column(style="cyan", no_wrap=True)
    add_number(table, "logprob")
    for rank, following in enumerate(likeliest, start=1):
        prob = math.exp(following.logprob)
        table.add_row(
            str(rank),
            surface(following.raw, specials.get(following.token)),
            str(following.token),
            probability(prob),
            *([bar(prob)] if bars else []),
            number(following.logprob),
        )
    show(table)


def _special_texts(model: Model) -> dict[int, str]:
    """Special tokens have no bytes: they are shown by name."""
    return {token.id: token.text for token in model.info.special_tokens}
