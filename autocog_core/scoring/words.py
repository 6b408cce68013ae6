"""Words of a tokenized text, and their surprisal.

Most tokenizers put the blank between two words at the beginning of the second one's token, so the
sum over a word's tokens is the probability that it *follows a blank*, and says nothing about where
it ends ("cat" or "cats"?). So the probability that a blank comes next is moved to the word that it
ends: Pimentel and Meister (2024), "How to Compute the Probability of a Word"; Oh and Schuler
(2024), "Leading Whitespaces of Language Models' Subword Vocabulary Pose a Confound for Calculating
Word Probabilities".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core.types.text_score import ScoredToken, ScoredWord

#: ASCII's blanks.
_BLANKS = b" \t\n\r\v\f"
_WORD = re.compile(rb"[^ \t\n\r\v\f]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class WordSpan:
    """One word, or several that a token spans.

    :ivar text: the bytes of the word, without the blanks around it.
    :ivar first_token: index of the first token that has a part of it.
    :ivar begins_with_blank: whether that token begins with the blank before the word.
    """

    text: bytes
    first_token: int
    begins_with_blank: bool


def find_words(raw_tokens: Sequence[bytes]) -> list[WordSpan]:
    """Return the words of a text, first to last.

    :param raw_tokens: the bytes of the text's tokens.
    """
    text = b"".join(raw_tokens)
    token_of_byte = np.repeat(np.arange(len(raw_tokens)), [len(raw) for raw in raw_tokens]).tolist()
    words: list[WordSpan] = []
    start, last_token = 0, -1
    for match in _WORD.finditer(text):
        first_token = token_of_byte[match.start()]
        if first_token == last_token:
            # One token spans this word and the one before it.
            words[-1] = WordSpan(
                text=text[start : match.end()],
                first_token=words[-1].first_token,
                begins_with_blank=words[-1].begins_with_blank,
            )
        else:
            start = match.start()
            words.append(
                WordSpan(
                    text=match.group(),
                    first_token=first_token,
                    begins_with_blank=raw_tokens[first_token][:1] in _BLANKS,
                )
            )
        last_token = token_of_byte[match.end() - 1]
    return words


def word_end_mask(vocabulary: Sequence[bytes], eos: Sequence[int]) -> NDArray[np.bool_]:
    """Return which tokens end the word before them: bool (V,).

    :param vocabulary: the bytes of every token.
    :param eos: ids that end the sequence, and so a word.
    """
    mask = np.fromiter((raw[:1] in _BLANKS and raw != b"" for raw in vocabulary), dtype=np.bool_)
    mask[list(eos)] = True
    return mask


def word_boundaries(words: Sequence[WordSpan], count: int) -> list[int]:
    """Return the indices of tokens before which the probability of a word's end is needed.

    :param words: the words of a text.
    :param count: number of the text's tokens, which is the last index.
    """
    return [*(word.first_token for word in words if word.begins_with_blank), count]


def score_words(
    words: Sequence[WordSpan],
    tokens: Sequence[ScoredToken],
    word_end_logprobs: Mapping[int, float],
) -> list[ScoredWord]:
    """Return the words with their surprisal in bits.

    :param words: the words of a text.
    :param tokens: the text's tokens.
    :param word_end_logprobs: log of the probability that the word ends there, before the tokens
        that `word_boundaries` names; none where there is nothing to condition on.
    """
    scored: list[ScoredWord] = []
    for index, word in enumerate(words):
        is_last = index == len(words) - 1
        # Tokens of blanks alone belong to the word before them, at the start to the first word.
        first = word.first_token if index else 0
        end = len(tokens) if is_last else words[index + 1].first_token
        logprobs = [token.logprob for token in tokens[first:end]]
        known = [logprob for logprob in logprobs if logprob is not None]
        before = word_end_logprobs.get(word.first_token, 0.0) if word.begins_with_blank else 0.0
        after = word_end_logprobs.get(end, 0.0)
        surprisal = None
        if len(known) == len(logprobs):
            # An impossible token is infinitely surprising, whatever the blanks around it.
            total = math.fsum(known)
            surprisal = math.inf if total == -math.inf else (before - total - after) / math.log(2)
        scored.append(
            ScoredWord(
                text=word.text.decode("utf-8", errors="replace"),
                first_token=first,
                end_token=end,
                surprisal=surprisal,
            )
        )
    return scored
