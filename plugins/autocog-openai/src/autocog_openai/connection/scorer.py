"""Requests for log-probabilities at one position, and their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

#: Upper bound of token ids if the server does not report its vocabulary size.
MAX_VOCABULARY_SIZE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRequest:
    """What is requested at one position.

    :ivar tokens: all ids before the position.
    :ivar named_ids: ids whose log-probability is requested.
    :ivar top_k: the number of most likely tokens to list; -1 lists all tokens.
    """

    tokens: tuple[int, ...]
    named_ids: tuple[int, ...] = ()
    top_k: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionAnswer:
    """What a server returned about one position.

    :ivar logprobs: log-probabilities by token id, including ones that were not requested.
    :ivar top_k: the number of most likely tokens that are surely in `logprobs`; -1 means all.
    :ivar tokens_evaluated: tokens that the server evaluated for this answer.
    """

    logprobs: Mapping[int, float] = field(default_factory=dict)
    top_k: int = 0
    tokens_evaluated: int = 0


class Scorer(Protocol):
    """Exact log-probabilities from one kind of server."""

    def plan(self, request: PositionRequest, answer: PositionAnswer) -> Sequence[PositionRequest]:
        """Split a request into requests that the server supports.

        :param request: what is still missing at a position.
        :param answer: what the server has returned about this position so far.
        :returns: the requests to send next; none if the server cannot answer.
        """
        ...

    def request(self, request: PositionRequest) -> PositionAnswer:
        """Send one of the planned requests.

        :raises MalformedAnswerError: if the server does not return what was requested.
        """
        ...


def score_token(scorer: Scorer, tokens: Sequence[int], token: int) -> float:
    """Return the log-probability of one token after `tokens`.

    :raises LookupError: if the server cannot answer.
    """
    position = PositionRequest(tokens=tuple(tokens), named_ids=(token,))
    answer = PositionAnswer()
    while token not in answer.logprobs and answer.top_k != -1:
        requests = scorer.plan(position, answer)
        if not requests:
            break
        for request in requests:
            answer = merge_answers(answer, scorer.request(request))
    return answer.logprobs[token]


def merge_answers(first: PositionAnswer, second: PositionAnswer) -> PositionAnswer:
    """Return what two answers about one position contain together."""
    top_k = -1 if -1 in (first.top_k, second.top_k) else max(first.top_k, second.top_k)
    return PositionAnswer(
        # The first value wins, so that values of one request stay together.
        logprobs={**second.logprobs, **first.logprobs},
        top_k=top_k,
        tokens_evaluated=first.tokens_evaluated + second.tokens_evaluated,
    )
