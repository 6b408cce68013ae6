"""Keys of hook calls. Two calls have equal keys only if a backend must answer them alike."""

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
from autocog_core.types.prompt import Message
from autocog_core.types.token_tree import TreeQuery

#: Fields of requests that do not affect the answer.
_IGNORED_FIELDS = {"on_text"}
#: Fields that are left out where they have this value, so that older recordings keep their keys.
_ADDED_FIELDS = {"constraint": None, "top": None, "isolate": False}
#: First character of encoded mapping keys that are not text, such as token ids.
_NON_TEXT_PREFIX = "\0"


def make_key(hook: str, *arguments: object) -> bytes | None:
    """Return a key of 16 bytes; None if an argument is not plain data."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (hook, *arguments):
        try:
            raw = _encode(part)
        except (TypeError, ValueError, OverflowError):
            return None
        # The length separates the parts.
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.digest()


def make_tokens_key(hook: str, tokens: Sequence[int]) -> bytes | None:
    """Return the key of a call whose only argument is a sequence of token ids."""
    return make_key(hook, _to_array(tokens))


def make_chat_key(
    messages: Sequence[Message],
    add_generation_prompt: bool,
    template_arguments: Mapping[str, Any],
) -> bytes | None:
    """Return the key of a call of `chat_prompt`."""
    # Recordings without template arguments keep their keys.
    given = (dict(template_arguments),) if template_arguments else ()
    return make_key("chat_prompt", list(messages), add_generation_prompt, *given)


def make_query_key(query: TreeQuery) -> bytes | None:
    """Return the key of one query of `greedy_tree_impl`."""
    mask: tuple[object, ...] = () if query.mask is None else (query.mask,)
    if query.with_mask_logprobs:
        mask = (*mask, "with_mask_logprobs")
    isolated = () if query.isolated_start is None else ("isolated", query.isolated_start)
    return make_key(
        "greedy_tree_impl",
        _to_array(query.prefix),
        query.tokens,
        query.parents,
        query.top_at,
        query.top_k,
        *mask,
        *isolated,
    )


def is_nondeterministic(request: CompletionRequest) -> bool:
    """Whether the same request may have another answer the next time."""
    return request.temperature > 0 and request.seed is None


def to_plain_data(value: Any) -> Any:
    """Return `value` as plain data for JSON; infinities and NaN become strings.

    :raises TypeError: if a part of it is not plain data.
    """
    return _to_plain(value, repr, str)


def _to_plain(value: Any, odd_float: Callable[[float], Any], key: Callable[[Any], str]) -> Any:
    """Return `value` as plain data.

    :param odd_float: converts infinities and NaN.
    :param key: converts the keys of mappings.
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
        return number if math.isfinite(number) else odd_float(number)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value))
        return {
            name: _to_plain(getattr(value, name), odd_float, key)
            for name in names
            if name not in _IGNORED_FIELDS
            and not (name in _ADDED_FIELDS and getattr(value, name) is _ADDED_FIELDS[name])
        }
    if isinstance(value, Mapping):
        return {key(name): _to_plain(item, odd_float, key) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item, odd_float, key) for item in value]
    raise TypeError(f"{type(value).__name__} is not plain data")


def _encode(part: object) -> bytes:
    if isinstance(part, np.ndarray):
        return f"{part.dtype} {part.shape} ".encode() + part.tobytes()
    # Python's JSON has NaN without quotes, so it differs from the text "nan".
    return _to_json(_to_plain(part, float, _encode_mapping_key))


def _encode_mapping_key(name: Any) -> str:
    """Return a text that no other key has; most texts stay as they are."""
    if isinstance(name, str) and not name.startswith(_NON_TEXT_PREFIX):
        return name
    return _NON_TEXT_PREFIX + _to_json(_to_plain(name, float, _encode_mapping_key)).decode()


def _to_json(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True).encode()


def _to_array(tokens: Sequence[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(tokens, dtype=np.int64)
