"""Numbers of choices that follow from their log-probabilities: docs/semantics.md, "Scores"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core.numerics import entropy, log1m_sum_exp, softmax
from autocog_core.types.token_tree import TokenTree

Float64Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceShares:
    """The shares of choices by the score of a norm.

    :ivar prob: float64 (choices,), which sum to 1.
    :ivar index: the choice with the best score (ties: the lower index).
    :ivar entropy: the entropy of `prob`, in nats.
    :ivar margin: the best `prob` minus the second best; 1 for a single choice.
    """

    prob: Float64Array
    index: int
    entropy: float
    margin: float

    @classmethod
    def of_ranking(cls, ranking: Float64Array) -> ChoiceShares:
        """Return the shares of choices.

        :param ranking: float64 (choices,), the score of each choice in log space.
        """
        prob = softmax(ranking)
        # By the score, not by `prob`: two probabilities may round to the same number.
        index = int(np.argmax(ranking))
        others = np.delete(prob, index)
        return cls(
            prob=prob,
            index=index,
            entropy=entropy(prob),
            margin=float(prob[index] - others.max()) if others.size else 1.0,
        )


def exclusive_logprobs(
    tree: TokenTree, values: Float64Array, logprob: Float64Array
) -> tuple[Float64Array, bool]:
    """Return `exclusive_logprob` of each choice, and whether any choice begins another one.

    :param tree: the tree of the choices' tokens.
    :param values: float64 (nodes,), the log-probability of each node after its parent.
    :param logprob: float64 (choices,), the sum along each choice.
    """
    ends = tree.ends
    is_inner = np.zeros(len(tree.tokens), dtype=np.bool_)
    is_inner[tree.parents[tree.parents >= 0]] = True
    prefix_choices = np.flatnonzero(is_inner[ends])
    if not prefix_choices.size:
        return logprob, False
    exclusive = logprob.copy()
    children = tree.children()
    for index in prefix_choices.tolist():
        exclusive[index] += log1m_sum_exp(values[children[int(ends[index])]])
    return exclusive, True
