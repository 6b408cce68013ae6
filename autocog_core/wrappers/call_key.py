"""Hook calls as keys: equal only for calls that a backend must answer alike."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np

from autocog_core.types.completion import CompletionRequest
from autocog_core.types.token_tree import TreeQuery

#: How an answer reaches whoever asked, not what it is.
_NOT_ASKED = {"on_text"}
#: Begins keys of mappings that are no texts, as tokens' ids are.
_MARK = "\0"


def key_of(hook: str, *asked: object) -> bytes | None:
    """16 bytes that stand for a call; None if an argument cannot be told by its value."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (hook, *asked):
        try:
            raw = _bytes(part)
        except (TypeError, ValueError, OverflowError):
            return None
        # With its length, so that what ends one part cannot begin the next.
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.digest()


def tokens_key(hook: str, tokens: Sequence[int]) -> bytes | None:
    """The key of a call whose only argument are token ids."""
    return key_of(hook, _ids(tokens))


def query_key(query: TreeQuery) -> bytes | None:
    """The key of one of the queries of `greedy_tree_impl`."""
    mask = () if query.mask is None else (query.mask,)
    return key_of(
        "greedy_tree_impl",
        _ids(query.prefix),
        query.tokens,
        query.parents,
        query.top_at,
        query.top_k,
        *mask,
    )


def is_drawn(request: CompletionRequest) -> bool:
    """Whether the same request may be answered otherwise the next time."""
    return request.temperature > 0 and request.seed is None


def plain(value: Any) -> Any:
    """`value` as plain data for JSON; floats without a form in JSON become strings.

    :raises TypeError: for what has none.
    """
    return _plain(value, repr, str)


def _plain(value: Any, odd: Callable[[float], Any], key: Callable[[Any], str]) -> Any:
    """`value` as plain data.

    :param odd: what becomes of floats without a form in JSON. `key`: of the keys of mappings.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Enum):
        return {"enum": value.name}
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if math.isfinite(number) else odd(number)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field.name for field in dataclasses.fields(value))
        asked = (name for name in fields if name not in _NOT_ASKED)
        return {name: _plain(getattr(value, name), odd, key) for name in asked}
    if isinstance(value, Mapping):
        return {key(name): _plain(each, odd, key) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, odd, key) for each in value]
    raise TypeError(f"{type(value).__name__} is no plain data")


def _bytes(part: object) -> bytes:
    if isinstance(part, np.ndarray):
        return f"{part.dtype} {part.shape} ".encode() + part.tobytes()
    # Python writes NaN without quotes, which makes it another one than the text "nan".
    return _json(_plain(part, float, _key))


def _key(name: Any) -> str:
    """A key of a mapping as text that no other key has; most texts as they are."""
    if isinstance(name, str) and not name.startswith(_MARK):
        return name
    return _MARK + _json(_plain(name, float, _key)).decode()


def _json(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True).encode()


def _ids(tokens: Sequence[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(tokens, dtype=np.int64)
