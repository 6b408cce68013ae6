"""Whether choices differ so much in length that the norm "sum" is about their lengths."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from autocog_core.errors import shorten
from autocog_core.types.choice import Norm

#: Words from which a choice counts as a sentence, and no longer as a label.
MIN_SENTENCE_WORDS = 6
#: So many words have at least as many characters, and blanks between them.
_MIN_SENTENCE_CHARACTERS = 2 * MIN_SENTENCE_WORDS - 1
#: Ratio of the most words to the fewest from which lengths differ much.
MAX_LENGTH_RATIO = 2.0


def length_warning(choices: Sequence[str], norm: Norm) -> str:
    """Return a warning if "sum" ranks sentences of very different lengths; else "".

    Each word lowers the log-probability of a text. So "sum" favors short choices, whatever they
    say. Labels of a few words do not count: their probabilities are those that are meant.

    :param choices: the texts of the choices.
    :param norm: the norm that ranks them.
    """
    if norm != "sum" or len(choices) < 2:
        return ""
    return _sum_warning(tuple(choices))


# Rows of a data set often have the same choices.
@lru_cache(maxsize=8)
def _sum_warning(choices: tuple[str, ...]) -> str:
    if max(map(len, choices)) < _MIN_SENTENCE_CHARACTERS:
        # Counting the words of many choices takes long.
        return ""
    counts = [len(choice.split()) for choice in choices]
    longest = max(counts)
    shortest = max(1, min(counts))
    if longest < MIN_SENTENCE_WORDS or longest < MAX_LENGTH_RATIO * shortest:
        return ""
    short = choices[counts.index(min(counts))]
    return (
        f"the choices have {min(counts)} to {longest} words, and the norm sum favors short ones "
        f"such as {shorten(short)!r}; compare the norms mean, per_byte and pmi"
    )
