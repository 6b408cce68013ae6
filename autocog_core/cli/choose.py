"""`autocog choose`: score strings that continue a prompt."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from autocog_core.cli.choice_table import show_scores
from autocog_core.cli.inputs import (
    escaped_newline,
    glued,
    prompt_arguments,
    read_lines,
    read_prompt,
)
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
from autocog_core.cli.output import show_json
from autocog_core.cli.session import session
from autocog_core.errors import InputError
from autocog_core.types.choice import EOS, ChoiceScores, EndOfSequence


class NormName(StrEnum):
    """The norms by name."""

    SUM = "sum"
    MEAN = "mean"
    PER_BYTE = "per_byte"
    PMI = "pmi"


class BoundaryName(StrEnum):
    """What happens where the end of the prompt would be spelled anew."""

    HEAL = "heal"
    STRICT = "strict"


def choose(
    prompt: PromptText,
    choice: Annotated[
        list[str] | None,
        typer.Option("--choice", "-c", metavar="TEXT", help="A choice; repeatable."),
    ] = None,
    choices_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="More choices, one a line (empty lines are skipped)."),
    ] = None,
    separator: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help='Put between prompt and choice: mostly " ".', show_default=False
        ),
    ] = "",
    norm: Annotated[NormName, typer.Option(help="What ranks the choices.")] = NormName.SUM,
    suffix: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Text that must follow the choice.")
    ] = None,
    suffix_eos: Annotated[
        bool, typer.Option("--suffix-eos", help="The model must end after the choice.")
    ] = False,
    boundary: Annotated[
        BoundaryName, typer.Option(help="Re-spell the end of the prompt, or refuse to.")
    ] = BoundaryName.HEAL,
    unconditional_prompt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="For --norm pmi: compare with the choices after this."),
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
    """Score strings that continue a prompt, exactly."""
    text = read_prompt(prompt)
    choices = [*(choice or ()), *(read_lines(choices_file) if choices_file else ())]
    _check(choices, separator, norm, suffix, suffix_eos, unconditional_prompt)
    arguments = prompt_arguments(text, chat, system)
    # Only where the choices follow the prompt itself: a chat template ends it differently.
    if "prompt" in arguments:
        _warn_of_glued(text, [separator + one for one in choices])
    with open_model(model, config, backend, option) as opened:
        scores = opened.choose(
            choices=[separator + one for one in choices],
            norm=norm.value,
            suffix=_suffix(suffix, suffix_eos),
            boundary=boundary.value,
            unconditional_prompt=unconditional_prompt,
            **arguments,
        )
    scores = _as_given(scores, choices)
    if as_json:
        show_json(scores.to_dict())
    else:
        show_scores(scores)


def _check(
    choices: list[str],
    separator: str,
    norm: NormName,
    suffix: str | None,
    suffix_eos: bool,
    unconditional_prompt: str | None,
) -> None:
    """What can be said before a model is loaded, which may take long."""
    if not choices:
        raise InputError(
            "there are none",
            where="choices",
            hint="give --choice TEXT once for each, or --choices-file FILE",
        )
    if separator and "" in choices:
        # With the separator before it, it would no longer be empty for the model.
        raise InputError("is empty", where=f"choice {choices.index('')}")
    if suffix is not None and suffix_eos:
        raise InputError("give either --suffix or --suffix-eos", where="suffix")
    if unconditional_prompt is not None and norm is not NormName.PMI:
        raise InputError("goes with --norm pmi", where="--unconditional-prompt")
    if escaped_newline(separator + (suffix or "")):
        session.warn(r"a backslash and an n are not a newline; bash writes one as $'\n'")


def _suffix(suffix: str | None, suffix_eos: bool) -> str | EndOfSequence | None:
    return EOS if suffix_eos else suffix


def _as_given(scores: ChoiceScores, choices: list[str]) -> ChoiceScores:
    """The scores under the choices' own texts, without the separator."""
    own = tuple(
        replace(score, choice=choice) for score, choice in zip(scores.scores, choices, strict=True)
    )
    return replace(scores, scores=own)


def _warn_of_glued(prompt: str, choices: list[str]) -> None:
    found = glued(prompt, choices)
    if found:
        word = prompt.split()[-1][-20:]
        which = (
            f"choice {found[0]!r} is"
            if len(found) == 1
            else f"{len(found)} choices, {found[0]!r} first, are"
        )
        session.warn(
            f"{which} glued to the prompt's last word: "
            f'"{word}{found[0][:20]}"; if that is not meant, add --separator " "'
        )
