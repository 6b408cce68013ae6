"""The texts of tokens, for pictures of results: a tree itself holds ids."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from autocog_core.errors import CapabilityError, InputError

if TYPE_CHECKING:
    # `autocog choose --help` imports this module, but not NumPy.
    from autocog_core.types.thought_node import ThoughtNode

#: The bytes of tokens by their ids, by the name of the model; "" is the main model.
TokenBytes = Mapping[str, Mapping[int, bytes]]


class Detokenizer(Protocol):
    """What knows the bytes of tokens, such as a `Model`."""

    def detokenize_bytes(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of tokens."""


def read_token_bytes(
    nodes: Iterable[ThoughtNode], models: Mapping[str, Detokenizer]
) -> dict[str, dict[int, bytes]]:
    """Return the bytes of the decided tokens of nodes, each asked once.

    :param nodes: the nodes of a tree.
    :param models: by name, the models that are known; "" is the main one.
    """
    tokens: dict[str, set[int]] = {}
    for node in nodes:
        if node.logprobs:
            tokens.setdefault(node.model or "", set()).update(node.tokens)
    found = {}
    for name in tokens.keys() & models.keys():
        found[name] = bytes_of_tokens(tokens[name], models[name])
    return {name: known for name, known in found.items() if known}


def bytes_of_tokens(tokens: Iterable[int], model: Detokenizer) -> dict[int, bytes]:
    """Return the bytes of tokens by their ids; nothing if the model has no tokenizer.

    :param tokens: the ids.
    :param model: their model.
    """
    # A server may have no tokenizer.
    with suppress(CapabilityError):
        return {token: model.detokenize_bytes([token]) for token in sorted(set(tokens))}
    return {}


def split_text(raw_tokens: Sequence[bytes]) -> list[str]:
    """Return the text of each token; together they are the whole text.

    A character of several tokens belongs to the last of them. What is not UTF-8 becomes U+FFFD.

    :param raw_tokens: the bytes of consecutive tokens.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    last = len(raw_tokens) - 1
    return [decoder.decode(raw, final=index == last) for index, raw in enumerate(raw_tokens)]


def token_bytes_to_dict(token_bytes: TokenBytes) -> dict[str, dict[str, str]]:
    """Return plain data for JSON: the bytes in hexadecimal."""
    return {
        name: {str(token): raw.hex() for token, raw in known.items()}
        for name, known in token_bytes.items()
    }


def token_bytes_from_dict(data: Mapping[str, Mapping[str, str]]) -> TokenBytes:
    """Return what `token_bytes_to_dict` wrote.

    :raises InputError: for anything else.
    """
    try:
        return {
            name: {int(token): bytes.fromhex(raw) for token, raw in known.items()}
            for name, known in data.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"token_bytes is malformed: {error}", where="tree") from error
