"""What an action comes to: branches, ranked, some of which are followed."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autocog_core.fta.actions import Choose, Complete
from autocog_core.fta.context import Context, SettledText
from autocog_core.ftt import Pruned
from autocog_core.types import TreeQuery, TreeScores


@dataclass(frozen=True, slots=True)
class Branch:
    """One choice or completion, and what a path goes on from after it.

    :ivar rank: what branches are ordered by. `prob`: its share among its siblings.
    :ivar tokens: its decided ids, those of a stop or an end included.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    rank: float
    prob: float
    context: Context
    finish: str | None = None
    retokenized: bool = False
    exact: bool = True
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
    """

    branches: tuple[Branch, ...]
    texts: tuple[tuple[SettledText, tuple[float, ...]], ...] = ()


#: An action at work: asks for token trees to be scored, and comes to an outcome.
Steps = Generator[list[TreeQuery], Sequence[TreeScores], Outcome]


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
