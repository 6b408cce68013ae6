"""Checks of token sets: valid texts, and valid patterns of bounded size."""

from __future__ import annotations

import re
from collections.abc import Iterator

from autocog_core.automaton.token_sets import (
    Complement,
    Difference,
    Intersect,
    Regex,
    Strings,
    Tokens,
    Union,
    Vocabulary,
)
from autocog_core.errors import shorten

#: Characters of all patterns together with their repetitions written out, because compiling takes
#: memory in proportion. Each pattern counts `_COST_PER_PATTERN` extra.
MAX_PATTERN_SIZE = 100_000
_COST_PER_PATTERN = 100

#: The parts of a pattern: an escape, a character class, a repetition, or any other character.
_PATTERN_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]?|\{(\d*),?(\d*)\}|.", re.DOTALL)


class TokenSetChecks:
    """The checks of one automaton's token sets. Each set is checked only once."""

    def __init__(self) -> None:
        self._checked: set[bytes] = set()
        self._size_left = MAX_PATTERN_SIZE

    def errors(self, vocabulary: Vocabulary) -> Iterator[str]:
        """Yield a message for each error in a set and its operands."""
        stack = [vocabulary]
        while stack:
            current = stack.pop()
            if current.digest in self._checked:
                continue
            self._checked.add(current.digest)
            match current:
                case Union(operands) | Intersect(operands):
                    stack += reversed(operands)
                case Difference(first, second):
                    stack += [second, first]
                case Complement(operand):
                    stack.append(operand)
                case Tokens(strings) | Strings(strings):
                    for string in strings:
                        if not string.isascii() and _has_surrogate(string):
                            yield (
                                f"{shorten(string)!r} has a lone surrogate, which is not valid "
                                "Unicode: remove it"
                            )
                case Regex(pattern):
                    yield from self._check_pattern(pattern)

    def _check_pattern(self, pattern: str) -> Iterator[str]:
        if self._size_left < 0:
            return
        self._size_left -= expanded_size(pattern) + _COST_PER_PATTERN
        if self._size_left < 0:
            yield (
                f"the patterns up to {shorten(pattern)!r} are too large: with repetitions "
                f"written out they have more than {MAX_PATTERN_SIZE} characters"
            )
            return
        import regex

        try:
            regex.compile(pattern, regex.DOTALL)
        except regex.error as error:
            yield f"{shorten(pattern)!r} is not a valid regular expression: {error}"
        except (RecursionError, MemoryError, OverflowError):
            yield f"the pattern {shorten(pattern)!r} is nested too deeply"


def expanded_size(pattern: str) -> int:
    """Return the number of characters of a pattern with `a{3}` written as `aaa`."""
    # For each open group: the size so far without its last part, and the size of its last part.
    groups = [[0, 0]]
    for match in _PATTERN_PARTS.finditer(pattern):
        part = match[0]
        group = groups[-1]
        if part == "(":
            groups.append([0, 0])
        elif part == ")" and len(groups) > 1:
            groups.pop()
            size = sum(group) + 1
            groups[-1] = [sum(groups[-1]), size]
        elif match[1] or match[2]:
            group[1] *= max(1, *(int(digits[:9]) for digits in (match[1], match[2]) if digits))
        else:
            groups[-1] = [sum(group), len(part)]
    return sum(map(sum, groups))


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
