"""Where a text meets what follows it: a choice, or a completion."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from autocog_core.advice.codes import WarningCode
from autocog_core.errors import shorten

#: A code, and the message of the warning.
Problem = tuple[WarningCode, str]

_BLANKS = " \t"
_MAX_SHOWN_CHARACTERS = 20


def choice_problems(before: str, choices: Sequence[str]) -> Iterator[Problem]:
    """Yield what is probably wrong with choices after a text, each kind once.

    Of a template, its source is enough: its braces are neither blanks nor letters.

    :param before: the text before the choices, or its end; empty if it is not known.
    :param choices: their texts.
    """
    kinds = _find_kinds(tuple(choices))
    if blank := kinds.ends_in_blank:
        yield (
            WarningCode.CHOICE_ENDS_IN_BLANK,
            f"choice {_shown(blank)} ends in a blank, whose probability counts too: remove it",
        )
    if not before:
        return
    if before[-1] == "\n" or before[-1] in _BLANKS:
        if blank := kinds.begins_with_blank:
            name = "newline" if before[-1] == "\n" else "blank"
            yield (
                WarningCode.CHOICE_AFTER_BLANK,
                f"the text before choice {_shown(blank)} ends in a {name} already: "
                + _how_to_remove(name),
            )
    elif joined := kinds.continues_word if _is_in_word(before[-1:]) else "":
        word = before.split()[-1][-_MAX_SHOWN_CHARACTERS:] + joined[:_MAX_SHOWN_CHARACTERS]
        yield (
            WarningCode.CHOICE_JOINS_WORD,
            f'choice {_shown(joined)} continues the last word of the text before it, "{word}": '
            "begin the choice with a blank",
        )
    elif _is_label(before) and (word := kinds.begins_with_letter):
        yield without_blank(before, word)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kinds:
    """The first choice of each kind that may be wrong; empty if there is none."""

    ends_in_blank: str
    begins_with_blank: str
    continues_word: str
    begins_with_letter: str


# Rows of a data set often have the same choices, and thousands of them take long.
@lru_cache(maxsize=32)
def _find_kinds(choices: tuple[str, ...]) -> _Kinds:
    texts = [choice for choice in choices if not choice.isspace()]
    return _Kinds(
        ends_in_blank=_first(texts, lambda choice: choice[-1:] in _BLANKS),
        begins_with_blank=_first(texts, lambda choice: choice[:1] in _BLANKS),
        continues_word=_first(choices, is_word_start),
        begins_with_letter=_first(choices, lambda choice: _is_letter(choice[:1])),
    )


def completion_problems(before: str) -> Iterator[Problem]:
    """Yield what is probably wrong with the end of a text that a model continues.

    :param before: the text, or its end; empty if it is not known.
    """
    if before[-1:] and before[-1] in _BLANKS:
        yield (
            WarningCode.TEXT_ENDS_IN_BLANK,
            "the text before the completion ends in a blank: remove it, because most tokens begin "
            "with one",
        )
    elif _is_label_with_newline(before):
        yield _newline_problem(before)


def without_blank(before: str, choice: str) -> Problem:
    """Return the problem of a choice that lacks the blank at its beginning."""
    return (
        WarningCode.CHOICE_WITHOUT_BLANK,
        f"choice {_shown(choice)} follows {shorten(repr(before[-_MAX_SHOWN_CHARACTERS:]))} without "
        "a blank: begin the choice with one",
    )


def continues_word(before: str, choice: str) -> bool:
    """Return whether `choice` continues the last word of a text, which is mostly a mistake."""
    return _is_in_word(before[-1:]) and _is_in_word(choice[:1])


def is_word_start(choice: str) -> bool:
    """Return whether a choice begins with a letter or digit of a script with blanks."""
    return _is_in_word(choice[:1])


def _is_in_word(character: str) -> bool:
    # Chinese, Japanese and Korean characters are letters too, but have no spaces between words.
    return character.isalnum() and unicodedata.east_asian_width(character) not in ("W", "F")


def _is_letter(character: str) -> bool:
    return character.isalpha() and _is_in_word(character)


def _is_label(before: str) -> bool:
    """Return whether a text ends in a word with a colon: "Answer:"."""
    return before[-1:] == ":" and _is_letter(before[-2:-1])


def _is_label_with_newline(before: str) -> bool:
    """Return whether a text ends in a label and one newline, and the label is no heading."""
    if before[-1:] != "\n" or not _is_label(before[:-1]):
        return False
    return not before[:-1].rpartition("\n")[2].lstrip().startswith("#")


def _newline_problem(before: str) -> Problem:
    label = before[:-1].rpartition("\n")[2][-_MAX_SHOWN_CHARACTERS:]
    return (
        WarningCode.TEXT_ENDS_IN_NEWLINE,
        f'the text ends in a newline after "{label}": ' + _how_to_remove("newline"),
    )


def _how_to_remove(name: str) -> str:
    if name == "newline":
        return "remove the newline; in YAML, begin the block with |- instead of |"
    return "remove one of the two blanks"


def _first(choices: Sequence[str], is_wrong: Callable[[str], bool]) -> str:
    """Return the first choice that is wrong; empty if there is none."""
    return next((choice for choice in choices if choice and is_wrong(choice)), "")


def _shown(choice: str) -> str:
    return shorten(repr(choice))
