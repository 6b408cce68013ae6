"""What an action comes to: branches, ranked, some of which are followed."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autocog_core.automaton.actions import Choose, Complete
from autocog_core.evaluation.path_context import Context, TokenizedText
from autocog_core.numerics import softmax
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.thought_tree import Pruned
from autocog_core.types.token_tree import TreeQuery, TreeScores

#: What an action asks of its model, and what the model says to it.
Asked = TreeQuery | ChoiceRequest | CompletionRequest
Answer = TreeScores | ChoiceScores | Completion


@dataclass(frozen=True, slots=True)
class Branch:
    """One choice or completion, and what a path goes on from after it.

    :ivar rank: what branches are ordered by. `prob`: its share among its siblings.
    :ivar tokens: its decided ids, those of a stop or an end included.
    :ivar why: why its numbers are not exact; empty where they are.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    rank: float
    prob: float
    context: Context
    finish: str | None = None
    retokenized: bool = False
    reason: str = ""
    pruned: Pruned | None = None

    @property
    def logprob(self) -> float:
        """The sum over its tokens."""
        return float(sum(self.logprobs))

    @property
    def mean_probability(self) -> float:
        """Exp of the mean log-probability of its tokens."""
        return float(np.exp(self.logprob / max(1, len(self.logprobs))))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action on a path came to.

    :ivar texts: pending texts that it has settled, with the log-probabilities of those evaluated.
    :ivar why: why those log-probabilities are not exact; empty where they are.
    """

    branches: tuple[Branch, ...]
    texts: tuple[tuple[TokenizedText, tuple[float, ...]], ...] = ()
    reason: str = ""


#: An action at work: asks its model, is sent one answer for each thing asked, each of the kind
#: that goes with it, and comes to an outcome.
Steps = Generator[Sequence[Asked], Sequence[Any], Outcome]


def tokens_evaluated(answer: Answer) -> int:
    """How many tokens a model evaluated for an answer: those decided, where it does not say."""
    if answer.tokens_evaluated is not None:
        return answer.tokens_evaluated
    if isinstance(answer, ChoiceScores):
        return sum(len(score.tokens) for score in answer.scores)
    return sum(len(one.tokens) for one in (answer, *answer.alternatives))


def branch_probabilities(
    texts: Sequence[str], ranks: Sequence[float], frequencies: Sequence[float] | None = None
) -> tuple[list[float], dict[int, float]]:
    """What texts rank by, and by index the shares of those that count: of equal ones the best.

    :param frequencies: what they rank by and share instead, added up over equal ones.
    """
    best: dict[str, int] = {}
    for number in sorted(range(len(texts)), key=lambda number: (-ranks[number], number)):
        best.setdefault(texts[number], number)
    kept = sorted(best.values())
    if frequencies is None:
        shares = softmax([ranks[number] for number in kept]).tolist()
        return list(ranks), dict(zip(kept, shares, strict=True))
    prob = dict.fromkeys(kept, 0.0)
    for text, share in zip(texts, frequencies, strict=True):
        prob[best[text]] += share
    return [prob.get(number, 0.0) for number in range(len(texts))], prob


def pruned(action: Choose | Complete, branches: Sequence[Branch]) -> tuple[Branch, ...]:
    """Mark the branches that are not followed: the best is, whatever its share.

    Those that are pruned already do not count.
    """
    order = sorted(
        (index for index, branch in enumerate(branches) if branch.pruned is None),
        key=lambda index: (-branches[index].rank, index),
    )
    found = list(branches)
    for place, index in enumerate(order[1:], start=1):
        branch = branches[index]
        share = branch.prob if action.threshold_on == "prob" else branch.mean_probability
        if action.width is not None and place >= action.width:
            found[index] = replace(branch, pruned="width")
        elif share < action.threshold:
            found[index] = replace(branch, pruned="threshold")
    return tuple(found)
