"""A Complete by token trees: beam search, greedy decoding (one beam), or sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autocog_core.automaton.actions import Complete
from autocog_core.errors import InputError
from autocog_core.evaluation.branch import ActionResult, ActionSteps, Branch, branch_probabilities
from autocog_core.evaluation.hypothesis import Hypothesis
from autocog_core.evaluation.path_context import PathContext
from autocog_core.evaluation.sample_weights import sample_shares
from autocog_core.evaluation.text_rules import TextRules
from autocog_core.evaluation.text_scoring import ScoringContext, TextScores
from autocog_core.evaluation.text_steps import Step, next_tokens
from autocog_core.hooks.client import BackendClient
from autocog_core.scoring.prompt_encoding import check_sequence, encode_prompt
from autocog_core.toolkit.sampling import sample_token
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.constraint import Constraint
from autocog_core.types.prompt import Prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores


def complete_by_tree(
    client: BackendClient, action: Complete, context: PathContext, rules: TextRules
) -> ActionSteps:
    """Let the model write after a context."""
    base = encode_prompt(client, context.prompt())
    check_sequence(base, client.info, new_tokens=action.length)
    scoring = ScoringContext(client, context, base)
    write = _sample if action.samples else _search
    return write(client, action, scoring, rules)


def _search(
    client: BackendClient, action: Complete, scoring: ScoringContext, rules: TextRules
) -> ActionSteps:
    """Beam search as in Transformers with early_stopping="never"; greedy with one beam."""
    beams = action.beams
    # Of this many candidates, at least `beams` do not end with EOS.
    candidate_count = 1 if beams == 1 else beams * (1 + max(1, len(client.info.eos)))
    open_ = [_next_step(rules, Hypothesis(state=rules.start()), action)]
    finished: list[Hypothesis] = []
    incomplete: list[Hypothesis] = []
    texts: TextScores = scoring.unscored_texts()
    if not open_[0].needs_answer:
        raise _no_token_error(action)
    while open_:
        is_first_step = not open_[0].text.logprobs
        answers = yield _queries(scoring, open_, candidate_count)
        if is_first_step:
            answer, texts = scoring.split_answer(answers[0])
            answers = [answer, *answers[1:]]
        scored = [step.scored_text(answer) for step, answer in zip(open_, answers, strict=True)]
        steps: list[Step] = []
        for _, beam, token, logprob in _candidates(scored, answers)[:candidate_count]:
            # Further ones do not count, and each costs a mask.
            if len(steps) >= beams and sum(step.needs_answer for step in steps) >= beams:
                break
            text = scored[beam].extended(rules, token)
            text = text.scored(logprob, open_[beam].mask_logprob(answers[beam]))
            steps.append(_next_step(rules, text, action))
        # As in Transformers: a text that ends counts only among the best `beams` candidates.
        ended = [text for text in scored if text.finish_reason is not None]
        ended += [step.text for step in steps[:beams] if not step.needs_answer]
        open_ = [step for step in steps if step.needs_answer][:beams]
        incomplete += [text for text in ended if text.is_incomplete]
        finished += [text for text in ended if not text.is_incomplete]
        finished = sorted(finished, key=lambda text: -_score(action, text))[:beams]
        if len(finished) == beams and not (
            open_ and beams > 1 and _can_still_win(action, open_[0].text, finished[-1])
        ):
            break
    # Texts that do not meet the constraint only stay to show what went wrong.
    if not finished:
        finished = sorted(incomplete, key=lambda text: -_score(action, text))[:beams]
    if not finished:
        raise _no_token_error(action)
    ranks = [_score(action, text) for text in finished]
    branches = _branches(client, scoring, finished, ranks)
    return ActionResult(branches=branches, base=scoring.base, texts=texts)


def _next_step(rules: TextRules, text: Hypothesis, action: Complete) -> Step:
    # Beams advance together: only a single text takes several tokens in one step.
    return Step.of(rules, text, take_single_tokens=action.beams == 1 or action.samples > 0)


def no_token_allowed_error(
    what: str, constraint: Constraint | None = None, *, has_vocab: bool = True
) -> InputError:
    """Return the error of a text whose first token is not allowed, whatever it is.

    :param what: what writes it, for the message.
    :param constraint: its constraint.
    :param has_vocab: whether it has a token set.
    """
    limits = ["its vocab"] if has_vocab else []
    limits.append("its stop" if constraint is None else f"its {constraint.kind}")
    if constraint is not None and not has_vocab:
        limits.append("the model's vocabulary")
    return InputError(
        "no token is allowed: the text cannot go on, nor end",
        where=what,
        hint=f"{' and '.join(limits)} leave nothing",
    )


def _no_token_error(action: Complete) -> InputError:
    has_vocab = action.vocab is not None or action.constraint is None
    return no_token_allowed_error(f'action "{action.uid}"', action.constraint, has_vocab=has_vocab)


def _sample(
    client: BackendClient, action: Complete, scoring: ScoringContext, rules: TextRules
) -> ActionSteps:
    """Independent samples, each with a random generator seeded by its index."""
    size = client.info.vocabulary_size
    request = CompletionRequest(
        prompt=Prompt(()), temperature=action.temperature, top_p=action.top_p
    )
    generators = [np.random.default_rng([action.seed, index]) for index in range(action.samples)]
    samples = [Hypothesis(state=rules.start())] * action.samples
    texts: TextScores = scoring.unscored_texts()
    while open_ := [i for i, sample in enumerate(samples) if sample.finish_reason is None]:
        is_first_step = not samples[open_[0]].tokens
        # Before their first token, all samples are equal.
        written = [samples[index] for index in (open_[:1] if is_first_step else open_)]
        steps = [_next_step(rules, text, action) for text in written]
        queried = [step for step in steps if step.needs_answer]
        answers = list((yield _queries(scoring, queried, size)) if queried else ())
        if is_first_step and queried:
            answers[0], texts = scoring.split_answer(answers[0])
        remaining = iter(answers)
        by_step = [(step, next(remaining) if step.needs_answer else None) for step in steps]
        for index, (step, answer) in zip(
            open_, by_step * len(open_) if is_first_step else by_step, strict=True
        ):
            samples[index] = (
                step.text
                if answer is None
                else draw(rules, step, answer, request, generators[index])
            )
    if not any(sample.tokens for sample in samples):
        raise _no_token_error(action)
    shares, errors = sample_shares(samples, weighted=action.importance_weights)
    branches = tuple(
        replace(branch, is_sample=True)
        for branch in _branches(client, scoring, samples, shares, shares)
    )
    if action.importance_weights:
        branches = tuple(
            replace(branch, prob_error=errors[branch.text]) if branch.pruned_by is None else branch
            for branch in branches
        )
    return ActionResult(branches=branches, base=scoring.base, texts=texts)


def draw(
    rules: TextRules,
    step: Step,
    answer: TreeScores,
    request: CompletionRequest,
    generator: np.random.Generator,
) -> Hypothesis:
    """Return a step's text with its scores, and with one sampled token if it is not finished.

    :param rules: the rules of the text.
    :param step: the step.
    :param answer: its answer, with all tokens; with temperature 0, the likeliest is enough.
    :param request: the sampling parameters.
    :param generator: the source of random numbers.
    """
    text = step.scored_text(answer)
    if text.finish_reason is not None:
        return text
    row = np.full(rules.client.info.vocabulary_size, -np.inf, dtype=np.float64)
    is_token = answer.top_tokens[0] >= 0
    row[answer.top_tokens[0][is_token]] = answer.top_logprobs[0][is_token]
    token = sample_token(row, request, generator)
    return text.extended(rules, token).scored(float(row[token]), step.mask_logprob(answer))


def _queries(scoring: ScoringContext, steps: Sequence[Step], top_k: int) -> list[TreeQuery]:
    """Return the queries of steps; the first one of a text also scores the texts before it."""
    queries = [step.query(scoring.base, top_k) for step in steps]
    is_first = bool(steps) and not steps[0].text.logprobs
    return [scoring.with_texts(queries[0]), *queries[1:]] if is_first else queries


def _candidates(
    open_: Sequence[Hypothesis], answers: Sequence[TreeScores]
) -> list[tuple[float, int, int, float]]:
    """Return (-total, beam, token, logprob) of all next tokens, best first; ties: beam, then id."""
    return sorted(
        (-(open_[beam].logprob + logprob), beam, token, logprob)
        for beam, answer in enumerate(answers)
        if open_[beam].finish_reason is None
        for token, logprob in next_tokens(answer)
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
    # A text that is incomplete is not the same as one that ends there.
    names = [f"{text.is_incomplete} {text.text}" for text in texts]
    ranks, probs = branch_probabilities(names, ranks, frequencies)
    branches = []
    for index, text in enumerate(texts):
        branch = text.to_branch(client, scoring.base, ranks[index], probs.get(index, 0.0))
        branches.append(branch if index in probs else replace(branch, pruned_by="duplicate"))
    return tuple(branches)
