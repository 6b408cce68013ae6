"""Random texts of what tokenizers treat differently: blanks, digits, scripts, signs, marks."""

from __future__ import annotations

import random
import unicodedata

BLANKS = (
    *(" ", " ", " ", "  ", "   ", "     ", "\n", "\n\n", "\n\n\n", "\r\n", "\r", "\t", "\t\t"),
    *(" \n", "\n \n", "\xa0", "\x85", "\x0b", "\x0c", "\u2003", "\u2028", "\u3000", "\u200b"),
)
DIGITS = (
    *("0", "1", "7", "12", "123", "1234", "12345", "2024", "3.14", "1,000", "+1"),
    *("\u0663", "\xb2", "\xbd", "\u2167", "\u0967\u0968", "\u2460"),
)
WORDS = (
    *("the", "Paris", "Answer:", "don't", "I'LL", "we've", "'S", "'", "O'Re", "aB", "AbC", "ABc"),
    *("naïve", "café", "e\u0301", "a\u0300b", "\u0301", "Straße", "ÀÉi", "éÀ", "Ǆ", "ǅ", "ʰ", "ª"),
    *("ЁЖ", "привет", "東京", "日本の", "한국어", "ไทย", "हिन्दी", "عربي", "עִבְרִית", "Ω", "ﬁ", "µ"),
    *("😀", "👩\u200d👩\u200d👧", "🇫🇷", "\ufeff", "\u202e", "\ufffd", "\x00", "\x01", "\x1b[0m"),
    *("x=y", "__init__", "HTTP/2", "a/b/", "/\n", "f(x)", "{}", "$", "€", "~`", "^", "|", "#"),
    *("—", "…", "。", "،", "«»", "<|im_end|>", "<|bos|>", "<tool_call>", "<s>", "</s>", "<0x0A>"),
)


def draw_text(seed: int) -> str:
    """Return a text; the same for the same seed."""
    generator = random.Random(seed)
    return "".join(_draw_part(generator) for _ in range(generator.randint(1, 12)))


def _draw_part(generator: random.Random) -> str:
    kind = generator.random()
    if kind < 0.9:
        return generator.choice(BLANKS if kind < 0.35 else DIGITS if kind < 0.55 else WORDS)
    while True:
        character = chr(generator.randrange(generator.choice((0x80, 0x3000, 0x10000, 0x20000))))
        # Surrogates are no text, and the versions of Unicode differ in what is not assigned.
        if unicodedata.category(character) not in ("Cs", "Cn"):
            return character
