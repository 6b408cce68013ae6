"""The choices of a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from autocog_core.automaton.choices import Choice
from autocog_core.config.server_config import ServerLimits
from autocog_core.model.choice_arguments import ChoiceLike
from autocog_core.server.request_body import Body, kind_of
from autocog_core.server.request_errors import RequestError
from autocog_core.server.whole_numbers import MAX_INTEGER

#: Entries of a list of choices; the limits of the server are checked later.
MAX_LISTED = 1_000_000

ValueBody = str | bool | Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)] | float


def _require_value(value: Any) -> Any:
    # One error, and not one for each type.
    if value is not None and not isinstance(value, str | bool | int | float):
        raise PydanticCustomError("value", "expected a text, a number, true or false")
    return value


class ChoiceBody(Body):
    """A choice with a value, or with several texts."""

    text: str | None = Field(None, description="Its text.", examples=[" yes"])
    texts: list[str] | None = Field(
        None,
        min_length=1,
        description="Its texts, in place of `text`: its probability is their sum.",
    )
    value: Annotated[ValueBody | None, BeforeValidator(_require_value)] = Field(
        None, description="What the answer has as its value. Default: the first text."
    )

    @model_validator(mode="after")
    def _require_text(self) -> Self:
        if (self.text is None) == (self.texts is None):
            raise PydanticCustomError("one_of", "give either text or texts")
        return self

    def to_choice(self) -> Choice:
        """Return the choice as the calls of a model take it."""
        return Choice(self.text, self.value, texts=self.texts or ())


AnyChoice = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[ChoiceBody, Tag("<object>")], Discriminator(kind_of)
]
ChoicesBody = Annotated[
    list[
        Annotated[
            Annotated[str, Tag("<text>")]
            | Annotated[ChoiceBody, Tag("<object>")]
            | Annotated[list[AnyChoice], Field(fail_fast=True, min_length=1), Tag("<list>")],
            Discriminator(kind_of),
        ]
    ],
    Field(fail_fast=True, min_length=1, max_length=MAX_LISTED),
]


def choices_of_prompts(
    choices: ChoicesBody, count: int, limits: ServerLimits
) -> Sequence[Sequence[ChoiceLike]]:
    """Return the choices of each prompt.

    :param choices: one list for all prompts, or one list a prompt.
    :param count: the number of prompts.
    :param limits: how many choices there may be.
    :raises RequestError: for another number of lists, or too many choices.
    """
    plain = [entry for entry in choices if not isinstance(entry, list)]
    lists = [entry for entry in choices if isinstance(entry, list)] or [plain]
    if lists != [plain] and (plain or len(lists) != count):
        listed = f"{len(lists)} lists of choices" + (" and single choices" if plain else "")
        raise RequestError(
            f"{listed} for {count} prompts; give one list for all prompts, or one list a prompt",
            parameter="choices",
        )
    sizes = [sum(map(_text_count, entries)) for entries in lists]
    if (size := max(sizes)) > limits.options:
        raise _too_many(f"{size:,} texts of one prompt", limits.options)
    if (total := sum(sizes) * (count // len(lists))) > limits.choices:
        raise _too_many(f"{total:,} texts of all prompts together", limits.choices)
    converted = [[_as_choice(entry) for entry in entries] for entries in lists]
    return converted * (count // len(lists))


def _too_many(what: str, limit: int) -> RequestError:
    return RequestError(f"{what}; this server takes {limit:,}", parameter="choices")


def _text_count(choice: str | ChoiceBody) -> int:
    return len(choice.texts) if isinstance(choice, ChoiceBody) and choice.texts else 1


def _as_choice(choice: str | ChoiceBody) -> ChoiceLike:
    return choice if isinstance(choice, str) else choice.to_choice()
