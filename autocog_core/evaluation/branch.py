"""Branches of an action: their ranks, their probabilities, and which of them the run follows."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autocog_core.automaton.actions import Choose, Complete
from autocog_core.evaluation.path_context import PathContext
from autocog_core.evaluation.text_tokens import TokenizedText
from autocog_core.numerics import softmax
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.choice_value import Value
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.thought_tree import Pruned
from autocog_core.types.token_tree import TreeQuery, TreeScores

ModelRequest = TreeQuery | ChoiceRequest | CompletionRequest
ModelAnswer = TreeScores | ChoiceScores | Completion


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """One choice or completion of an action.

    :ivar text: the text, without a stop string or suffix.
    :ivar tokens: its decided ids, with those of a stop string, suffix or EOS.
    :ivar logprobs: the log-probability of each of `tokens`.
    :ivar rank: the number that orders branches; the highest is the best.
    :ivar prob: its share among its siblings; None if it is only known within `prob_bounds`.
    :ivar context: what the model has seen after this branch.
    :ivar kept_tokens: how many of `tokens` the ids of `context` end with, after those before the
        branch; None if `context` has other ids.
    :ivar is_sample: whether it was drawn, so that `prob` is a frequency.
    :ivar prob_bounds: the lowest and the highest value of `prob`, if that is None.
    :ivar choice: the index of its choice, where only the best ones are branches; otherwise None.
    :ivar value: the value of a choice; None for a completion, whose value is its text.
    :ivar finish_reason: how a completion ended; None for a choice.
    :ivar retokenized: whether bytes at its end are tokenized again with the text that follows.
    :ivar reason: why its numbers are not exact; empty if they are.
    :ivar pruned_by: why the run does not follow it; None if it does.
    :ivar allowed: with a constraint, for each of `tokens`, the log of the probability mass that the
        constraint left; empty without one.
    :ivar prob_error: standard error of `prob`, if it is an estimate from weighted samples.
    :ivar unconditional_prompt: for the norm "pmi", the text in place of the prompt; empty for BOS
        alone.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    rank: float
    prob: float | None
    context: PathContext
    value: Value | None = None
    finish_reason: str | None = None
    retokenized: bool = False
    reason: str = ""
    pruned_by: Pruned | None = None
    allowed: tuple[float, ...] = ()
    prob_error: float | None = None
    unconditional_prompt: str | None = None
    kept_tokens: int | None = None
    is_sample: bool = False
    prob_bounds: tuple[float, float] | None = None
    choice: int | None = None

    @property
    def logprob(self) -> float:
        """Sum of `logprobs`."""
        return float(sum(self.logprobs))

    @property
    def mean_probability(self) -> float:
        """Geometric mean of the probabilities of its tokens."""
        return float(np.exp(self.logprob / max(1, len(self.logprobs))))


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionResult:
    """The result of an action on a path.

    :ivar branches: its branches.
    :ivar base: the ids before the first decided token of the branches; None if they are unknown.
    :ivar texts: the pending texts that now have tokens, with log-probabilities if evaluated.
    :ivar reason: why these log-probabilities are not exact; empty if they are.
    :ivar scored: of a Choose, the request and the scores of its choices.
    """

    branches: tuple[Branch, ...]
    base: tuple[int, ...] | None = ()
    texts: tuple[tuple[TokenizedText, tuple[float, ...]], ...] = ()
    reason: str = ""
    scored: tuple[ChoiceRequest, ChoiceScores] | None = None


#: An action at work: yields requests, receives one answer for each, and returns the result.
ActionSteps = Generator[Sequence[ModelRequest], Sequence[Any], ActionResult]


def count_evaluated_tokens(answer: ModelAnswer) -> int:
    """Return how many tokens a model evaluated: its own count, or else the decided tokens."""
    if answer.tokens_evaluated is not None:
        return answer.tokens_evaluated
    if isinstance(answer, ChoiceScores):
        return sum(len(score.tokens) for score in answer.scores)
    return sum(len(completion.tokens) for completion in (answer, *answer.alternatives))


def branch_probabilities(
    texts: Sequence[str], ranks: Sequence[float], frequencies: Sequence[float] | None = None
) -> tuple[list[float], dict[int, float]]:
    """Return the ranks of texts, and the probabilities of the different ones by index.

    Of equal texts, only the best one has a probability.

    :param texts: the texts.
    :param ranks: their ranks; the probabilities are the softmax.
    :param frequencies: in place of the softmax, the probability of each text. Equal texts are
        summed, and the sums become the ranks.
    """
    best: dict[str, int] = {}
    for index in sorted(range(len(texts)), key=lambda index: (-ranks[index], index)):
        best.setdefault(texts[index], index)
    distinct = sorted(best.values())
    if frequencies is None:
        shares = softmax([ranks[index] for index in distinct]).tolist()
        return list(ranks), dict(zip(distinct, shares, strict=True))
    prob = dict.fromkeys(distinct, 0.0)
    for text, frequency in zip(texts, frequencies, strict=True):
        prob[best[text]] += frequency
    return [prob.get(index, 0.0) for index in range(len(texts))], prob


def prune(action: Choose | Complete, branches: Sequence[Branch]) -> tuple[Branch, ...]:
    """Mark the branches beyond the action's width or below its threshold; never the best one.

    Branches that are already marked do not count towards the width.
    """
    order = sorted(
        (index for index, branch in enumerate(branches) if branch.pruned_by is None),
        key=lambda index: (-branches[index].rank, index),
    )
    marked = list(branches)
    for position, index in enumerate(order[1:], start=1):
        branch = branches[index]
        prob = branch.prob if action.threshold_on == "prob" else branch.mean_probability
        if action.width is not None and position >= action.width:
            marked[index] = replace(branch, pruned_by="width")
        elif prob is not None and prob < action.threshold:
            marked[index] = replace(branch, pruned_by="threshold")
    return tuple(marked)
