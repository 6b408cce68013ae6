"""A Complete by token trees: beam search, greedy decoding (one beam), or sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autocog_core.automaton.actions import Complete
from autocog_core.errors import InputError
from autocog_core.evaluation.allowed_tokens import AllowedTokens
from autocog_core.evaluation.branch import ActionResult, ActionSteps, Branch, branch_probabilities
from autocog_core.evaluation.hypothesis import Hypothesis
from autocog_core.evaluation.path_context import PathContext
from autocog_core.evaluation.text_scoring import ScoringContext, TextScores
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import check_sequence, encode_prompt
from autocog_core.toolkit.sampling import sample_token
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.prompt import Prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores


def complete_by_tree(
    client: BackendClient, action: Complete, context: PathContext, allowed: AllowedTokens
) -> ActionSteps:
    """Let the model write after a context."""
    base = encode_prompt(client, context.prompt())
    check_sequence(base, client.info, new_tokens=action.length)
    scoring = ScoringContext(client, context, base)
    write = _sample if action.samples else _search
    return write(client, action, scoring, allowed)


def _search(
    client: BackendClient, action: Complete, scoring: ScoringContext, allowed: AllowedTokens
) -> ActionSteps:
    """Beam search as in Transformers with early_stopping="never"; greedy with one beam."""
    beams = action.beams
    # Of this many candidates, at least `beams` do not end with EOS.
    candidate_count = 1 if beams == 1 else beams * (1 + max(1, len(client.info.eos)))
    open_ = [Hypothesis()]
    finished: list[Hypothesis] = []
    texts: TextScores = scoring.unscored_texts()
    while open_:
        answers = yield _queries(scoring, open_, allowed, candidate_count)
        if not open_[0].tokens:
            answer, texts = scoring.split_answer(answers[0])
            answers = [answer]
        candidates = _candidates(open_, answers)[:candidate_count]
        if not candidates:
            break
        extended = [
            open_[beam].extended(
                client, action, token, logprob, allowed.next_state(open_[beam].state, token)
            )
            for _, beam, token, logprob in candidates
        ]
        # As in Transformers: a text that ends counts only among the best `beams` candidates.
        finished += [text for text in extended[:beams] if text.finish_reason is not None]
        finished = sorted(finished, key=lambda text: -_score(action, text))[:beams]
        open_ = [text for text in extended if text.finish_reason is None][:beams]
        if len(finished) == beams and not (
            open_ and beams > 1 and _can_still_win(action, open_[0], finished[-1])
        ):
            break
    if not finished:
        raise no_token_allowed_error(action.uid)
    ranks = [_score(action, text) for text in finished]
    return ActionResult(branches=_branches(client, scoring, finished, ranks), texts=texts)


def no_token_allowed_error(uid: str) -> InputError:
    """Return the error of an action whose first token is not allowed, whatever it is."""
    return InputError(
        "no token is allowed: the text cannot go on, nor end",
        where=f'action "{uid}"',
        hint="its vocab and its stop leave nothing",
    )


def _sample(
    client: BackendClient, action: Complete, scoring: ScoringContext, allowed: AllowedTokens
) -> ActionSteps:
    """Independent samples, each with a random generator seeded by its index."""
    size = client.info.vocabulary_size
    request = CompletionRequest(
        prompt=Prompt(()), temperature=action.temperature, top_p=action.top_p
    )
    generators = [np.random.default_rng([action.seed, index]) for index in range(action.samples)]
    samples = [Hypothesis()] * action.samples
    texts: TextScores = scoring.unscored_texts()
    while open_ := [i for i, sample in enumerate(samples) if sample.finish_reason is None]:
        is_first_step = not samples[open_[0]].tokens
        # Before their first token, all samples are equal.
        queried = [samples[index] for index in (open_[:1] if is_first_step else open_)]
        answers = yield _queries(scoring, queried, allowed, size)
        if is_first_step:
            answer, texts = scoring.split_answer(answers[0])
            answers = [answer] * len(open_)
        for index, answer in zip(open_, answers, strict=True):
            row = np.full(size, -np.inf, dtype=np.float64)
            is_token = answer.top_tokens[0] >= 0
            row[answer.top_tokens[0][is_token]] = answer.top_logprobs[0][is_token]
            token = sample_token(row, request, generators[index])
            sample = samples[index]
            state = allowed.next_state(sample.state, token)
            samples[index] = sample.extended(client, action, token, float(row[token]), state)
    frequencies = [1 / len(samples)] * len(samples)
    branches = _branches(client, scoring, samples, frequencies, frequencies)
    return ActionResult(branches=branches, texts=texts)


def _queries(
    scoring: ScoringContext, texts: Sequence[Hypothesis], allowed: AllowedTokens, top_k: int
) -> list[TreeQuery]:
    """Return queries of the likeliest next tokens after each text."""
    no_tokens = np.zeros(0, dtype=np.int32)
    queries = [
        TreeQuery(
            prefix=(*scoring.base, *text.tokens),
            tokens=no_tokens,
            parents=no_tokens,
            top_at=np.array([-1], dtype=np.int32),
            top_k=top_k,
            mask=allowed.mask(text.state),
        )
        for text in texts
    ]
    return queries if texts[0].tokens else [scoring.with_texts(queries[0])]


def _candidates(
    open_: Sequence[Hypothesis], answers: Sequence[TreeScores]
) -> list[tuple[float, int, int, float]]:
    """Return (-total, beam, token, logprob) of all next tokens, best first; ties: beam, then id."""
    return sorted(
        (-(open_[beam].logprob + min(0.0, logprob)), beam, token, logprob)
        for beam, answer in enumerate(answers)
        for token, logprob in zip(
            answer.top_tokens[0].tolist(), answer.top_logprobs[0].tolist(), strict=True
        )
        if token >= 0
    )


def _score(action: Complete, text: Hypothesis) -> float:
    """Return the length-normalized score that ranks hypotheses."""
    return float(text.logprob / len(text.tokens) ** action.length_penalty)


def _can_still_win(action: Complete, text: Hypothesis, worst: Hypothesis) -> bool:
    """Return whether an open text could still get a better score than a finished one."""
    penalty = action.length_penalty
    # The length with the best possible score: a continuation can only lower the log-probability.
    length = action.length if penalty > 0 else len(text.tokens) + 1
    return bool(text.logprob / length**penalty > _score(action, worst))


def _branches(
    client: BackendClient,
    scoring: ScoringContext,
    texts: Sequence[Hypothesis],
    ranks: Sequence[float],
    frequencies: Sequence[float] | None = None,
) -> tuple[Branch, ...]:
    """Return one branch for each text. Of equal texts, all but the best are pruned."""
    ranks, probs = branch_probabilities([text.text for text in texts], ranks, frequencies)
    branches = []
    for index, text in enumerate(texts):
        branch = text.to_branch(client, scoring.base, ranks[index], probs.get(index, 0.0))
        branches.append(branch if index in probs else replace(branch, pruned_by="duplicate"))
    return tuple(branches)
