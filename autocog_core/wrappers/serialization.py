"""Answers of hooks as plain data for JSON beside raw bytes, and back: every number as it was.

Arrays, bytes and vocabularies are raw; of the rest JSON keeps every float exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from autocog_core.types.choice import ChoiceScores
from autocog_core.types.completion import Completion
from autocog_core.types.prompt import Prompt
from autocog_core.types.token_tree import TreeScores
from autocog_core.wrappers.call_key import plain

_DTYPES = {"float32", "float64", "int32", "int64"}


class Packed(NamedTuple):
    """An answer: `head` is plain data, `raw` what would be long as text."""

    head: Any
    raw: bytes = b""


class _Form(NamedTuple):
    pack: Callable[[Any], Packed]
    unpack: Callable[[Packed], Any]


def pack(hook: str, answer: Any) -> Packed:
    """The answer of one call, or of one of its texts or queries.

    :raises TypeError, ValueError, AttributeError: for what the hook should not have answered.
    """
    return _FORMS[hook].pack(answer)


def unpack(hook: str, packed: Packed) -> Any:
    """The answer that was packed.

    :raises ValueError, TypeError, KeyError: for what is no packed answer of this hook.
    """
    return _FORMS[hook].unpack(packed)


def _arrays(*arrays: NDArray[Any]) -> Packed:
    for array in arrays:
        if str(array.dtype) not in _DTYPES:
            raise TypeError(f"an array of {array.dtype}")
    head = [[str(array.dtype), list(array.shape)] for array in arrays]
    return Packed(head, b"".join(array.tobytes() for array in arrays))


def _to_arrays(head: Any, raw: bytes) -> list[NDArray[Any]]:
    found, start = [], 0
    for name, shape in head:
        if name not in _DTYPES:
            raise ValueError(f"an array of {name}")
        count = int(np.prod(shape, dtype=np.int64))
        # A copy: what is read from bytes could not be written to, as an engine's answer can.
        flat = np.frombuffer(raw, dtype=name, count=count, offset=start).copy()
        found.append(flat.reshape(shape))
        start += flat.nbytes
    if start != len(raw):
        raise ValueError(f"{len(raw)} bytes where {start} are due")
    return found


def _pack_scores(scores: TreeScores) -> Packed:
    arrays = _arrays(scores.values, scores.top_tokens, scores.top_logprobs)
    return Packed([int(scores.tokens_evaluated), arrays.head], arrays.raw)


def _unpack_scores(packed: Packed) -> TreeScores:
    evaluated, head = packed.head
    values, top_tokens, top_logprobs = _to_arrays(head, packed.raw)
    return TreeScores(values, top_tokens, top_logprobs, evaluated)


def _pack_vocabulary(surfaces: Sequence[bytes]) -> Packed:
    return Packed([len(surface) for surface in surfaces], b"".join(surfaces))


def _unpack_vocabulary(packed: Packed) -> list[bytes]:
    ends = np.cumsum(packed.head, dtype=np.int64).tolist()
    return [packed.raw[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _pack_bytes(text: bytes) -> Packed:
    return Packed(None, bytes(text))


def _pack_plain(answer: Any) -> Packed:
    return Packed(plain(answer))


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _checked(kind: Any) -> _Form:
    """Plain data that is checked when it is read."""
    return _Form(_pack_plain, lambda packed: _reader(kind).validate_python(packed.head))


_FORMS = {
    "tokenize": _checked(list[int]),
    "detokenize": _Form(_pack_bytes, lambda packed: packed.raw),
    "greedy_impl": _Form(_arrays, lambda packed: _to_arrays(*packed)[0]),
    "greedy_tree_impl": _Form(_pack_scores, _unpack_scores),
    "complete": _checked(Completion),
    "choose": _checked(ChoiceScores),
    "vocabulary": _Form(_pack_vocabulary, _unpack_vocabulary),
    "chat_prompt": _checked(Prompt),
}
