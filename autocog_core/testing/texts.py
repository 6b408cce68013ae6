"""Texts that the laws use: prompts, choices, and texts that tokenizers often damage."""

from __future__ import annotations

from collections.abc import Sequence

#: Shortest first, so that a violation is reported with a short prompt.
PROMPTS = (
    "a b",
    "1 + 1 =",
    "The answer:",
    "Grüße 😀 und\n\n",
    "The capital of ",
    "The capital of France is",
)

CHOICES = (" Paris", " Paris, France", " Lyon", " no no no", "1", "10", "100", "é")

TRICKY_TEXTS = (
    "a",
    " a",
    "  a",
    "a ",
    "\n",
    "\n\n\n",
    "\t\tif x:\r\n\t\t\treturn",
    " " * 17 + "x",
    "é",
    "e\u0301",
    "ﬁ ½ Ⅷ",
    "日本語の文章",
    "العربية \u200fעברית",  # noqa: RUF001
    "😀",
    "👩\u200d👩\u200d👧 🏳\ufe0f\u200d🌈",
    "\x00\x01\x7f",
    "\ufeffbom",
    "\ufffd",
    "a\u200bb\u00a0c\u2028d",
    "don't you'll I'm",
    "3.14159265358979 1,000,000",
    "<b>&amp;</b> {{ x }} [INST] </s> <|end|>",
    "x" * 300,
    "Donaudampfschifffahrtsgesellschaftskapitän" * 4,
    "\U0010fffd \U00020000",
)

#: The built-in texts of a quick check: short, and of each kind one.
QUICK_PROMPTS = ("a b", "The answer:", "The capital of ")
QUICK_CHOICES = (" Paris", " Lyon", "1", "10")
QUICK_TRICKY_TEXTS = ("a ", "\n\n\n", "\t\tif x:", "e\u0301", "日本語", "😀", "</s> <|end|>")

#: The laws skip those of these texts that a model's vocabulary cannot express.
BUILT_IN_TEXTS = frozenset(
    (*PROMPTS, *CHOICES, *TRICKY_TEXTS, *QUICK_PROMPTS, *QUICK_CHOICES, *QUICK_TRICKY_TEXTS)
)


def quick_texts(
    prompts: Sequence[str], choices: Sequence[str], tricky_texts: Sequence[str]
) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Return the texts of a quick check: an author's own, and few of the built-in ones."""
    return (
        QUICK_PROMPTS if prompts is PROMPTS else prompts,
        QUICK_CHOICES if choices is CHOICES else choices,
        QUICK_TRICKY_TEXTS if tricky_texts is TRICKY_TEXTS else tricky_texts,
    )


def out_of_order(texts: Sequence[str]) -> list[str]:
    """Return texts, shortest first, in an order that is neither ascending nor descending.

    An engine may sort a batch by length. With this order, a missing sort back is visible.
    """
    return [*texts[1:], texts[0]]
