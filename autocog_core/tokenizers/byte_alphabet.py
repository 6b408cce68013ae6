"""The byte alphabet of GPT-2: tokenizer files of byte-level BPE write each byte as one character.

Printable characters of Latin-1 stand for their own byte. All other bytes are numbered from U+0100
on: a blank (0x20) is U+0120, a newline (0x0A) is U+010A.
"""

from __future__ import annotations

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_OTHERS = [byte for byte in range(0x100) if byte not in _PRINTABLE]

#: The byte of each of the 256 characters.
BYTE_OF_CHARACTER: dict[str, int] = {chr(byte): byte for byte in _PRINTABLE} | {
    chr(0x100 + index): byte for index, byte in enumerate(_OTHERS)
}


def decode_byte_alphabet(text: str) -> bytes:
    """Return the bytes that `text` spells in the byte alphabet.

    A text with other characters, such as a token that was added later, is plain UTF-8.

    :param text: a token as the tokenizer file writes it.
    """
    if all(character in BYTE_OF_CHARACTER for character in text):
        return bytes(BYTE_OF_CHARACTER[character] for character in text)
    return text.encode("utf-8")
