"""Choose and Complete by the backend's own `choose` and `complete`: the way without token trees.

For backends that tell no distributions. What comes of it is exact only where the backend says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from autocog_core.caller import Caller
from autocog_core.errors import CapabilityError
from autocog_core.fta.actions import Choose, Complete
from autocog_core.fta.branch import Branch, Outcome, Steps
from autocog_core.fta.choosing import rank_of
from autocog_core.fta.context import Context, PendingText
from autocog_core.numerics import softmax
from autocog_core.pieces import TextPiece
from autocog_core.types import ChoiceRequest, Completion, CompletionRequest


def ask_choose_steps(caller: Caller, action: Choose, context: Context) -> Steps:
    """Let the backend score the choices of an action."""
    yield from ()
    result = caller.choose(
        ChoiceRequest(
            context.prompt(),
            tuple(str(choice) for choice in action.choices),
            action.norm,
            action.end,
            unconditional=action.unconditional,
        )
    )
    branches = tuple(
        Branch(
            score.choice,
            score.tokens,
            score.token_logprobs,
            rank_of(action, score),
            score.prob,
            context.plus(_as_text(score.choice)),
            exact=result.exact,
        )
        for score in result.scores
    )
    return Outcome(branches)


def ask_complete_steps(caller: Caller, action: Complete, context: Context) -> Steps:
    """Let the backend write; several beams are several samples, ranked by what it tells of them.

    :raises CapabilityError: for a set of tokens, which only token distributions can honour.
    """
    yield from ()
    if action.vocab is not None or not action.eos:
        raise CapabilityError(
            "its vocab and eos need a backend that tells token distributions",
            where=f'action "{action.uid}"',
            hint='take a model for the strategy "greedy"',
        )
    count = action.samples or action.beams
    found = caller.complete(
        CompletionRequest(
            context.prompt(),
            action.length,
            action.stop,
            temperature=action.temperature if count > 1 or action.samples else 0.0,
            top_p=action.top_p if action.samples else 1.0,
            seed=action.seed,
            n=count,
        )
    )
    texts = list(_different(found))
    ranks = [_rank(action, text) for text in texts]
    shares = softmax(ranks).tolist()
    branches = tuple(
        Branch(
            text.text,
            text.tokens if text.logprobs is not None else (),
            text.logprobs or (),
            rank,
            share,
            context.plus(_as_text(text.text)),
            finish=text.finish,
            exact=text.logprobs is not None,
        )
        for text, rank, share in zip(texts, ranks, shares, strict=True)
    )
    return Outcome(branches)


def _different(found: Completion) -> Iterator[Completion]:
    seen: set[str] = set()
    for one in (found, *found.alternatives):
        if one.text not in seen:
            seen.add(one.text)
            yield one


def _rank(action: Complete, text: Completion) -> float:
    """By log-probability, where the backend tells any; else they all rank alike."""
    if text.logprob is None:
        return 0.0
    score = text.logprob / max(1, len(text.tokens)) ** action.length_penalty
    return score if math.isfinite(score) else -math.inf


def _as_text(text: str) -> PendingText:
    return PendingText((TextPiece(text),))
