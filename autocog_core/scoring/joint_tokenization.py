"""Text tokenized together with each of its continuations.

In a long text, only the end after a safe split is tokenized again. Of many continuations that
begin with a word, nothing is tokenized again for another text (`scoring/word_continuations.py`).
The tests compare both with the tokenization of the whole text (`full=True`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar
from weakref import WeakKeyDictionary, proxy

from autocog_core.errors import InputError
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.decided_tokens import DecidedTokens, Ids, decide_tokens
from autocog_core.scoring.joined_words import tokenize_joined
from autocog_core.scoring.word_continuations import MIN_CONTINUATIONS, WordContinuations
from autocog_core.tokenizers.word_boundaries import WORD_BOUNDARY, WORD_START, splits_before_words

#: Characters of the shortest text to split; shorter texts are cheap to tokenize again.
MIN_SPLIT_LENGTH = 256
#: The same for models whose tokens never cross a word boundary.
MIN_SPLIT_LENGTH_AT_BOUNDARIES = 16
#: Least characters between a split and the end of the text.
SPLIT_MARGIN = 96
#: Characters before the margin in which to search for a word boundary.
SPLIT_SEARCH_RANGE = 4096
#: Number of tokenized texts in a model's cache, if one list of continuations has no more. Rows of
#: a data set often end alike.
CACHE_SIZE = 32_768
#: From so many continuations on, joining them takes less time than a search in the vocabulary.
MIN_JOINED = 1000
#: Number of lists of continuations whose tokens are known for other texts, too.
MAX_LISTS = 8

_Key = tuple[str, tuple[str, ...], bool, bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class JointTokens:
    """The tokens of a text, alone and with its continuations.

    :ivar ids_before: the ids of the text before a safe split.
    :ivar text_ids: the ids of the rest of the text.
    :ivar shared: how many of `text_ids` no continuation changes.
    :ivar decided: the ids after these, of each continuation.
    """

    ids_before: Ids
    text_ids: Ids
    shared: int
    decided: DecidedTokens


class JointTokenizer:
    """Joint tokenization for one model, with a cache.

    :param client: the model's client.
    """

    _by_client: ClassVar[WeakKeyDictionary[BackendClient, JointTokenizer]] = WeakKeyDictionary()

    def __init__(self, client: BackendClient) -> None:
        self._client: BackendClient = proxy(client)
        self._lock = threading.Lock()
        self._cached_texts = 0
        self._cache: OrderedDict[_Key, tuple[int, DecidedTokens]] = OrderedDict()
        self._lists: OrderedDict[tuple[tuple[str, ...], bool], WordContinuations] = OrderedDict()
        self._splits_before_words: bool | None = None

    @classmethod
    def for_model(cls, client: BackendClient) -> JointTokenizer:
        """Return the tokenizer of a model; all calls of the model share its cache."""
        return cls._by_client.setdefault(client, cls(client))

    def tokenize(
        self,
        text: str,
        continuations: tuple[str, ...],
        *,
        at_start: bool,
        has_suffix: bool = False,
        full: bool = False,
    ) -> JointTokens:
        """Return the ids of `text`, alone and with continuations.

        :param text: the text before the continuations.
        :param continuations: texts that may follow it.
        :param at_start: whether the text begins the sequence.
        :param has_suffix: whether the last of them is the suffix, with which all others end.
        :param full: never split, and take nothing from the cache: tokenize the whole text with
            every continuation.
        """
        ids = self._tokenize([text], at_start)[0] if text else ()
        if full:
            joint = self._tokenize([text + end for end in continuations], at_start)
            shared, decided = decide_tokens(ids, joint, has_suffix=has_suffix)
            return JointTokens(ids_before=(), text_ids=ids, shared=shared, decided=decided)
        known = self._known_words(continuations, has_suffix)
        split = self._find_safe_split(text, ids, with_word_starts=known is not None)
        if split is not None:
            position, count = split
            before, text, ids, at_start = ids[:count], text[position:], ids[count:], False
        else:
            before = ()
        key = (text, continuations, at_start, has_suffix)
        found = self._from_cache(key) or self._from_words(known, text, ids, at_start)
        if found is None:
            joint = self._tokenize_all(text, ids, continuations, at_start)
            found = decide_tokens(ids, joint, has_suffix=has_suffix)
            self._keep(key, found)
            self._keep_words(key, ids, *found)
        shared, decided = found
        return JointTokens(ids_before=before, text_ids=ids, shared=shared, decided=decided)

    def _find_safe_split(
        self, text: str, ids: Ids, *, with_word_starts: bool
    ) -> tuple[int, int] | None:
        """Return the position of a safe split in `text`, and the number of tokens before it.

        Pre-tokenizers split there, whatever follows. As a check, the end of the text, tokenized
        alone, must have the same tokens as in the whole text.
        """
        splits_anywhere = self._client.info.splits_at_word_boundaries
        min_length = MIN_SPLIT_LENGTH_AT_BOUNDARIES if splits_anywhere else MIN_SPLIT_LENGTH
        if len(text) <= min_length:
            return None
        stop = len(text) - (1 if splits_anywhere else SPLIT_MARGIN)
        start = max(0, stop - SPLIT_SEARCH_RANGE)
        boundary = WORD_START if with_word_starts else WORD_BOUNDARY
        boundaries = [match.start() for match in boundary.finditer(text, start, stop)]
        for position in reversed(boundaries[-3:]):
            end = self._tokenize([text[position:]], False)[0]
            if end and ids[-len(end) :] == end:
                return position, len(ids) - len(end)
        return None

    def _known_words(
        self, continuations: tuple[str, ...], has_suffix: bool
    ) -> WordContinuations | None:
        """Return what is known of continuations after other texts, for many continuations."""
        if len(continuations) < MIN_CONTINUATIONS:
            return None
        with self._lock:
            known = self._lists.get((continuations, has_suffix))
            if known is not None:
                self._lists.move_to_end((continuations, has_suffix))
        if known is None or not self._check_vocabulary():
            return None
        return known

    def _check_vocabulary(self) -> bool:
        """Return whether no token of the model crosses the start of a word."""
        if self._splits_before_words is None:
            # What the backend declares is checked by its laws. So only its words are searched.
            self._splits_before_words = (
                self._client.info.splits_at_word_boundaries
                and "vocabulary" in self._client.capabilities
                and splits_before_words(self._client.vocabulary())
            )
        return self._splits_before_words

    def _from_words(
        self, known: WordContinuations | None, text: str, ids: Ids, at_start: bool
    ) -> tuple[int, DecidedTokens] | None:
        if known is None or not ids:
            return None
        decided = None
        # A text without tokens is named where all are tokenized, in the order given.
        with suppress(InputError):
            decided = known.decide_after(text, ids, lambda texts: self._tokenize(texts, at_start))
        return None if decided is None else (len(ids), decided)

    def _tokenize_all(
        self, text: str, ids: Ids, continuations: tuple[str, ...], at_start: bool
    ) -> list[Ids]:
        def tokenize(texts: Sequence[str]) -> list[Ids]:
            return self._tokenize(texts, at_start)

        joint = None
        if len(continuations) >= MIN_JOINED and self._check_vocabulary():
            with suppress(InputError):
                vocabulary = self._client.vocabulary()
                joint = tokenize_joined(text, ids, continuations, tokenize, vocabulary)
        return joint or tokenize([text + end for end in continuations])

    def _from_cache(self, key: _Key) -> tuple[int, DecidedTokens] | None:
        with self._lock:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
            return found

    def _keep(self, key: _Key, found: tuple[int, DecidedTokens]) -> None:
        with self._lock:
            if key not in self._cache:
                self._cache[key] = found
                self._cached_texts += len(key[1])
            while self._cached_texts > CACHE_SIZE and len(self._cache) > 1:
                self._cached_texts -= len(self._cache.popitem(last=False)[0][1])

    def _keep_words(self, key: _Key, ids: Ids, shared: int, decided: DecidedTokens) -> None:
        text, continuations, _, has_suffix = key
        if len(continuations) < MIN_CONTINUATIONS or shared < len(ids):
            return
        words = WordContinuations.of(text, continuations, decided, has_suffix=has_suffix)
        if words is None:
            return
        with self._lock:
            self._lists[continuations, has_suffix] = words
            if len(self._lists) > MAX_LISTS:
                self._lists.popitem(last=False)

    def _tokenize(self, texts: Sequence[str], at_start: bool) -> list[Ids]:
        return [tuple(ids) for ids in self._client.tokenize(texts, at_start=at_start)]
