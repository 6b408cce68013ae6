"""Answers of hooks as plain data for JSON and raw bytes, without loss of precision.

Arrays, bytes and vocabularies become raw bytes; JSON represents all other floats exactly.
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
from autocog_core.types.top_choices import TopChoices
from autocog_core.wrappers.call_key import to_plain_data

_DTYPES = {"float32", "float64", "int32", "int64"}


class Packed(NamedTuple):
    """A packed answer.

    :ivar head: plain data.
    :ivar raw: the parts that would be long as text.
    """

    head: Any
    raw: bytes = b""


class _Codec(NamedTuple):
    pack: Callable[[Any], Packed]
    unpack: Callable[[Packed], Any]


def pack(hook: str, answer: Any) -> Packed:
    """Pack the answer of one call, or of one of its texts or queries.

    :param hook: the hook.
    :param answer: the answer.
    :raises TypeError, ValueError, AttributeError: if the answer is not of the hook's type.
    """
    return _CODECS[hook].pack(answer)


def unpack(hook: str, packed: Packed) -> Any:
    """Return the answer that was packed.

    :param hook: the hook.
    :param packed: the packed answer.
    :raises ValueError, TypeError, KeyError: if it is not a packed answer of this hook.
    """
    return _CODECS[hook].unpack(packed)


def _pack_arrays(*arrays: NDArray[Any]) -> Packed:
    for array in arrays:
        if str(array.dtype) not in _DTYPES:
            raise TypeError(f"an array of {array.dtype}")
    head = [[str(array.dtype), list(array.shape)] for array in arrays]
    return Packed(head, b"".join(array.tobytes() for array in arrays))


def _unpack_arrays(head: Any, raw: bytes) -> list[NDArray[Any]]:
    arrays, start = [], 0
    for dtype, shape in head:
        if dtype not in _DTYPES:
            raise ValueError(f"an array of {dtype}")
        count = int(np.prod(shape, dtype=np.int64))
        # A copy, because arrays over bytes are read-only.
        flat = np.frombuffer(raw, dtype=dtype, count=count, offset=start).copy()
        arrays.append(flat.reshape(shape))
        start += flat.nbytes
    if start != len(raw):
        raise ValueError(f"expected {start} bytes, got {len(raw)}")
    return arrays


def _pack_scores(scores: TreeScores) -> Packed:
    arrays = _pack_arrays(
        scores.values,
        scores.top_tokens,
        scores.top_logprobs,
        *(() if scores.mask_logprobs is None else (scores.mask_logprobs,)),
    )
    return Packed([int(scores.tokens_evaluated), arrays.head], arrays.raw)


def _unpack_scores(packed: Packed) -> TreeScores:
    evaluated, head = packed.head
    values, top_tokens, top_logprobs, *mask_logprobs = _unpack_arrays(head, packed.raw)
    return TreeScores(
        values=values,
        top_tokens=top_tokens,
        top_logprobs=top_logprobs,
        tokens_evaluated=evaluated,
        mask_logprobs=mask_logprobs[0] if mask_logprobs else None,
    )


def _pack_vocabulary(surfaces: Sequence[bytes]) -> Packed:
    return Packed([len(surface) for surface in surfaces], b"".join(surfaces))


def _unpack_vocabulary(packed: Packed) -> list[bytes]:
    ends = np.cumsum(packed.head, dtype=np.int64).tolist()
    return [packed.raw[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@cache
def _adapter(type_: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def _plain_codec(type_: Any) -> _Codec:
    """Return a codec for plain data that is validated when it is unpacked."""
    return _Codec(
        lambda answer: Packed(to_plain_data(answer)),
        lambda packed: _adapter(type_).validate_python(packed.head),
    )


_CODECS = {
    "tokenize": _plain_codec(list[int]),
    "detokenize": _Codec(lambda text: Packed(None, bytes(text)), lambda packed: packed.raw),
    "greedy_impl": _Codec(_pack_arrays, lambda packed: _unpack_arrays(*packed)[0]),
    "greedy_tree_impl": _Codec(_pack_scores, _unpack_scores),
    "complete": _plain_codec(Completion),
    "choose": _plain_codec(ChoiceScores | TopChoices),
    "vocabulary": _Codec(_pack_vocabulary, _unpack_vocabulary),
    "chat_prompt": _plain_codec(Prompt),
}
