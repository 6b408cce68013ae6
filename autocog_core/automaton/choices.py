"""Choices with a value, or with several texts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autocog_core.automaton.templates.template import Each, Template
from autocog_core.errors import InputError, shorten
from autocog_core.types.choice import Norm
from autocog_core.types.choice_value import Value, default_values, value_text


@dataclass(frozen=True, init=False)
class Choice:
    """A choice that is more than one text: it has a value, or several texts.

    :ivar texts: its texts, or templates of them. The probability of the choice is their sum.
    :ivar value: what fields hold: a text, a number or a boolean. None for the first text without
        the blanks around it.
    """

    texts: tuple[str | Template, ...]
    value: Value | None

    def __init__(
        self,
        text: str | Template | None = None,
        value: Value | None = None,
        *,
        texts: Sequence[str | Template] = (),
    ) -> None:
        """Create a choice from one `text`, or from several `texts`.

        :raises InputError: unless exactly one of them is given.
        """
        if (text is None) == (not texts) or isinstance(texts, str):
            raise InputError(
                "expected either `text` or a list of `texts`", where="Choice", hint="give one"
            )
        # Equal texts count once.
        all_texts = tuple(dict.fromkeys(texts)) if text is None else (text,)
        object.__setattr__(self, "texts", all_texts)
        object.__setattr__(self, "value", value)

    @property
    def is_plain_text(self) -> bool:
        """Whether it has one text and no value, as a string has."""
        return self.value is None and len(self.texts) == 1


@dataclass(frozen=True, slots=True)
class ChoiceTexts:
    """Choices as the texts that a model scores.

    :ivar texts: all texts, those of one choice one after the other.
    :ivar owners: for each text, the index of its choice.
    :ivar values: the value of each choice.
    """

    texts: tuple[str, ...]
    owners: tuple[int, ...]
    values: tuple[Value, ...]

    @classmethod
    def of(cls, choices: Sequence[str | Choice]) -> ChoiceTexts:
        """Return the texts and values of choices without errors and without templates."""
        groups = [texts_of(choice) for choice in choices]
        return cls(
            tuple(text for texts in groups for text in texts),
            tuple(index for index, texts in enumerate(groups) for _ in texts),
            values_of(choices),
        )

    @property
    def has_several(self) -> bool:
        """Whether a choice has several texts."""
        return len(self.texts) > len(self.values)


def texts_of(choice: object) -> tuple[str, ...]:
    """Return the texts of a choice that are known without inputs."""
    texts = choice.texts if isinstance(choice, Choice) else (choice,)
    return tuple(text for text in texts if isinstance(text, str))


def has_several_texts(choice: object) -> bool:
    """Return whether a choice, or each choice of a list, has several texts."""
    return isinstance(choice, Choice | Each) and len(choice.texts) > 1


def values_of(choices: Sequence[str | Choice]) -> tuple[Value, ...]:
    """Return the value of each choice without templates."""
    if all(isinstance(choice, str) for choice in choices):
        return default_values(choices)  # type: ignore[arg-type]
    own = [choice.value if isinstance(choice, Choice) else None for choice in choices]
    defaults = iter(
        default_values(
            [
                texts_of(choice)[0]
                for choice, value in zip(choices, own, strict=True)
                if value is None
            ]
        )
    )
    return tuple(next(defaults) if value is None else value for value in own)


def value_errors(choices: Sequence[object]) -> Iterator[tuple[int, str]]:
    """Yield the index of each choice whose value is wrong, and what is wrong.

    :param choices: texts and choices; others, such as templates, are left out.
    """
    known: list[tuple[int, str | Choice]] = []
    for index, choice in enumerate(choices):
        if isinstance(choice, Choice) and choice.value is not None:
            if message := _value_error(choice.value):
                yield index, message
            else:
                known.append((index, choice))
        else:
            first_text = choice.texts[0] if isinstance(choice, Choice) else choice
            if isinstance(first_text, str):
                known.append((index, first_text))
    if all(isinstance(choice, str) for _, choice in known):
        # Different texts have different values.
        return
    # Equal in Python (1 and true), or as text (1 and "1"): a table could not separate them.
    seen: dict[Value, int] = {}
    seen_as_text: dict[str, int] = {}
    values = values_of([choice for _, choice in known])
    for (index, _), value in zip(known, values, strict=True):
        text = value_text(value)
        first = seen.setdefault(value, index)
        first = seen_as_text.setdefault(text, index) if first == index else first
        if first != index:
            yield (
                index,
                f"has the value {shorten(text)!r}, as choices[{first}]: give another value, or "
                "one choice with several texts",
            )


def check_norm(norm: Norm, choices: ChoiceTexts) -> None:
    """Check that a norm ranks choices with several texts.

    :raises InputError: if it does not.
    """
    if norm != "sum" and choices.has_several:
        raise InputError(norm_error(norm), where="norm", hint='use the norm "sum"')


def norm_error(norm: str) -> str:
    """Return why a norm cannot rank choices with several texts."""
    return f'"{norm}" does not rank choices with several texts: probabilities add up, means do not'


def _value_error(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"has the value {value}, which JSON does not have: give another one"
    if isinstance(value, str | int | float):
        return ""
    return f"has a value of type {type(value).__name__}: give text, a number or a boolean"
