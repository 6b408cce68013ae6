"""Fixed text tokenized jointly with each of its continuations, and no more of it than matters."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar
from weakref import WeakKeyDictionary, proxy

from autocog_core.hooks.client import BackendClient
from autocog_core.toolkit.word_boundaries import WORD_BOUNDARY

#: Texts longer than this are cut before joint tokenization; shorter ones are cheap as they are.
SHORT = 256
#: How much text stays before the boundary after a cut, and how far back a border is looked for.
MARGIN = 96
REACH = 4096
#: Of vocabularies that keep borders a cut may be as near as it likes.
SHORT_KEPT = 16
#: Texts whose joint tokens a model keeps: rows of a data set end alike, and have the same choices.
KEPT = 4096

Ids = tuple[int, ...]


class JointTokenizer:
    """The joint tokenizations of one model."""

    _of_callers: ClassVar[WeakKeyDictionary[BackendClient, JointTokenizer]] = WeakKeyDictionary()

    def __init__(self, client: BackendClient) -> None:
        self._client: BackendClient = proxy(client)
        self._lock = threading.Lock()
        self._count = 0
        self._known: OrderedDict[tuple[str, tuple[str, ...], bool], list[Ids]] = OrderedDict()

    @classmethod
    def of_model(cls, client: BackendClient) -> JointTokenizer:
        """Those of a model, kept from call to call."""
        return cls._of_callers.setdefault(client, cls(client))

    def of(
        self, text: str, continuations: Sequence[str], *, at_start: bool, whole: bool = False
    ) -> tuple[Ids, Ids, list[Ids]]:
        """The text's tokens before a safe cut, those after it, and with each continuation.

        :param whole: tokenize the whole text with every continuation: the slow and obvious way,
            which the fast one must equal.
        """
        keeps = self._client.info.splits_at_word_boundaries
        if not whole and len(text) > (SHORT_KEPT if keeps else SHORT):
            fixed = self._tokenize([text], at_start)[0]
            cut = self._find_safe_split(text, fixed, 1 if keeps else MARGIN)
            if cut is not None:
                position, count = cut
                tails = self._joint(text[position:], continuations, False)
                return fixed[:count], fixed[count:], tails
        if not text:
            return (), (), self._joint("", continuations, at_start)
        fixed = self._tokenize([text], at_start)[0]
        if whole:
            return (), fixed, self._tokenize([text + end for end in continuations], at_start)
        return (), fixed, self._joint(text, continuations, at_start)

    def _find_safe_split(self, text: str, fixed: Ids, margin: int) -> tuple[int, int] | None:
        """A position in `text` at which it may be cut, and the number of tokens before it.

        The border is one that pre-tokenizers keep whatever follows; and the end of the text,
        tokenized on its own, must give the very tokens that it has in the whole.
        """
        stop = len(text) - margin
        start = max(0, stop - REACH)
        borders = [match.start() for match in WORD_BOUNDARY.finditer(text, start, stop)]
        for position in reversed(borders[-3:]):
            tail = self._tokenize([text[position:]], False)[0]
            if tail and fixed[-len(tail) :] == tail:
                return position, len(fixed) - len(tail)
        return None

    def _joint(self, text: str, continuations: Sequence[str], at_start: bool) -> list[Ids]:
        key = (text, tuple(continuations), at_start)
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
                return found
        found = self._tokenize([text + end for end in continuations], at_start)
        with self._lock:
            if key not in self._known:
                self._known[key] = found
                self._count += len(found)
            while self._count > KEPT:
                self._count -= len(self._known.popitem(last=False)[1])
        return found

    def _tokenize(self, texts: Sequence[str], at_start: bool) -> list[Ids]:
        return [tuple(ids) for ids in self._client.tokenize(texts, at_start=at_start)]
