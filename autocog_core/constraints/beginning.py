"""The bytes with which every text of a constraint begins."""

from __future__ import annotations

from autocog_core.constraints.language import body_grammar
from autocog_core.constraints.llguidance_calls import new_matcher
from autocog_core.constraints.tokenizers import byte_tokenizer
from autocog_core.types.constraint import Constraint

#: Bytes after which the search for the beginning ends.
MAX_BEGINNING_BYTES = 4_000


def fixed_beginning(constraint: Constraint) -> bytes:
    """Return the bytes with which all texts of a constraint begin, as far as no byte has a choice.

    :param constraint: a constraint without errors.
    :raises InputError: if it is too large.
    """
    matcher = new_matcher(byte_tokenizer(), body_grammar(constraint))
    beginning = bytearray()
    while len(beginning) < MAX_BEGINNING_BYTES and not matcher.is_accepting():
        bits = int.from_bytes(matcher.compute_bitmask(), "little")
        if matcher.is_error() or bits.bit_count() != 1:
            break
        byte = bits.bit_length() - 1
        matcher.consume_token(byte)
        beginning.append(byte)
    return bytes(beginning)
