"""A question as both protocols ask it, and its options as texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["predicate", "choice", "score"]


@dataclass(frozen=True, slots=True)
class Option:
    """One of the answers that a question has.

    :ivar name: the text that the model would write.
    :ivar description: when it applies; empty if nothing is said.
    """

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a text.

    :ivar place: its place in the body, for errors: "questions.team".
    :ivar kind: what is asked: whether something is true, which option applies, or which level.
    :ivar instructions: what to decide; empty if nothing is said.
    :ivar options: the answers, at least one, with different names. For a predicate: yes and no.
    """

    place: str
    kind: Kind
    instructions: str
    options: tuple[Option, ...]


def as_text(value: Any) -> str:
    """Return data of a request as text: objects and lists as JSON, null as no text.

    :param value: a text, an object, a list, or None.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def predicate_options(yes: str = "", no: str = "") -> tuple[Option, ...]:
    """Return the options of a predicate.

    :param yes: what counts as yes.
    :param no: what counts as no.
    """
    return Option("Yes", yes), Option("No", no)


def level_options(levels: Sequence[Any], descriptions: Sequence[str] = ()) -> tuple[Option, ...]:
    """Return the options of a score.

    A level's name is its text. If a level has no text of its own, all levels are numbered from 0,
    and what they are is their description: the model then answers with a number.

    :param levels: the levels, lowest first: texts, objects or lists.
    :param descriptions: what is said about each level beside it.
    """
    said = list(descriptions) or [""] * len(levels)
    names = [level for level in levels if isinstance(level, str) and level.strip()]
    if len(set(names)) == len(levels):
        return tuple(map(Option, names, said))
    texts = [
        ": ".join(filter(None, (as_text(level), text)))
        for level, text in zip(levels, said, strict=True)
    ]
    return tuple(Option(str(number), text) for number, text in enumerate(texts))
