"""The kinds of work on which models are compared. Each runs one item on one model.

A run is split in two, so that only what every user of the model does is measured: `run` calls the
model, and `read` takes the numbers from its answer.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from autocog_core.automaton.choices import ChoiceTexts
from autocog_core.comparison.item_result import (
    Candidate,
    Decision,
    ItemResult,
    Key,
    Pick,
    TextSum,
    margin_of,
)
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.choice_encoding import check_choices, encode_choices
from autocog_core.scoring.score_texts import TextRequest, encode_text, score_texts
from autocog_core.scoring.text_windows import split_into_windows
from autocog_core.types.choice import UNSCORED_METHODS, ChoiceRequest, ChoiceScores
from autocog_core.types.comparison_parts import WorkKind
from autocog_core.types.text_score import TextScore

Answer = TypeVar("Answer")


class Work(ABC, Generic[Answer]):
    """Items that both models get, one after the other.

    :ivar kind: what the items are.
    """

    kind: WorkKind

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items."""

    @abstractmethod
    def run(self, client: BackendClient, item: int) -> Answer:
        """Return the model's answer to one item."""

    @abstractmethod
    def read(self, client: BackendClient, item: int, answer: Answer) -> ItemResult:
        """Return the numbers of an answer."""

    @abstractmethod
    def count_tokens(self, answer: Answer) -> int | None:
        """Return the number of tokens that the model evaluated; None if it does not say."""


class TextWork(Work[TextScore]):
    """Texts to score.

    :param requests: the texts.
    :param window: maximum number of tokens to evaluate together; None for no limit.
    """

    kind = "texts"

    def __init__(self, requests: Sequence[TextRequest], window: int | None) -> None:
        self._requests = requests
        self._window = window

    def __len__(self) -> int:
        return len(self._requests)

    def run(self, client: BackendClient, item: int) -> TextScore:
        """Return the score of one text."""
        return score_texts(client, [self._requests[item]], window=self._window)[0]

    def read(self, client: BackendClient, item: int, answer: TextScore) -> ItemResult:
        """Return the tokens of a text, window by window."""
        encoded = encode_text(client, self._requests[item])
        info = client.info
        bos = [info.bos] if info.adds_bos and info.bos is not None else []
        decisions: dict[Key, Decision] = {}
        for window in split_into_windows(
            encoded.ids, max(1, encoded.start), bos=bos, size=self._window, stride=None
        ):
            tokens = tuple(encoded.ids[window.start : window.end])
            logprobs = tuple(
                token.logprob if token.logprob is not None else math.nan
                for token in answer.tokens[window.start - encoded.start :][: len(tokens)]
            )
            if not tokens:
                continue
            offset = window.start - encoded.start
            candidate = Candidate(text=answer.text, tokens=tokens, logprobs=logprobs, offset=offset)
            key = (str(offset),)
            decisions[key] = Decision(prefix=window.prefix, candidates=(candidate,))
        unscored = tuple(token.id for token in answer.tokens if token.logprob is None)
        sums: dict[Key, TextSum] = {}
        if answer.logprob is not None:
            scored = (answer.healed_text, unscored)
            sums[answer.text,] = TextSum(logprob=answer.logprob, scored=scored)
        return ItemResult(decisions=decisions, sums=sums)

    def count_tokens(self, answer: TextScore) -> int | None:
        """Return the tokens evaluated for the text."""
        return answer.tokens_evaluated


class ChoiceWork(Work[ChoiceScores]):
    """Prompts with their choices.

    :param requests: the requests, and how texts make the choices.
    :param choose: scores the choices of one request on one model.
    """

    kind = "choices"

    def __init__(
        self,
        requests: Sequence[tuple[ChoiceRequest, ChoiceTexts | None]],
        choose: Callable[[BackendClient, ChoiceRequest, ChoiceTexts | None], ChoiceScores],
    ) -> None:
        self._requests = requests
        self._choose = choose
        for request, _ in requests:
            check_choices(request)

    def __len__(self) -> int:
        return len(self._requests)

    def run(self, client: BackendClient, item: int) -> ChoiceScores:
        """Return the scores of one prompt's choices."""
        return self._choose(client, *self._requests[item])

    def read(self, client: BackendClient, item: int, answer: ChoiceScores) -> ItemResult:
        """Return the choices, their shares and the pick."""
        shares = {score.value: score.prob for score in answer.scores}
        best = answer.best
        others = [score.prob for score in answer.scores if score is not best]
        pick = Pick(value=best.value, prob=best.prob, margin=margin_of(best.prob, others))
        texts = [text for score in answer.scores for text in (score.texts or (score,))]
        if not answer.exact or answer.method in UNSCORED_METHODS:
            note = answer.reason or f'scores of the method "{answer.method}" are not exact'
            # Shares of a bare pick are 0 and 1, so that no divergence of them means anything.
            known = {} if answer.method in UNSCORED_METHODS else shares
            decision = Decision(prefix=None, candidates=(), shares=known)
            return ItemResult(decisions={(): decision}, picks={"": pick}, note=note)
        candidates = tuple(
            Candidate(text=text.choice, tokens=text.tokens, logprobs=text.token_logprobs)
            for text in texts
        )
        decision = Decision(
            prefix=self._read_prefix(client, item), candidates=candidates, shares=shares
        )
        scored = (answer.healed_text,)
        sums: dict[Key, TextSum] = {
            (text.choice,): TextSum(logprob=text.logprob, scored=scored) for text in texts
        }
        return ItemResult(decisions={(): decision}, sums=sums, picks={"": pick})

    def count_tokens(self, answer: ChoiceScores) -> int | None:
        """Return the tokens evaluated for the choices."""
        return answer.tokens_evaluated

    def _read_prefix(self, client: BackendClient, item: int) -> tuple[int, ...] | None:
        if not {"tokenize", "detokenize"} <= set(client.capabilities):
            return None
        request, texts = self._requests[item]
        owners = texts.owners if texts is not None and texts.has_several else None
        return encode_choices(client, request, owners=owners).shared_ids


AnyWork = Work[Any]
