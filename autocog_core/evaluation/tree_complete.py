"""A Complete at work: beam search, greedy decoding (one beam), or sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autocog_core.automaton.actions import Complete
from autocog_core.errors import InputError
from autocog_core.evaluation.allowed_tokens import AllowedTokens
from autocog_core.evaluation.branch import Branch, Outcome, Steps, branch_probabilities
from autocog_core.evaluation.hypothesis import Hypothesis
from autocog_core.evaluation.path_context import Context
from autocog_core.evaluation.text_scoring import ScoringContext, TextScores
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import check_sequence, encode
from autocog_core.toolkit.sampling import sample_token
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.prompt import Prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores


def complete_steps(
    client: BackendClient, action: Complete, context: Context, allowed: AllowedTokens
) -> Steps:
    """Let the model write after `context`."""
    base = encode(client, context.prompt())
    check_sequence(base, client.info, beyond=action.length)
    ground = ScoringContext(client, context, base)
    run = _sample if action.samples else _search
    return run(client, action, ground, allowed)


def _search(
    client: BackendClient, action: Complete, ground: ScoringContext, allowed: AllowedTokens
) -> Steps:
    """Beam search as in Transformers with early_stopping="never"; one beam is greedy decoding."""
    beams = action.beams
    # Among as many candidates there surely are `beams` that no end of sequence has ended.
    most = 1 if beams == 1 else beams * (1 + max(1, len(client.info.eos)))
    live = [Hypothesis()]
    pool: list[Hypothesis] = []
    texts: TextScores = ground.unscored()
    while live:
        answers = yield _queries(ground, live, allowed, most)
        if not live[0].tokens:
            own, texts = ground.read(answers[0])
            answers = [own]
        candidates = _candidates(live, answers)[:most]
        if not candidates:
            break
        grown = [
            live[beam].plus(client, action, token, logprob, allowed.after(live[beam].state, token))
            for _, beam, token, logprob in candidates
        ]
        # As in Transformers: what ends below the best `beams` candidates is no result.
        pool += [text for text in grown[:beams] if text.finish is not None]
        pool = sorted(pool, key=lambda text: -_score(action, text))[:beams]
        live = [text for text in grown if text.finish is None][:beams]
        if len(pool) == beams and not (live and beams > 1 and _may_win(action, live[0], pool[-1])):
            break
    if not pool:
        raise nothing_allowed(action.uid)
    return Outcome(_branches(client, ground, pool, [_score(action, text) for text in pool]), texts)


def nothing_allowed(uid: str) -> InputError:
    """The error of an action whose text cannot begin."""
    return InputError(
        "no token is allowed: the text cannot go on, nor end",
        where=f'action "{uid}"',
        hint="its vocab and its stop leave nothing",
    )


def _sample(
    client: BackendClient, action: Complete, ground: ScoringContext, allowed: AllowedTokens
) -> Steps:
    """Independent samples, each with random numbers of its own."""
    size = client.info.vocabulary_size
    request = CompletionRequest(Prompt(()), temperature=action.temperature, top_p=action.top_p)
    generators = [np.random.default_rng([action.seed, number]) for number in range(action.samples)]
    grown = [Hypothesis()] * action.samples
    texts: TextScores = ground.unscored()
    while True:
        live = [number for number, text in enumerate(grown) if text.finish is None]
        if not live:
            break
        first = not grown[live[0]].tokens
        # Before their first token all samples are the same.
        asked = [grown[number] for number in (live[:1] if first else live)]
        answers = yield _queries(ground, asked, allowed, size)
        if first:
            own, texts = ground.read(answers[0])
            answers = [own] * len(live)
        for number, answer in zip(live, answers, strict=True):
            row = np.full(size, -np.inf, dtype=np.float64)
            there = answer.top_tokens[0] >= 0
            row[answer.top_tokens[0][there]] = answer.top_logprobs[0][there]
            token = sample_token(row, request, generators[number])
            text = grown[number]
            state = allowed.after(text.state, token)
            grown[number] = text.plus(client, action, token, float(row[token]), state)
    # A text that came several times has several shares: they are frequencies.
    shares = [1 / len(grown)] * len(grown)
    return Outcome(_branches(client, ground, grown, shares, shares), texts)


def _queries(
    ground: ScoringContext, texts: Sequence[Hypothesis], allowed: AllowedTokens, most: int
) -> list[TreeQuery]:
    """The likeliest next tokens after each text."""
    nothing = np.zeros(0, dtype=np.int32)
    at = np.array([-1], dtype=np.int32)
    found = [
        TreeQuery(
            (*ground.base, *text.tokens), nothing, nothing, at, most, allowed.mask(text.state)
        )
        for text in texts
    ]
    return found if texts[0].tokens else [ground.query(found[0])]


def _candidates(
    live: Sequence[Hypothesis], answers: Sequence[TreeScores]
) -> list[tuple[float, int, int, float]]:
    """(-total, beam, token, logprob) of what may come next, best first; ties: beam, then id."""
    return sorted(
        (-(live[beam].logprob + min(0.0, logprob)), beam, token, logprob)
        for beam, answer in enumerate(answers)
        for token, logprob in zip(
            answer.top_tokens[0].tolist(), answer.top_logprobs[0].tolist(), strict=True
        )
        if token >= 0
    )


def _score(action: Complete, text: Hypothesis) -> float:
    """What beams rank by."""
    return float(text.logprob / len(text.tokens) ** action.length_penalty)


def _may_win(action: Complete, text: Hypothesis, worst: Hypothesis) -> bool:
    """Whether a text that goes on could still come out better than a finished one."""
    penalty = action.length_penalty
    length = action.length if penalty > 0 else len(text.tokens) + 1
    return bool(text.logprob / length**penalty > _score(action, worst))


def _branches(
    client: BackendClient,
    ground: ScoringContext,
    texts: Sequence[Hypothesis],
    ranks: Sequence[float],
    shares: Sequence[float] | None = None,
) -> tuple[Branch, ...]:
    """One branch a text; of equal texts the best counts, and has the others' frequencies."""
    ranks, prob = branch_probabilities([text.text for text in texts], ranks, shares)
    branches = []
    for number, text in enumerate(texts):
        branch = text.branch(client, ground.base, ranks[number], prob.get(number, 0.0))
        branches.append(branch if number in prob else replace(branch, pruned="duplicate"))
    return tuple(branches)
