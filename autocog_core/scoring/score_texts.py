"""Scores of given texts: their log-probability after a context, per token and per word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import InputError, shorten
from autocog_core.hooks.client import BackendClient
from autocog_core.numerics import logsumexp
from autocog_core.scoring.prompt_encoding import find_boundary, split_prompt
from autocog_core.scoring.query_batches import MAX_PROBABILITIES_PER_CALL, score_queries
from autocog_core.scoring.text_windows import Window, split_into_windows
from autocog_core.scoring.words import (
    WordSpan,
    find_words,
    score_words,
    word_boundaries,
    word_end_mask,
)
from autocog_core.types.choice import Boundary
from autocog_core.types.prompt import Prompt, check_text
from autocog_core.types.text_score import ScoredToken, TextScore
from autocog_core.types.token_tree import TreeQuery, TreeScores, common_prefix_length


@dataclass(frozen=True, kw_only=True)
class TextRequest:
    """A text to score.

    :ivar context: what stands before it.
    :ivar text: the text.
    :ivar where: its place, for messages.
    """

    context: Prompt
    text: str
    where: str = "text"


@dataclass(frozen=True, kw_only=True)
class EncodedText:
    """The ids of a text and of what stands before it.

    :ivar ids: all ids.
    :ivar start: index of the text's first token.
    :ivar boundary: see `TextScore`.
    :ivar healed_text: see `TextScore`.
    """

    ids: list[int]
    start: int
    boundary: Boundary
    healed_text: str


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Tokens of one text that one query scores.

    :ivar text_index: index of the text among the requests.
    :ivar query: the query: a chain of tokens.
    :ivar start: index, in the text's ids, of the chain's first token.
    :ivar boundaries: indices of the tokens at which the query's top rows are read.
    """

    text_index: int
    query: TreeQuery
    start: int
    boundaries: tuple[int, ...]


class _TextResult:
    """What is known of one text so far."""

    def __init__(self, encoded: EncodedText, raw: list[bytes], words: list[WordSpan]) -> None:
        self.encoded = encoded
        self.raw = raw
        self.words = words
        self.logprobs: dict[int, float] = {}
        self.word_ends: dict[int, float] = {}
        self.windows = 0
        self.tokens_evaluated = 0

    def add(self, part: _Part, scores: TreeScores) -> None:
        """Receive the answer to one query."""
        logprobs = np.minimum(scores.values, 0.0).tolist()
        self.logprobs.update(enumerate(logprobs, start=part.start))
        for boundary, row in zip(part.boundaries, scores.top_logprobs, strict=True):
            self.word_ends[boundary] = min(0.0, logsumexp(row))
        self.tokens_evaluated += scores.tokens_evaluated

    def score(self, text: str) -> TextScore:
        """Return the result, once all answers were added."""
        start = self.encoded.start
        tokens = tuple(
            ScoredToken(id=token, raw=raw, logprob=self.logprobs.get(index))
            for index, (token, raw) in enumerate(
                zip(self.encoded.ids[start:], self.raw, strict=True), start=start
            )
        )
        word_ends = {index - start: logprob for index, logprob in self.word_ends.items()}
        return TextScore(
            text=text,
            tokens=tokens,
            words=tuple(score_words(self.words, tokens, word_ends)),
            boundary=self.encoded.boundary,
            healed_text=self.encoded.healed_text,
            windows=self.windows,
            tokens_evaluated=self.tokens_evaluated,
        )


