"""From the arguments of `choose` and `choose_many` to requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from autocog_core.errors import InputError
from autocog_core.types.choice import ChoiceRequest, EndOfSequence, Norm
from autocog_core.types.prompt import Prompt, PromptLike


def make_choice_request(
    prompt: Prompt,
    choices: Sequence[str],
    *,
    norm: Norm,
    suffix: str | EndOfSequence | None,
    boundary: Literal["heal", "strict"],
    method: str | None,
    unconditional_prompt: str | None,
) -> ChoiceRequest:
    """Return the request of one `choose`; see there for the arguments.

    :raises InputError: for an unknown boundary, or choices that are not a list.
    """
    if boundary not in ("heal", "strict"):
        raise InputError(f"{boundary!r}", where="boundary", hint='give "heal" or "strict"')
    return ChoiceRequest(
        prompt=prompt,
        choices=_as_tuple(choices),
        norm=norm,
        suffix=suffix or None,
        boundary=boundary,
        method=method,
        unconditional_prompt=unconditional_prompt,
    )


def require_list(prompts: Sequence[PromptLike]) -> list[PromptLike]:
    """Return the prompts as a list.

    :raises InputError: if it is one prompt.
    """
    if isinstance(prompts, str | Prompt):
        raise InputError("got one prompt", where="prompts", hint="give a list of prompts")
    return list(prompts)


def choices_per_prompt(
    prompts: Sequence[PromptLike], choices: Sequence[str] | Sequence[Sequence[str]]
) -> list[Sequence[str]]:
    """Return the choices of each prompt.

    :param choices: one list for all prompts, or one list a prompt.
    :raises InputError: if the number of lists is not that of prompts, or a string is given.
    """
    choices = _as_tuple(choices)
    lists = [choice for choice in choices if not isinstance(choice, str)]
    if not lists:
        return [[choice for choice in choices if isinstance(choice, str)]] * len(prompts)
    if len(lists) != len(choices) or len(lists) != len(prompts):
        raise InputError(
            f"{len(choices)} for {len(prompts)} prompts",
            where="choices",
            hint="give one list for all prompts, or one list a prompt",
        )
    return lists


def _as_tuple(choices: Any) -> tuple[Any, ...]:
    if isinstance(choices, str) or not isinstance(choices, Iterable):
        got = "one string" if isinstance(choices, str) else type(choices).__name__
        raise InputError(f"got {got}", where="choices", hint="give a list of strings")
    return tuple(choices)
