"""The byte alphabet of GPT-2."""

from __future__ import annotations

from autocog_core.tokenizers.byte_alphabet import BYTE_OF_CHARACTER
from autocog_core.toolkit import decode_byte_alphabet


def test_each_byte_has_one_printable_character() -> None:
    assert sorted(BYTE_OF_CHARACTER.values()) == list(range(256))
    assert all(character.isprintable() and character != " " for character in BYTE_OF_CHARACTER)


def test_texts_in_the_alphabet_are_bytes_and_others_are_utf8() -> None:
    assert decode_byte_alphabet("\u0120Paris") == b" Paris"
    assert decode_byte_alphabet("\u010a\u0109!~\u00c3\u00a9") == "\n\t!~é".encode()
    assert decode_byte_alphabet("\u0143\u0100") == b"\xad\x00"
    assert decode_byte_alphabet("東京\u0120") == "東京\u0120".encode()
    assert decode_byte_alphabet("") == b""
