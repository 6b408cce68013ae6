"""`autocog choose`: score texts as continuations of a prompt."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from autocog_core.advice.codes import WarningCode
from autocog_core.cli.choice_table import show_scores
from autocog_core.cli.inputs import ChatOptions, has_escaped_newline, read_lines
from autocog_core.cli.loading import ModelOptions
from autocog_core.cli.options import AsJson, ChatPromptText
from autocog_core.cli.output import show_json
from autocog_core.cli.session import session
from autocog_core.cli.top_table import show_top_choices
from autocog_core.errors import InputError, UsageError
from autocog_core.types.choice import EOS, ChoiceScores, Norm
from autocog_core.types.top_choices import TopChoices

_HINT = 'to separate them, add --separator " "'


class BoundaryName(StrEnum):
    """What happens if a choice changes the last tokens of the prompt."""

    HEAL = "heal"
    STRICT = "strict"


def choose(
    prompt: ChatPromptText = None,
    *,
    choices: Annotated[
        list[str] | None,
        typer.Option("--choice", "-c", metavar="TEXT", help="Text to score. Repeatable."),
    ] = None,
    choices_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with more choices, one per line; empty lines are skipped. - reads standard "
            "input.",
        ),
    ] = None,
    separator: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help='Text between prompt and choice, for example " " (default: none).'
        ),
    ] = "",
    norm: Annotated[
        Norm,
        typer.Option(
            help="Rank choices by log-probability: of the whole choice (sum), per token (mean), "
            "per byte (per_byte), or as the gain over --unconditional-prompt (pmi)."
        ),
    ] = "sum",
    suffix: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Text after every choice; its log-probability counts too."
        ),
    ] = None,
    suffix_eos: Annotated[
        bool,
        typer.Option(
            "--suffix-eos", help="Put the end of the text (EOS) after every choice; it counts too."
        ),
    ] = False,
    boundary: Annotated[
        BoundaryName,
        typer.Option(
            help="If a choice changes the last tokens of the prompt: score them with the choice "
            "(heal), or fail (strict)."
        ),
    ] = BoundaryName.HEAL,
    unconditional_prompt: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Prompt for the comparison of --norm pmi (default: the BOS token alone).",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Print only so many of the best choices, and read only the part of the choices' "
            "token tree that proves them. Scores are exact; the probability is known within an "
            "interval.",
        ),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="With --top, read on until the interval of each probability is this narrow.",
        ),
    ] = None,
    at_least: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="With --top, read on until it is certain whether the best choice has at least "
            "this probability.",
        ),
    ] = None,
    show_all: Annotated[
        bool,
        typer.Option(
            "--all",
            help="On a terminal, show every choice, in the order given (default: of more than 10, "
            "the best 10).",
        ),
    ] = False,
    chat_options: ChatOptions,
    as_json: AsJson = False,
    model_options: ModelOptions,
) -> None:
    """Score texts as continuations of a prompt, and pick the best.

    Example: autocog choose "The capital of France is" -c " Paris" -c " Rome"
    """
    text = chat_options.read_prompt(prompt, "choose")
    chat_options.require_chat(model_options.template_argument)
    choices = [*(choices or ()), *(read_lines(choices_file) if choices_file else ())]
    # Loading a model may take long, so all errors that need no model come before.
    _check_choices(choices, separator)
    if suffix is not None and suffix_eos:
        raise InputError(
            "cannot be combined with --suffix-eos", where="--suffix", hint="leave one out"
        )
    if unconditional_prompt is not None and norm != "pmi":
        raise InputError("requires --norm pmi", where="--unconditional-prompt")
    if top is None:
        for option, value in (("--within", within), ("--at-least", at_least)):
            if value is not None:
                raise UsageError("requires --top", where=option)
    if has_escaped_newline(separator + (suffix or "")):
        session.warn(
            "--separator or --suffix contains a backslash and an n, not a newline; "
            r"in bash, write $'\n'"
        )
    full_choices = [separator + choice for choice in choices]
    session.warning_hints = {
        WarningCode.CHOICE_JOINS_WORD: _HINT,
        WarningCode.CHOICE_WITHOUT_BLANK: _HINT,
    }
    arguments: dict[str, Any] = {
        "choices": full_choices,
        "norm": norm,
        "suffix": EOS if suffix_eos else suffix,
        "boundary": boundary.value,
        "unconditional_prompt": unconditional_prompt,
    }
    with model_options.open() as model:
        arguments |= chat_options.prompt_arguments(text)
        if top is not None:
            best = model.choose(**arguments, top=top, within=within, at_least=at_least)
            _show_best(best, choices, as_json)
            return
        scores = model.choose(**arguments)
    scores = _without_separator(scores, choices)
    if as_json:
        show_json(scores.to_dict())
    else:
        # A file or another program gets everything.
        show_scores(scores, show_all=show_all or not sys.stdout.isatty())


def _show_best(best: TopChoices, choices: list[str], as_json: bool) -> None:
    """Print the best choices as the user wrote them."""
    top = tuple(replace(choice, choice=choices[choice.index]) for choice in best.top)
    best = replace(best, top=top)
    if as_json:
        show_json(best.to_dict())
    else:
        show_top_choices(best)


def _check_choices(choices: list[str], separator: str) -> None:
    if not choices:
        raise InputError(
            "there are none",
            where="choices",
            hint="give --choice TEXT once per choice, or --choices-file FILE",
        )
    if separator and "" in choices:
        # The model would not notice: with the separator, the choice is not empty.
        raise InputError("is empty", where=f"choice {choices.index('')}")


def _without_separator(scores: ChoiceScores, choices: list[str]) -> ChoiceScores:
    """Return the scores with the choices as the user wrote them."""
    pairs = zip(scores.scores, choices, strict=True)
    return replace(scores, scores=tuple(replace(score, choice=choice) for score, choice in pairs))
