"""`autocog complete`: continue a prompt."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from autocog_core.cli.inputs import escaped_newline, prompt_arguments, read_prompt
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
from autocog_core.cli.output import number, printable, show_json
from autocog_core.cli.session import session
from autocog_core.types.completion import Completion


def complete(
    prompt: PromptText,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="How many tokens at most.", show_default=False)
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Text that ends it; repeatable.", show_default=False),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, help="0 is greedy; above, sample.", show_default=False),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Keep the fewest tokens with this probability.", show_default=False
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(min=0, help="Keep so many tokens; 0 keeps all.", show_default=False),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Drop tokens below this share of the likeliest.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Of the random numbers.", show_default=False),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", "-n", min=1, help="How many alternatives.", show_default=False),
    ] = None,
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
    """Continue a prompt; the text is printed as it is generated."""
    if any(escaped_newline(text) for text in stop or ()):
        session.warn(r"--stop has a backslash and an n, not a newline; bash writes one as $'\n'")
    given: dict[str, Any] = {
        "max_tokens": max_tokens,
        "stop": stop or None,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "min_p": min_p,
        "seed": seed,
        "n": n,
    }
    # What is not given stays out, so that the defaults of the config count.
    arguments = {name: value for name, value in given.items() if value is not None}
    arguments |= prompt_arguments(read_prompt(prompt), chat, system)
    with open_model(model, config, backend, option) as opened:
        if as_json:
            show_json(opened.complete(**arguments).to_dict())
        elif opened.defaults(**arguments).get("n", 1) > 1:
            _show_alternatives(opened.complete(**arguments))
        else:
            completion = opened.complete(on_text=_write, **arguments)
            sys.stdout.write("\n")
            session.note(_summary(completion))


def _write(piece: str) -> None:
    # A model must not command the terminal; a file gets what the model wrote.
    sys.stdout.write(printable(piece) if sys.stdout.isatty() else piece)
    sys.stdout.flush()


def _show_alternatives(completion: Completion) -> None:
    for position, one in enumerate((completion, *completion.alternatives), start=1):
        sys.stdout.write(f"--- {position}: {_summary(one)}\n")
        _write(f"{one.text}\n")


def _summary(completion: Completion) -> str:
    size = len(completion.tokens)
    text = f"{size} token{'' if size == 1 else 's'}, finish: {completion.finish_reason}"
    return text if completion.logprob is None else f"{text}, logprob {number(completion.logprob)}"
