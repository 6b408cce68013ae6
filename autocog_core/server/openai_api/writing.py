"""Texts with the scores of their tokens: by few calls, which the engine makes together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from autocog_core.scoring.prompt_encoding import check_sequence
from autocog_core.server.openai_api.text_request import TextRequest
from autocog_core.server.request_errors import RequestError
from autocog_core.server.served_models import ServedModel
from autocog_core.toolkit.completion_builder import CompletionBuilder
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.token_tree import TreeQuery, TreeScores

#: Likeliest tokens at a position: id and log-probability.
Top = Sequence[tuple[int, float]]


@dataclass(frozen=True, kw_only=True)
class ScoredPosition:
    """A token, and what was likely in its place.

    :ivar token: its id.
    :ivar logprob: its log-probability; None for the first token of a sequence.
    :ivar top: the likeliest tokens, if they are listed.
    """

    token: int
    logprob: float | None
    top: Top = ()


@dataclass(frozen=True, kw_only=True)
class WrittenText:
    """One text that follows a prompt.

    :ivar completion: the text; None if none was asked for.
    :ivar prompt: the tokens of the prompt, if they are scored.
    :ivar positions: the tokens of the text, if there are log-probabilities.
    """

    completion: Completion | None
    prompt: Sequence[ScoredPosition] = ()
    positions: Sequence[ScoredPosition] = ()

    @property
    def tokens(self) -> int:
        """The number of tokens of the text."""
        return len(self.completion.tokens) if self.completion is not None else 0


async def write(model: ServedModel, request: TextRequest) -> list[WrittenText]:
    """Return the texts of a request, with scores if it wants them.

    :param model: the model.
    :param request: the request.
    :raises RequestError: for log-probabilities that the model does not have.
    :raises AutocogError: as `Model.complete` does.
    """
    wants_scores = request.top_logprobs is not None
    if wants_scores and request.ids is None and (request.wants_top or request.echo):
        raise RequestError(
            "the model lists no likeliest tokens, and scores no prompt; leave it out",
            code="not_supported",
            parameter="logprobs",
        )
    if request.ids is not None and (request.max_tokens == 0 or _is_one_step(model, request)):
        return await _write_by_tree(model, request, request.ids)
    completion = await model.calls.complete(
        request.to_complete, max_tokens=request.max_tokens, **request.arguments
    )
    return await with_scores(model, request, completion)


async def with_scores(
    model: ServedModel, request: TextRequest, completion: Completion
) -> list[WrittenText]:
    """Return a completion and its alternatives, with the scores that a request wants.

    :param model: the model.
    :param request: the request.
    :param completion: the completion of its prompt.
    """
    texts = [completion, *completion.alternatives]
    if request.top_logprobs is None:
        return [WrittenText(completion=text) for text in texts]
    if any(text.logprobs is None or not text.tokens for text in texts):
        raise RequestError(
            "the model returns no log-probabilities; leave it out",
            code="not_supported",
            parameter="logprobs",
        )
    if request.ids is None or not (request.wants_top or request.echo):
        return [WrittenText(completion=text, positions=_positions_of(text, ())) for text in texts]
    start, count = _first_scored(request), len(request.ids)
    top_k = request.top_logprobs
    sequences = [(*request.ids, *text.tokens) for text in texts]
    # All at one time, so that they are one call of the engine.
    scores = await asyncio.gather(
        *(model.calls.score_tree(_chain(ids, start, top_k, with_next=False)) for ids in sequences)
    )
    positions = [
        _positions(ids, start, tree, has_top=top_k > 0)
        for ids, tree in zip(sequences, scores, strict=True)
    ]
    return [
        WrittenText(
            completion=text,
            prompt=of_text[:count] if request.echo else (),
            positions=of_text[count:],
        )
        for text, of_text in zip(texts, positions, strict=True)
    ]


def _is_one_step(model: ServedModel, request: TextRequest) -> bool:
    """Whether the text is the likeliest next token, which a token tree lists, too."""
    if request.max_tokens != 1:
        return False
    # With the model's own defaults, which may have a constraint or a penalty.
    arguments = model.model.defaults(**request.arguments)
    given = {name for name, value in arguments.items() if value is not None}
    is_plain = given <= {
        "n",
        "max_tokens",
        "temperature",
        "stop",
        "seed",
        "top_p",
        "top_k",
        "min_p",
    }
    return arguments.get("temperature") == 0 and is_plain


async def _write_by_tree(
    model: ServedModel, request: TextRequest, ids: tuple[int, ...]
) -> list[WrittenText]:
    """Score the prompt and take the likeliest next token, if one is wanted, by one token tree."""
    has_next = request.max_tokens > 0
    check_sequence(ids, model.model.info, new_tokens=request.max_tokens)
    start = _first_scored(request)
    top_k = request.top_logprobs or 0
    query = _chain(ids, start, top_k, with_next=has_next)
    # A single token has no score, and nothing is evaluated for it.
    is_empty = not len(query.tokens) and not len(query.top_at)
    scores = None if is_empty else await model.calls.score_tree(query)
    prompt = _positions(ids, start, scores, has_top=top_k > 0) if request.echo else []
    if not has_next:
        text = WrittenText(completion=None, prompt=prompt)
    else:
        assert scores is not None
        top = _top(scores, len(scores.top_tokens) - 1)
        token, logprob = top[0]
        completion = await model.calls.call(
            lambda loaded: _completion_of(
                loaded.client.token_bytes(token),
                token,
                logprob,
                replace(request, arguments=loaded.defaults(**request.arguments)),
                loaded.info.eos,
            )
        )
        text = WrittenText(
            completion=completion, prompt=prompt, positions=_positions_of(completion, [top[:top_k]])
        )
    return [text] * int(request.arguments.get("n", 1))


def _completion_of(
    raw: bytes, token: int, logprob: float, request: TextRequest, eos: Sequence[int]
) -> Completion:
    """Return the completion of one token: where it ends is the same as for longer ones."""
    stop = request.arguments.get("stop") or ()
    builder = CompletionBuilder(
        CompletionRequest(
            prompt=request.prompt,
            max_tokens=1,
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
        ),
        lambda tokens: raw,
        eos,
    )
    builder.append(token, logprob)
    return builder.completion()


def _first_scored(request: TextRequest) -> int:
    """Return the index of the first token that has a score: the first of all has none."""
    assert request.ids is not None
    return 1 if request.echo else len(request.ids)


def _chain(ids: Sequence[int], start: int, top_k: int, *, with_next: bool) -> TreeQuery:
    """Return the query of the tokens from `start` on, and of the likeliest in their places.

    :param top_k: how many of the likeliest tokens to list in the place of each.
    :param with_next: whether the likeliest tokens after the last one are wanted: at least one.
    """
    count = len(ids) - start
    top_at = list(range(-1, count - 1)) if top_k else []
    if with_next:
        top_at.append(count - 1)
    return TreeQuery(
        prefix=tuple(ids[:start]),
        tokens=np.array(ids[start:], dtype=np.int32),
        parents=np.arange(-1, count - 1, dtype=np.int32),
        top_at=np.array(top_at, dtype=np.int32),
        top_k=max(1, top_k) if top_at else 0,
    )


def _positions(
    ids: Sequence[int], start: int, scores: TreeScores | None, *, has_top: bool
) -> list[ScoredPosition]:
    """Return all tokens; those before `start` have no score.

    :param has_top: whether the scores list likely tokens in the place of each.
    """
    positions = [ScoredPosition(token=token, logprob=None) for token in ids[:start]]
    if scores is None:
        return positions
    values = np.minimum(scores.values, 0.0).tolist()
    for index, (token, value) in enumerate(zip(ids[start:], values, strict=True)):
        top = _top(scores, index) if has_top else ()
        positions.append(ScoredPosition(token=token, logprob=value, top=top))
    return positions


def _positions_of(completion: Completion, tops: Sequence[Top]) -> list[ScoredPosition]:
    """Return the tokens of a completion with its own log-probabilities."""
    logprobs = completion.logprobs or ()
    return [
        ScoredPosition(token=token, logprob=value, top=tops[index] if index < len(tops) else ())
        for index, (token, value) in enumerate(zip(completion.tokens, logprobs, strict=True))
    ]


def _top(scores: TreeScores, row: int) -> list[tuple[int, float]]:
    """Return the likeliest tokens of one position; impossible ones are left out."""
    pairs = zip(scores.top_tokens[row].tolist(), scores.top_logprobs[row].tolist(), strict=True)
    return [(token, min(0.0, logprob)) for token, logprob in pairs if token >= 0]
