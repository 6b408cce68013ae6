"""Many continuations that begin with a word, after texts that differ from row to row.

No token crosses the start of a word in most vocabularies
(`tokenizers.word_boundaries.WORD_START`). So text before it changes none of the tokens after it,
and the tokens of " Paris" after one text are those after each other text. `decide_after` tokenizes
again what does not begin with a word, and as a check some that do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from autocog_core.scoring.decided_tokens import DecidedTokens, Ids, make_decided_tokens
from autocog_core.tokenizers.word_boundaries import begins_with_word, ends_before_word

#: Fewer continuations are tokenized again in less time than all this takes.
MIN_CONTINUATIONS = 64
#: Continuations that are tokenized again after each text as a check.
SAMPLE_SIZE = 4


class WordContinuations:
    """The tokens of continuations that begin with a word, known from one text.

    :param decided: the decided tokens of the continuations after a text that they do not change.
    :param others: the indexes of continuations that do not begin with a word.
    :param sample: the indexes of some that do.
    """

    def __init__(
        self,
        continuations: tuple[str, ...],
        decided: DecidedTokens,
        others: Sequence[int],
        sample: Sequence[int],
        *,
        has_suffix: bool,
    ) -> None:
        self._choice_count = len(decided.choice_ids)
        self._others = [index for index in others if index < self._choice_count]
        retokenized = [*self._others, *sample]
        self._texts = [continuations[index] for index in retokenized]
        if has_suffix:
            self._texts.append(continuations[-1])
        self._has_suffix = has_suffix
        self._sample_ids = [decided.choice_ids[index] for index in sample]
        self._lock = threading.Lock()
        self._last_others = [decided.choice_ids[index] for index in self._others]
        self._last = decided

    @classmethod
    def of(
        cls,
        text: str,
        continuations: tuple[str, ...],
        decided: DecidedTokens,
        *,
        has_suffix: bool,
    ) -> WordContinuations | None:
        """Return what is known from one text; None if that is too little.

        :param text: the text.
        :param continuations: what may follow it, at last the suffix if there is one.
        :param decided: their decided tokens; they do not change the text's.
        :param has_suffix: whether there is a suffix.
        """
        if not ends_before_word(text) or decided.dropped is not None or decided.drops_suffix:
            return None
        others = [index for index, end in enumerate(continuations) if not begins_with_word(end)]
        if len(others) > len(continuations) // 2:
            return None
        apart = set(others)
        words = [index for index in range(len(decided.choice_ids)) if index not in apart]
        sample = words[:: max(1, len(words) // SAMPLE_SIZE)][:SAMPLE_SIZE]
        return cls(continuations, decided, others, sample, has_suffix=has_suffix)

    def decide_after(
        self, text: str, text_ids: Ids, tokenize: Callable[[Sequence[str]], list[Ids]]
    ) -> DecidedTokens | None:
        """Return the decided tokens after another text; None if they are not known.

        :param text: the text.
        :param text_ids: its ids.
        :param tokenize: returns the ids of each text.
        """
        if not ends_before_word(text):
            return None
        count = len(text_ids)
        joint = tokenize([text + end for end in self._texts])
        if any(ids[:count] != text_ids or len(ids) == count for ids in joint):
            return None
        ends = [ids[count:] for ids in joint]
        without = ends.pop() if self._has_suffix else ()
        other_count = len(self._others)
        others, sample = ends[:other_count], ends[other_count:]
        if sample != self._sample_ids:
            return None
        with self._lock:
            decided = self._last
            if others != self._last_others:
                choice_ids = list(decided.choice_ids)
                for index, ids in zip(self._others, others, strict=True):
                    choice_ids[index] = ids
                decided = make_decided_tokens(tuple(choice_ids), dropped=None, drops_suffix=False)
                self._last, self._last_others = decided, others
        if without and without in decided.choice_ids:
            # One of them has no token of its own: it has to be named.
            return None
        return decided
