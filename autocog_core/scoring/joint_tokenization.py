"""Text tokenized together with each of its continuations.

In a long text, only the end after a safe split is tokenized again. The tests compare this with the
tokenization of the whole text (`full=True`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar
from weakref import WeakKeyDictionary, proxy

from autocog_core.hooks.client import BackendClient
from autocog_core.toolkit.word_boundaries import WORD_BOUNDARY

#: Characters of the shortest text to split; shorter texts are cheap to tokenize again.
MIN_SPLIT_LENGTH = 256
#: The same for models whose tokens never cross a word boundary.
MIN_SPLIT_LENGTH_AT_BOUNDARIES = 16
#: Least characters between a split and the end of the text.
SPLIT_MARGIN = 96
#: Characters before the margin in which to search for a word boundary.
SPLIT_SEARCH_RANGE = 4096
#: Maximum number of tokenized texts in a model's cache. Rows of a data set often end alike.
CACHE_SIZE = 4096

Ids = tuple[int, ...]


class JointTokenizer:
    """Joint tokenization for one model, with a cache.

    :param client: the model's client.
    """

    _by_client: ClassVar[WeakKeyDictionary[BackendClient, JointTokenizer]] = WeakKeyDictionary()

    def __init__(self, client: BackendClient) -> None:
        self._client: BackendClient = proxy(client)
        self._lock = threading.Lock()
        self._cached_texts = 0
        self._cache: OrderedDict[tuple[str, tuple[str, ...], bool], list[Ids]] = OrderedDict()

    @classmethod
    def for_model(cls, client: BackendClient) -> JointTokenizer:
        """Return the tokenizer of a model; all calls of the model share its cache."""
        return cls._by_client.setdefault(client, cls(client))

    def tokenize(
        self, text: str, continuations: Sequence[str], *, at_start: bool, full: bool = False
    ) -> tuple[Ids, Ids, list[Ids]]:
        """Return the ids of `text` before a safe split, those after it, and with continuations.

        :param text: the text before the continuations.
        :param continuations: texts that may follow it.
        :param at_start: whether the text begins the sequence.
        :param full: never split: tokenize the whole text with every continuation.
        :returns: the ids before the split; the ids of the rest of the text; and, for each
            continuation, the ids of that rest and the continuation together.
        """
        splits_anywhere = self._client.info.splits_at_word_boundaries
        min_length = MIN_SPLIT_LENGTH_AT_BOUNDARIES if splits_anywhere else MIN_SPLIT_LENGTH
        if not full and len(text) > min_length:
            ids = self._tokenize([text], at_start)[0]
            split = self._find_safe_split(text, ids, 1 if splits_anywhere else SPLIT_MARGIN)
            if split is not None:
                position, count = split
                joint = self._tokenize_jointly(text[position:], continuations, False)
                return ids[:count], ids[count:], joint
        if not text:
            return (), (), self._tokenize_jointly("", continuations, at_start)
        ids = self._tokenize([text], at_start)[0]
        if full:
            return (), ids, self._tokenize([text + end for end in continuations], at_start)
        return (), ids, self._tokenize_jointly(text, continuations, at_start)

    def _find_safe_split(self, text: str, ids: Ids, margin: int) -> tuple[int, int] | None:
        """Return the position of a safe split in `text`, and the number of tokens before it.

        Pre-tokenizers split there, whatever follows. As a check, the end of the text, tokenized
        alone, must have the same tokens as in the whole text.
        """
        stop = len(text) - margin
        start = max(0, stop - SPLIT_SEARCH_RANGE)
        boundaries = [match.start() for match in WORD_BOUNDARY.finditer(text, start, stop)]
        for position in reversed(boundaries[-3:]):
            end = self._tokenize([text[position:]], False)[0]
            if end and ids[-len(end) :] == end:
                return position, len(ids) - len(end)
        return None

    def _tokenize_jointly(
        self, text: str, continuations: Sequence[str], at_start: bool
    ) -> list[Ids]:
        """Return the ids of the text with each continuation, from the cache if possible."""
        key = (text, tuple(continuations), at_start)
        with self._lock:
            cached = self._cache.get(key)
            if cached is not None:
                self._cache.move_to_end(key)
                return cached
        joint = self._tokenize([text + end for end in continuations], at_start)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = joint
                self._cached_texts += len(joint)
            while self._cached_texts > CACHE_SIZE:
                self._cached_texts -= len(self._cache.popitem(last=False)[1])
        return joint

    def _tokenize(self, texts: Sequence[str], at_start: bool) -> list[Ids]:
        return [tuple(ids) for ids in self._client.tokenize(texts, at_start=at_start)]
