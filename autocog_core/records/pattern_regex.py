r"""Patterns of JSON Schemas as expressions for the written forms of the strings that they match.

A pattern is searched for in a string, and sees its characters. A constraint sees the whole string
as it is written, with the escapes of JSON. The dialects of regular expressions differ in what
`\d`, `\w` and `\s` are beyond ASCII: there, only strings that every dialect accepts are served.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any

from autocog_core.records.alphabet import Alphabet
from autocog_core.records.rust_regex import any_of, escape_character, repeat

#: Longer patterns are refused.
MAX_PATTERN_LENGTH = 10_000
_MAX_DEPTH = 50
# Python's own parser of expressions; it has no public name.
_parser: Any = importlib.import_module("re._parser")
#: Categories inside a class: those of ASCII that every dialect has, and what no dialect has.
_CATEGORIES = {
    "CATEGORY_DIGIT": "0-9",
    "CATEGORY_NOT_DIGIT": r"[^\d]",
    "CATEGORY_WORD": "0-9A-Za-z_",
    "CATEGORY_NOT_WORD": r"[^\w]",
    "CATEGORY_SPACE": r"\x09-\x0D\x20",
    "CATEGORY_NOT_SPACE": r"[^\s\x{FEFF}\x1C-\x1F]",
}
_START = ("AT_BEGINNING", "AT_BEGINNING_STRING")
_END = ("AT_END", "AT_END_STRING")
_PYTHON_CATEGORIES = {
    "CATEGORY_DIGIT": "[0-9]",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_WORD": "[0-9A-Za-z_]",
    "CATEGORY_NOT_WORD": r"\W",
    "CATEGORY_SPACE": r"[\t-\r ]",
    "CATEGORY_NOT_SPACE": r"\S",
}


class PatternError(ValueError):
    """A pattern that is wrong, or has a feature that is not supported."""


def pattern_regex(pattern: str, alphabet: Alphabet) -> str:
    """Return an expression for the written forms of all strings in which a pattern is found.

    :param pattern: a regular expression of ECMA 262, as JSON Schemas have them.
    :param alphabet: how the characters are written.
    :raises PatternError: if it is not valid, or has a feature that no constraint supports.
    """
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise PatternError(f"the pattern is longer than {MAX_PATTERN_LENGTH:,} characters")
    try:
        parsed = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f"the pattern is not valid: {error}") from error
    if parsed.state.flags & ~re.UNICODE.value:
        raise PatternError("the pattern has flags, which are not supported")
    return _Translation(alphabet).whole(list(parsed))


def pattern_lengths(pattern: str) -> tuple[int, int] | None:
    """Return the smallest and largest number of characters of the strings of a pattern.

    None if it may be found inside longer strings.

    :param pattern: a pattern that `pattern_regex` accepts.
    """
    parsed = _parser.parse(pattern)
    items = list(parsed)
    if not items or not _is_anchor(items[0], _START) or not _is_anchor(items[-1], _END):
        return None
    shortest, longest = parsed.getwidth()
    return int(shortest), int(longest)


class _Translation:
    def __init__(self, alphabet: Alphabet) -> None:
        self.alphabet = alphabet
        self.anything = repeat(alphabet.any_character, 0, None)

    def whole(self, items: Sequence[Any], depth: int = 0) -> str:
        """Return the expression of a whole pattern, which is searched for."""
        if depth > _MAX_DEPTH:
            raise PatternError("the pattern is nested too deeply")
        if len(items) == 1:
            operator, argument = str(items[0][0]), items[0][1]
            if operator == "BRANCH":
                return any_of(self.whole(list(branch), depth + 1) for branch in argument[1])
            if operator == "SUBPATTERN" and _is_plain_group(argument):
                return self.whole(list(argument[3]), depth + 1)
        start = end = self.anything
        items = list(items)
        while items and _is_anchor(items[0], _START):
            start = ""
            items.pop(0)
        while items and _is_anchor(items[-1], _END):
            end = ""
            items.pop()
        return start + self.sequence(items) + end

    def sequence(self, items: Sequence[Any], depth: int = 0) -> str:
        if depth > _MAX_DEPTH:
            raise PatternError("the pattern is nested too deeply")
        return "".join(self.item(str(operator), argument, depth) for operator, argument in items)

    def item(self, operator: str, argument: Any, depth: int) -> str:
        match operator:
            case "LITERAL":
                code = _escape(argument)
                return self.alphabet.character_class(code, lambda each: ord(each) == argument)
            case "NOT_LITERAL":
                code = _escape(argument)
                return self.alphabet.character_class(f"^{code}", lambda each: ord(each) != argument)
            case "ANY":
                lines = r"\n\r\x{2028}\x{2029}"
                return self.alphabet.character_class(f"^{lines}", lambda each: each not in "\n\r")
            case "IN":
                return self.characters(argument)
            case "BRANCH":
                return any_of(self.sequence(list(each), depth + 1) for each in argument[1])
            case "SUBPATTERN" if _is_plain_group(argument):
                return f"(?:{self.sequence(list(argument[3]), depth + 1)})"
            case "MAX_REPEAT" | "MIN_REPEAT":
                low, high, inner = argument
                maximum = None if high == _parser.MAXREPEAT else int(high)
                return repeat(self.sequence(list(inner), depth + 1), int(low), maximum)
        raise PatternError(_UNSUPPORTED.get(operator, f"the pattern has {operator.lower()}"))

    def characters(self, items: Sequence[Any]) -> str:
        """Return the expression of a class of characters."""
        is_negated = str(items[0][0]) == "NEGATE"
        rust, python = [], []
        for operator, argument in items[is_negated:]:
            match str(operator):
                case "LITERAL":
                    rust.append(_escape(argument))
                    python.append(re.escape(chr(argument)))
                case "RANGE":
                    rust.append("-".join(map(_escape, argument)))
                    low, high = (re.escape(chr(code)) for code in argument)
                    python.append(f"[{low}-{high}]")
                case "CATEGORY":
                    name = str(argument)
                    # A negated class leaves out what any dialect has in its category.
                    wide = name.replace("CATEGORY_", "").replace("NOT_", "")
                    if is_negated and "NOT" not in name:
                        rust.append({"DIGIT": r"\d", "WORD": r"\w"}.get(wide, r"\s\x{FEFF}"))
                    elif is_negated:
                        rust.append({"DIGIT": "^0-9", "WORD": "^0-9A-Za-z_"}.get(wide, r"^ \t-\r"))
                        rust[-1] = f"[{rust[-1]}]"
                    else:
                        rust.append(_CATEGORIES[name])
                    python.append(_PYTHON_CATEGORIES[name])
                case _:
                    raise PatternError(f"the pattern has {operator} in a class of characters")
        matcher = re.compile("|".join(python))

        def contains(character: str) -> bool:
            return (matcher.fullmatch(character) is None) == is_negated

        inside = "".join(rust)
        return self.alphabet.character_class(f"^{inside}" if is_negated else inside, contains)


_UNSUPPORTED = {
    "AT": "the pattern has ^, $ or \\b inside, which is not supported",
    "ASSERT": "the pattern looks ahead or behind, which is not supported",
    "ASSERT_NOT": "the pattern looks ahead or behind, which is not supported",
    "GROUPREF": "the pattern refers to a group, which is not supported",
    "GROUPREF_EXISTS": "the pattern refers to a group, which is not supported",
}


def _escape(code: int) -> str:
    if 0xD800 <= code <= 0xDFFF:
        raise PatternError("the pattern has a surrogate, which is no character")
    return escape_character(chr(code))


def _is_anchor(item: Any, names: Sequence[str]) -> bool:
    return str(item[0]) == "AT" and str(item[1]) in names


def _is_plain_group(argument: Any) -> bool:
    """Return whether a group has no flags of its own."""
    return not argument[1] and not argument[2]
