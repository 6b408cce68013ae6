"""JSON of all answers: no infinity, no NaN, and no text that is not Unicode."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from starlette.responses import JSONResponse

#: An answer with so many entries is made in a thread: other requests go on meanwhile.
MANY_ENTRIES = 500
#: Levels of an answer that are written entry by entry, such as each of its results.
LEVELS = 2


class JsonAnswer(JSONResponse):
    """An answer in JSON. Numbers that JSON does not have become null.

    A log-probability of minus infinity, for instance, is the log-probability of what is impossible.
    All other numbers keep every bit.
    """

    def render(self, content: Any) -> bytes:
        """Return the JSON of plain data."""
        # Half of a surrogate pair, which texts from JSON may have, is not Unicode.
        return b"".join(
            piece.encode("utf-8", errors="replace") for piece in _pieces(content, LEVELS)
        )


async def json_answer(make: Callable[[], Any], entries: int) -> JsonAnswer:
    """Return an answer; a large one is made in a thread.

    :param make: returns the plain data of the answer.
    :param entries: about how many entries the data have, such as scored choices.
    """
    if entries < MANY_ENTRIES:
        return JsonAnswer(make())
    return await asyncio.to_thread(lambda: JsonAnswer(make()))


def _pieces(content: Any, levels: int) -> Iterator[str]:
    """Yield the JSON of plain data in pieces.

    Python runs no other thread while it writes a piece.

    :param levels: how many levels of objects and lists are written entry by entry.
    """
    if not levels or not content or not isinstance(content, dict | list):
        yield _dump(content)
        return
    begin, end = "{}" if isinstance(content, dict) else "[]"
    entries = content.items() if isinstance(content, dict) else enumerate(content)
    for name, value in entries:
        yield begin
        begin = ","
        if isinstance(content, dict):
            # As an object of its own, which also makes texts of keys that are numbers.
            yield _dump({name: 0})[1:-2]
        yield from _pieces(value, levels - 1)
    yield end


def _dump(content: Any) -> str:
    try:
        return _encode(content)
    except ValueError:
        return _encode(_finite(content))


def _encode(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
