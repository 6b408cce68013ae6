"""Answers of servers, mutated by a seed: values of every shape, missing and double keys, cuts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

#: What replaces a value, as JSON text.
VALUES = (
    *("null", "true", "false", "NaN", "Infinity", "-Infinity", "0", "1", "-1", "0.5", "-0.25"),
    *("1e999", "-1e999", "-9999", "1e-320", "2147483648", "-5", "9" * 400, "3.0", "-3.7"),
    *('""', '"a"', '"-1.0"', '"NaN"', '"\\ufffd"', '"\\u0000"', '"\\ud800"', '"token_id:3"'),
    *("[]", "[[]]", "[null]", "[0]", "[300]", "[-1]", "[true]", "{}", '{"a": 1}', '[{"a": []}]'),
    '"stop"',
    '"length"',
    '"tool_calls"',
    '"error"',
    "[" * 150 + "]" * 150,
    "[" * 5000 + "]" * 5000,
)
#: Fields beside log-probabilities that have other numbers.
NOT_SCORES = ("id", "bytes", "text_offset", "rank")
#: Stands for a piece of JSON text that is put in after the rest was written.
_MARK = "\ue123"


def mutate_body(body: bytes, generator: random.Random) -> bytes:
    """Return a changed answer: one JSON value, or a stream of events with one each."""
    if generator.random() < 0.1:
        return body[: generator.randrange(len(body) + 1)]
    if not is_stream(body):
        return mutate_json(body, generator)
    events = body.split(b"\n\n")
    change = generator.random()
    index = generator.randrange(len(events))
    if change < 0.15:
        events.insert(index, generator.choice(events))
    elif change < 0.3:
        del events[index]
    else:
        lines = events[index].split(b"\n")
        lines[-1] = b"data: " + mutate_json(lines[-1].removeprefix(b"data: "), generator)
        events[index] = b"\n".join(lines)
    return b"\n\n".join(events)


def is_stream(body: bytes) -> bool:
    """Whether an answer is a stream of events."""
    return b"data: " in body and not body.startswith((b"{", b"["))


def mutate_json(raw: bytes, generator: random.Random) -> bytes:
    """Return JSON text in which one or two values were changed."""
    try:
        value = json.loads(raw)
    except ValueError:
        return raw
    for _ in range(generator.choice((1, 1, 1, 2))):
        places = list(_places(value))
        scores = [(parent, key) for parent, key in places if _is_score(parent, key)]
        if not places:
            break
        # Often a log-probability: an answer has many other values.
        parent, key = generator.choice(scores if scores and generator.random() < 0.4 else places)
        change = generator.random()
        if change < 0.12:
            del parent[key]
        elif change < 0.2 and isinstance(parent, list):
            parent.insert(key, parent[generator.randrange(len(parent))])
        elif change < 0.25 and isinstance(parent, dict):
            # Two equal keys: readers keep one of the two values.
            return json.dumps(value).replace(f'"{key}":', f'"{key}": 3, "{key}":', 1).encode()
        elif change < 0.35:
            other, other_key = generator.choice(places)
            parent[key] = json.loads(json.dumps(other[other_key]))
        else:
            parent[key] = _MARK
            text = json.dumps(value, ensure_ascii=False)
            return text.replace(f'"{_MARK}"', generator.choice(VALUES)).encode(
                "utf-8", "surrogatepass"
            )
    return json.dumps(value).encode()


def numbers_in(body: bytes) -> Iterator[float]:
    """Yield all log-probabilities and probabilities of an answer."""
    parts = [body]
    if is_stream(body):
        parts = [
            line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: ")
        ]
    for part in parts:
        try:
            yield from _numbers(json.loads(part))
        except (ValueError, RecursionError):
            continue


def _numbers(value: Any, inside: str = "") -> Iterator[float]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in NOT_SCORES:
                yield from _numbers(item, inside + name)
    elif isinstance(value, list):
        # SGLang's entries are a log-probability, an id and a text.
        for item in value[:1] if len(value) == 3 and type(value[1]) is int else value:
            yield from _numbers(item, inside)
    elif isinstance(value, int | float) and not isinstance(value, bool) and "prob" in inside:
        if abs(value) < 1e300:
            yield float(value)
        elif value < 0:
            yield float("-inf")


def _is_score(parent: Any, key: Any) -> bool:
    value = parent[key]
    return isinstance(value, float) and (value < 0 or "prob" in str(key))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container with each of its keys."""
    if not isinstance(value, dict | list):
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        yield from _places(item)
