"""Calls of llguidance that cannot end the process, and its answers as plain text.

llguidance reads grammars by recursion in native code: a deep chain of rules overflows the stack.
So the sizes of grammars are limited, and grammars are compiled in a thread with a large stack.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

#: Maximum number of characters of a constraint.
MAX_SOURCE_LENGTH = 250_000
#: Maximum number of rules of a grammar, and of `$ref` in a JSON Schema.
MAX_RULES = 2_000
#: Enough for a chain of MAX_RULES rules: it needs about 2 KiB each.
STACK_BYTES = 64 << 20
_stack_size_lock = threading.Lock()
# Blanks of one line alone: with those of many, the time would grow with the square of their number.
_RULE = re.compile(
    r"^[^\S\n]*[?!]?\w+(?:\.-?\d+)?(?:\[[^\]\n]*\])?(?:\{[^}\n]*\})?\s*:", re.MULTILINE
)


def check_size(source: str, kind: str) -> str:
    """Return why a constraint is too large to be compiled; empty if it is not.

    :param source: the constraint.
    :param kind: its kind.
    """
    if len(source) > MAX_SOURCE_LENGTH:
        return f"has {len(source):,} characters; the limit is {MAX_SOURCE_LENGTH:,}"
    if kind == "grammar":
        count, what = len(_RULE.findall(source)), "rules"
    else:
        count, what = source.count('"$ref"'), "$ref"
    return f"has {count:,} {what}; the limit is {MAX_RULES:,}" if count > MAX_RULES else ""


def new_matcher(tokenizer: LLTokenizer, grammar: str) -> LLMatcher:
    """Return a matcher at the start of a grammar. It may be in an error state.

    :param tokenizer: the tokens.
    :param grammar: a grammar in one of llguidance's formats.
    """
    from llguidance import LLMatcher

    return _with_large_stack(lambda: LLMatcher(tokenizer, grammar, log_level=0))


def has_no_extension(matcher: LLMatcher) -> bool:
    """Return whether a matcher stopped because no token of its vocabulary may follow."""
    # Its `stop_reason` is "InternalError".
    return bool(matcher.get_error().startswith("NoExtension"))


def error_of(matcher: LLMatcher) -> str:
    """Return why llguidance refuses a grammar or a text, on one line; empty if it does not."""
    if not matcher.is_error():
        return ""
    if has_no_extension(matcher):
        return "it allows no text"
    # After the message come a trace, the state of the parser, and the whole grammar.
    message = re.split("<(?:backtrace|state|grammar)>", matcher.get_error())[0]
    if "lookarounds not supported" in message:
        return r"look-around is not supported: neither \b, nor ^ and $ inside an expression"
    lines = [line.strip() for line in message.splitlines()]
    # The last lines repeat the source and point at a column; the message itself stands before.
    wanted = [line for line in lines if line and not re.match(r"\d+ \||\^+$", line)]
    # Of an invalid regular expression, only the reason: the message repeats it in full.
    return " ".join(wanted).rpartition("error: ")[2][:300]


def _with_large_stack(make: Callable[[], LLMatcher]) -> LLMatcher:
    # The stack size is a setting of the process, for threads that start from now on.
    with _stack_size_lock, ThreadPoolExecutor(1, "autocog-grammar") as pool:
        before = threading.stack_size(STACK_BYTES)
        try:
            matcher = pool.submit(make)
        finally:
            threading.stack_size(before)
        return matcher.result()
