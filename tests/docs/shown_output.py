"""Whether a command prints what a page shows."""

from __future__ import annotations

import re
from itertools import pairwise

#: Numbers may differ by this much, and by this part of the one that the page shows: quantized
#: weights give slightly other numbers on another processor.
ABSOLUTE = 0.05
RELATIVE = 0.05

_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
#: What follows a number that is another one in every run.
_TIME = re.compile(r"\s*(?:ms|s|seconds?|min|(?:MiB|GiB) resident|rows/s|tokens/s|h)\b")
#: The unit of a rate depends on how fast the processor is.
_SLOW_RATE = re.compile(r"\bs/row\b")
_BARS = re.compile(r"[▏▎▍▌▋▊▉█]+")
_RULES = re.compile("─+")
_ELLIPSIS = "..."


def find_difference(shown: str, printed: str) -> str:
    """Return what differs between the output on a page and the printed one; "" if nothing does.

    A line `...` of the page stands for any lines, and `...` in a line for any text. Blanks, rules
    and bars do not count, nor do times.

    :param shown: the lines of the page.
    :param printed: what the command printed.
    """
    expected = [line for line in map(_plain, shown.splitlines()) if line]
    actual = [line for line in map(_plain, printed.splitlines()) if line]
    if _match_lines(expected, actual):
        return ""
    return f"the page shows\n{shown.rstrip()}\nand the command prints\n{printed.rstrip()}"


def _plain(line: str) -> str:
    """A line without what depends on the width of the terminal, and on the speed of a run."""
    line = _SLOW_RATE.sub("rows/s", line)
    return " ".join(_RULES.sub("─", _BARS.sub("", line)).split())


def _match_lines(expected: list[str], actual: list[str]) -> bool:
    """Whether the lines match, where `...` stands for any number of lines."""
    # The numbers of actual lines that the expected lines so far can have matched.
    ends = {0}
    for line in expected:
        if line == _ELLIPSIS:
            ends = set(range(min(ends), len(actual) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(actual) and _match(line, actual[end])}
        if not ends:
            return False
    return len(actual) in ends


def _match(expected: str, actual: str) -> bool:
    """Whether two lines match: their texts are equal, and their numbers are close."""
    numbers = list(_NUMBER.finditer(expected))
    bounds = [0, *(bound for number in numbers for bound in number.span()), len(expected)]
    texts = [expected[begin:end] for begin, end in list(pairwise(bounds))[::2]]
    patterns = [".*".join(map(re.escape, text.split(_ELLIPSIS))) for text in texts]
    found = re.fullmatch(f"({_NUMBER.pattern})".join(patterns), actual)
    if found is None:
        return False
    pairs = zip(numbers, texts[1:], found.groups(), strict=True)
    return all(_TIME.match(after) or _is_close(number[0], other) for number, after, other in pairs)


def _is_close(shown: str, printed: str) -> bool:
    if shown == printed:
        return True
    if not {".", "e"} & set(shown):
        # A count, which is exact.
        return False
    value = float(shown.replace(",", ""))
    return abs(value - float(printed.replace(",", ""))) <= ABSOLUTE + RELATIVE * abs(value)
