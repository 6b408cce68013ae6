"""From the arguments of `choose` and `choose_many` to requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from autocog_core.automaton.choices import Choice, ChoiceTexts, check_norm, value_errors
from autocog_core.errors import InputError
from autocog_core.scoring.choice_encoding import check_choice_text
from autocog_core.types.choice import ChoiceRequest, EndOfSequence, Norm
from autocog_core.types.choice_value import default_value, default_values
from autocog_core.types.prompt import Prompt, PromptLike

#: What `choose` scores: a text, or a choice with a value or several texts.
ChoiceLike = str | Choice


def make_choice_request(
    prompt: Prompt,
    choices: Sequence[ChoiceLike],
    *,
    norm: Norm,
    suffix: str | EndOfSequence | None,
    boundary: Literal["heal", "strict"],
    method: str | None,
    unconditional_prompt: str | None,
    isolate: bool = False,
) -> tuple[ChoiceRequest, ChoiceTexts | None]:
    """Return the request of one `choose`; see there for the arguments.

    :returns: the request for all texts, and how they make the choices; None if each choice is one
        text with the default value.
    :raises InputError: for an unknown boundary, or choices that are not a list; for choices whose
        texts or values are wrong, if one of them is a `Choice`.
    """
    if boundary not in ("heal", "strict"):
        raise InputError(f"{boundary!r}", where="boundary", hint='give "heal" or "strict"')
    as_tuple = _as_tuple(choices)
    texts = _choice_texts(as_tuple)
    if texts is not None:
        check_norm(norm, texts)
    request = ChoiceRequest(
        prompt=prompt,
        choices=as_tuple if texts is None else texts.texts,
        norm=norm,
        suffix=suffix or None,
        boundary=boundary,
        method=method,
        unconditional_prompt=unconditional_prompt,
        isolate=isolate,
    )
    return request, texts


def _choice_texts(choices: tuple[Any, ...]) -> ChoiceTexts | None:
    """Return the texts and values of choices; None if all are texts with the default value."""
    if set(map(type, choices)) == {str}:
        # `strip` is what `default_value` does to texts that are not blank.
        values = set(map(str.strip, choices))
        if len(values) == len(choices) and "" not in values:
            return None
    if any(isinstance(choice, Choice) for choice in choices):
        _check_parts(choices)
        return ChoiceTexts.of(choices)
    if not all(isinstance(choice, str) for choice in choices):
        # The check of the request names the one.
        return None
    if len(set(map(default_value, choices))) == len(choices):
        return None
    return ChoiceTexts(choices, tuple(range(len(choices))), default_values(choices))


def _check_parts(choices: tuple[Any, ...]) -> None:
    """Check the texts and values of choices, of which one is a `Choice`.

    :raises InputError: naming the choice.
    """
    seen: dict[str, int] = {}
    for index, choice in enumerate(choices):
        where = f"choice {index}"
        for text in choice.texts if isinstance(choice, Choice) else (choice,):
            check_choice_text(text, where)
            first = seen.setdefault(str(text), index)
            if first != index:
                message = f"{text!r} was given before, as choice {first}"
                raise InputError(message, where=where, hint="remove one of them")
    for index, message in value_errors(choices):
        raise InputError(message, where=f"choice {index}")


def require_list(prompts: Sequence[PromptLike]) -> list[PromptLike]:
    """Return the prompts as a list.

    :raises InputError: if it is one prompt.
    """
    if isinstance(prompts, str | Prompt):
        raise InputError("got one prompt", where="prompts", hint="give a list of prompts")
    return list(prompts)


def choices_per_prompt(
    prompts: Sequence[PromptLike], choices: Sequence[ChoiceLike] | Sequence[Sequence[ChoiceLike]]
) -> list[Sequence[ChoiceLike]]:
    """Return the choices of each prompt.

    :param choices: one list for all prompts, or one list a prompt.
    :raises InputError: if the number of lists is not that of prompts, or a string is given.
    """
    choices = _as_tuple(choices)
    if set(map(type, choices)) == {str}:
        return [choices] * len(prompts)
    lists = [choice for choice in choices if not isinstance(choice, ChoiceLike)]
    if not lists:
        return [[choice for choice in choices if isinstance(choice, ChoiceLike)]] * len(prompts)
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
