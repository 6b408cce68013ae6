"""Fields of a server's answer, read with the types of the interface.

A server may send any JSON. Read an answer only through these functions, inside `reading`:

    with reading(connection.where):
        choices = required(answer, "choices", as_list)

Then an unexpected value is a `MalformedAnswerError` that names the field and the value. No value
becomes a number that the server did not send.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from autocog_core import AutocogError
from autocog_core.toolkit import shorten
from autocog_openai.connection.errors import malformed_answer_error
from autocog_openai.connection.scorer import MAX_VOCABULARY_SIZE

#: Servers write this or less for a probability of zero, because JSON has no infinity.
IMPOSSIBLE_LOGPROB = -9999.0
#: How much a log-probability or a sum of probabilities may be too high: servers round.
ROUNDING = 1e-3
#: A count above this is a mistake: doubles hold no larger integer exactly.
_MAX_COUNT = 2**53
_MAX_SHOWN = 60
Value = TypeVar("Value")
#: Returns a value of the right type. Takes what the server sent, and the name of the field.
Reader = Callable[[Any, str], Value]


class FieldError(ValueError):
    """A field of an answer is missing, or has a wrong value."""


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Raise what goes wrong while an answer is read as a `MalformedAnswerError`.

    :param where: the model and the server.
    """
    try:
        yield
    except AutocogError:
        raise
    except FieldError as error:
        raise malformed_answer_error(where, str(error)) from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # From dialects of others, which may read answers without this module.
        raise malformed_answer_error(where, error) from error
    except RecursionError as error:
        raise malformed_answer_error(where, "it is nested too deeply") from error


def required(parent: Any, name: str, read: Reader[Value]) -> Value:
    """Return a field that an object must have.

    :raises FieldError: if `parent` is no object, or the field is missing or wrong.
    """
    if not isinstance(parent, Mapping) or name not in parent:
        raise FieldError(f"{name} is missing")
    return read(parent[name], name)


def optional(parent: Any, name: str, read: Reader[Value]) -> Value | None:
    """Return a field of an object; None if it is missing or null.

    :raises FieldError: if `parent` is no object, or the field is wrong.
    """
    if not isinstance(parent, Mapping):
        raise FieldError(f"{name} is missing")
    value = parent.get(name)
    return None if value is None else read(value, name)


def first_item(parent: Any, name: str) -> Any:
    """Return the first item of a list that an object must have.

    :raises FieldError: if there is none.
    """
    items = required(parent, name, as_list)
    if not items:
        raise FieldError(f"{name} is empty")
    return items[0]


def read_ids(parent: Any, name: str) -> list[int]:
    """Return a list of token ids that an object must have.

    :raises FieldError: if there is none, or an item is no id.
    """
    return [as_token_id(item, name) for item in required(parent, name, as_list)]


def as_any(value: Any, name: str) -> Any:
    """Return a value of any type, which another function reads."""
    return value


def as_object(value: Any, name: str) -> Mapping[str, Any]:
    """Return an object."""
    if not isinstance(value, Mapping):
        raise _wrong(value, name, "an object")
    return value


def as_list(value: Any, name: str) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        raise _wrong(value, name, "a list")
    return value


def as_text(value: Any, name: str) -> str:
    """Return a text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise _wrong(value, name, "a text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise FieldError(f"{name} contains half of a surrogate pair") from error
    return value


def as_count(value: Any, name: str) -> int:
    """Return an integer that is at least 0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not _is_integer(value) or not 0 <= value <= _MAX_COUNT:
        raise _wrong(value, name, "an integer of at least 0")
    count: int = value
    return count


def as_token_id(value: Any, name: str) -> int:
    """Return a token id."""
    if not _is_integer(value) or not 0 <= value < MAX_VOCABULARY_SIZE:
        raise _wrong(value, name, "a token id")
    token: int = value
    return token


def as_token_bytes(value: Any, name: str) -> bytes:
    """Return the bytes of a token, which JSON has as a list of integers."""
    items = as_list(value, name)
    if not all(_is_integer(item) and 0 <= item <= 255 for item in items):
        raise FieldError(f"{name} must be a list of integers from 0 to 255")
    return bytes(items)


def as_logprob(value: Any, name: str) -> float | None:
    """Return a log-probability; None if the server sends null.

    The result is at most 0, and -inf for `IMPOSSIBLE_LOGPROB`. NaN and positive numbers are wrong.
    """
    if value is None:
        return None
    if not _is_number(value) or not value <= ROUNDING:
        raise _wrong(value, name, "a log-probability")
    return -math.inf if value <= IMPOSSIBLE_LOGPROB else min(0.0, float(value))


def as_probability(value: Any, name: str) -> float:
    """Return a probability."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise _wrong(value, name, "a probability")
    return float(value)


def _is_integer(value: Any) -> bool:
    # In Python, True is an integer.
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_integer(value) or isinstance(value, float)


def _wrong(value: Any, name: str, expected: str) -> FieldError:
    return FieldError(f"{name} must be {expected}, not {_describe(value)}")


def _describe(value: Any) -> str:
    """Return a value for a message. It is short, however large or deep the value is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else "a number with many digits"
    if isinstance(value, str):
        return repr(shorten(value, _MAX_SHOWN))
    return "a list" if isinstance(value, list) else "an object"