def score_texts(
    client: BackendClient,
    requests: Sequence[TextRequest],
    *,
    words: bool = False,
    window: int | None = None,
    stride: int | None = None,
) -> list[TextScore]:
    """Score several texts in few calls, so that the engine can evaluate once what they share.

    :param client: the model's client.
    :param requests: the texts.
    :param words: whether to score words, too.
    :param window: maximum number of tokens to evaluate together; None for the model's context.
    :param stride: see `split_into_windows`.
    :raises InputError: for a text without tokens, invalid text, or a window that is too small.
    :raises ContextOverflowError: for a window beyond the model's context, or a context before the
        text that fills the window.
    :raises CapabilityError: if the backend has no log-probabilities, or, for words, no vocabulary.
    """
    info = client.info
    limit = info.context_length
    if window is not None and not 2 <= window <= (limit or window):
        raise InputError(f"got {window}", where="window", hint=f"2 to {limit or 'any number'}")
    mask = word_end_mask(client.vocabulary(), info.eos) if words else None
    bos = [info.bos] if info.adds_bos and info.bos is not None else []
    results: list[_TextResult] = []
    parts: list[_Part] = []
    for index, request in enumerate(requests):
        encoded = encode_text(client, request)
        raw = [client.token_bytes(token) for token in encoded.ids[encoded.start :]]
        result = _TextResult(encoded, raw, find_words(raw) if words else [])
        results.append(result)
        boundaries = [encoded.start + at for at in word_boundaries(result.words, len(raw)) if words]
        for part_window in split_into_windows(
            encoded.ids,
            max(1, encoded.start),
            bos=bos,
            size=window or limit,
            stride=stride,
        ):
            result.windows += 1
            parts += _split_window(
                index, encoded.ids, part_window, boundaries if words else [], mask
            )
    answers = score_queries(client, [part.query for part in parts])
    for part, scores in zip(parts, answers, strict=True):
        results[part.text_index].add(part, scores)
    return [result.score(request.text) for result, request in zip(results, requests, strict=True)]


def encode_text(client: BackendClient, request: TextRequest) -> EncodedText:
    """Tokenize a text together with the text before it, as a choice is.

    :raises InputError: for invalid text, or a text without tokens.
    """
    check_text(request.text, request.where)
    if not request.text:
        raise InputError("is empty", where=request.where, hint="there is nothing to score")
    context = split_prompt(client, request.context)
    texts = [context.open_text + request.text]
    if context.open_text:
        texts.append(context.open_text)
    joint, *alone = client.tokenize(texts, at_start=context.at_start)
    shared = common_prefix_length(joint, alone[0]) if alone else 0
    if shared == len(joint):
        raise InputError(
            f"{shorten(repr(request.text))} has no token of its own here",
            where=request.where,
            hint="the model's tokenizer drops such text",
        )
    boundary, healed_text = find_boundary(
        client,
        context,
        [*context.fixed_ids, *joint[:shared]],
        alone[0][shared:] if alone else [],
        what="the text changes",
        where="context",
    )
    return EncodedText(
        ids=[*context.fixed_ids, *joint],
        start=len(context.fixed_ids) + shared,
        boundary=boundary,
        healed_text=healed_text,
    )


def _split_window(
    text_index: int,
    ids: Sequence[int],
    window: Window,
    boundaries: Sequence[int],
    mask: NDArray[np.bool_] | None,
) -> Iterator[_Part]:
    """Yield the queries of one window: several, where it has many word boundaries."""
    top_k = int(mask.sum()) if mask is not None else 0
    most_boundaries = max(1, MAX_PROBABILITIES_PER_CALL // max(1, top_k))
    is_last = window.end == len(ids)
    inside = [
        at for at in boundaries if window.start <= at < window.end or (is_last and at == window.end)
    ]
    groups = [
        inside[first : first + most_boundaries] for first in range(0, len(inside), most_boundaries)
    ] or [[]]
    start = window.start
    for index, group in enumerate(groups):
        end = window.end if index == len(groups) - 1 else groups[index + 1][0]
        count = end - start
        if count == 0 and not group:
            return
        yield _Part(
            text_index=text_index,
            query=TreeQuery(
                prefix=(*window.prefix, *ids[window.start : start]),
                tokens=np.array(ids[start:end], dtype=np.int32),
                parents=np.arange(-1, count - 1, dtype=np.int32),
                top_at=np.array([at - start - 1 for at in group], dtype=np.int32),
                top_k=top_k if group else 0,
                mask=mask if group else None,
            ),
            start=start,
            boundaries=tuple(group),
        )
        start = end
