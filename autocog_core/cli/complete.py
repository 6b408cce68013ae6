"""`autocog complete`: continue a prompt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autocog_core.cli.constraint_options import ConstraintOptions
from autocog_core.cli.inputs import ChatOptions, has_escaped_newline
from autocog_core.cli.loading import ModelOptions
from autocog_core.cli.options import AsJson, ChatPromptText
from autocog_core.cli.output import escape_controls, format_logprob, show_json
from autocog_core.cli.session import session

if TYPE_CHECKING:
    from autocog_core.types.completion import Completion


def complete(
    prompt: ChatPromptText = None,
    *,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum number of tokens (default: 64)."),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="Stop before this text, without printing it. Repeatable."
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0, help="Sampling temperature; 0 takes the most likely token (default: 0)."
        ),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Sample only from the most likely tokens whose probabilities sum to this "
            "(default: 1, all tokens).",
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Sample only from this number of most likely tokens (default: 0, all tokens).",
        ),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Sample only from tokens with at least this fraction of the highest probability "
            "(default: 0, all tokens).",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Random seed of sampling (default: a new one)."),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", "-n", min=1, help="Number of completions (default: 1)."),
    ] = None,
    constraint_options: ConstraintOptions,
    chat_options: ChatOptions,
    as_json: AsJson = False,
    model_options: ModelOptions,
) -> None:
    """Continue a prompt, and print the text while the model writes it.

    The config file can set other defaults for a model.
    """
    if any(has_escaped_newline(text) for text in stop or ()):
        session.warn(r"--stop contains a backslash and an n, not a newline; in bash, write $'\n'")
    options: dict[str, Any] = {
        "max_tokens": max_tokens,
        "stop": stop or None,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "min_p": min_p,
        "seed": seed,
        "n": n,
    }
    # An option that is not set must not replace a default of the config file.
    arguments = {name: value for name, value in options.items() if value is not None}
    arguments |= constraint_options.arguments(is_stdin_used=prompt == "-")
    arguments |= chat_options.prompt_arguments(chat_options.read_prompt(prompt, "complete"))
    chat_options.require_chat(model_options.template_argument)
    with model_options.open() as model:
        if as_json:
            show_json(model.complete(**arguments).to_dict())
        elif model.defaults(**arguments).get("n", 1) > 1:
            _show_alternatives(model.complete(**arguments))
        else:
            completion = model.complete(on_text=_write, **arguments)
            _write("\n")
            session.info(_summary(completion))


def _write(text: str) -> None:
    # Text of a model must not send commands to the terminal. A file gets it unchanged.
    sys.stdout.write(escape_controls(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def _show_alternatives(completion: Completion) -> None:
    for position, alternative in enumerate((completion, *completion.alternatives), start=1):
        sys.stdout.write(f"--- {position}: {_summary(alternative)}\n")
        _write(f"{alternative.text}\n")


def _summary(completion: Completion) -> str:
    count = len(completion.tokens)
    text = f"{count} token{'' if count == 1 else 's'}, finish: {completion.finish_reason}"
    if completion.logprob is None:
        return text
    text = f"{text}, logprob {format_logprob(completion.logprob)}"
    if completion.constrained_logprob is None:
        return text
    return f"{text}, constrained_logprob {format_logprob(completion.constrained_logprob)}"
