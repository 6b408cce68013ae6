"""What is wrong with sets of tokens, as far as no model is needed to tell: texts and patterns."""

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
from autocog_core.errors import cut

#: What all patterns may come to once their repetitions are written out; each counts some more.
MOST_PATTERN_SIZE = 100_000
_SIZE_EACH = 100

_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]?|\{(\d*),?(\d*)\}|.", re.DOTALL)


class TokenSetChecks:
    """Sets of one automaton, each of which is looked at once."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._left = MOST_PATTERN_SIZE

    def faults(self, vocabulary: Vocabulary) -> Iterator[str]:
        """What is wrong with a set and those that it is made of."""
        stack = [vocabulary]
        while stack:
            one = stack.pop()
            if one.digest in self._seen:
                continue
            self._seen.add(one.digest)
            match one:
                case Union(operands) | Intersect(operands):
                    stack += reversed(operands)
                case Difference(first, second):
                    stack += [second, first]
                case Complement(operand):
                    stack.append(operand)
                case Tokens(strings) | Strings(strings):
                    for string in strings:
                        if not string.isascii() and _has_surrogate(string):
                            yield f"{cut(string)!r} has a lone surrogate: it is no valid Unicode"
                case Regex(pattern):
                    yield from self._pattern(pattern)

    def _pattern(self, pattern: str) -> Iterator[str]:
        if self._left < 0:
            return
        self._left -= expanded_size(pattern) + _SIZE_EACH
        if self._left < 0:
            yield (
                f"the pattern {cut(pattern)!r} repeats too much, or there are too many patterns: "
                f"up to here they come to more than {MOST_PATTERN_SIZE} characters"
            )
            return
        import regex

        try:
            regex.compile(pattern, regex.DOTALL)
        except regex.error as error:
            yield f"{cut(pattern)!r} is no regular expression: {error}"
        except (RecursionError, MemoryError, OverflowError):
            yield f"the pattern {cut(pattern)!r} is nested too deeply"


def expanded_size(pattern: str) -> int:
    """How long a pattern is with `a{3}` written as `aaa`: what compiling it takes memory for."""
    # The sizes of open groups, and of the last part of each.
    groups = [[0, 0]]
    for found in _PARTS.finditer(pattern):
        part = found[0]
        group = groups[-1]
        if part == "(":
            groups.append([0, 0])
        elif part == ")" and len(groups) > 1:
            groups.pop()
            size = sum(group) + 1
            groups[-1] = [sum(groups[-1]), size]
        elif found[1] or found[2]:
            group[1] *= max(1, *(int(each[:9]) for each in (found[1], found[2]) if each))
        else:
            groups[-1] = [sum(group), len(part)]
    return sum(map(sum, groups))


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
