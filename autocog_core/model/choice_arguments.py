"""Arguments of `Model.choose` and `choose_many`, as their users give them, made into requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from autocog_core.errors import InputError
from autocog_core.types.choice import ChoiceRequest, EndOfSequence, Norm
from autocog_core.types.prompt import Prompt, PromptLike


def choice_request(
    prompt: Prompt,
    choices: Sequence[str],
    norm: Norm,
    suffix: str | EndOfSequence | None,
    boundary: Literal["heal", "strict"],
    method: str | None,
    unconditional_prompt: str | None,
) -> ChoiceRequest:
    """One request; see `Model.choose`.

    :raises InputError: for an unknown boundary, or choices that are no list.
    """
    if boundary not in ("heal", "strict"):
        raise InputError(f"{boundary!r}", where="boundary", hint='give "heal" or "strict"')
    return ChoiceRequest(
        prompt, _listed(choices), norm, suffix or None, boundary, method, unconditional_prompt
    )


def several(prompts: Sequence[PromptLike]) -> list[PromptLike]:
    """Prompts as a list.

    :raises InputError: if it is one prompt.
    """
    if isinstance(prompts, str | Prompt):
        raise InputError("got one prompt", where="prompts", hint="give a list of prompts")
    return list(prompts)


def _listed(choices: Any) -> tuple[Any, ...]:
    if isinstance(choices, str) or not isinstance(choices, Iterable):
        what = "one string" if isinstance(choices, str) else type(choices).__name__
        raise InputError(f"got {what}", where="choices", hint="give a list of strings")
    return tuple(choices)


def choices_per_prompt(
    prompts: Sequence[PromptLike], choices: Sequence[str] | Sequence[Sequence[str]]
) -> list[Sequence[str]]:
    """The choices of each prompt, given for all of them, or for each.

    :raises InputError: if there are not as many as prompts, or one string is given.
    """
    choices = _listed(choices)
    own = [choice for choice in choices if not isinstance(choice, str)]
    if not own:
        return [[choice for choice in choices if isinstance(choice, str)]] * len(prompts)
    if len(own) != len(choices) or len(own) != len(prompts):
        raise InputError(
            f"{len(choices)} for {len(prompts)} prompts",
            where="choices",
            hint="give one list for all prompts, or one list a prompt",
        )
    return own
