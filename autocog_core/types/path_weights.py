"""The probability of each node of a thought tree, given the nodes before it on its path."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from autocog_core.errors import InputError
from autocog_core.numerics import softmax
from autocog_core.types.thought_node import ThoughtNode


class PathWeights:
    """The weights of nodes, for the marginal of one field.

    :param nodes: the nodes of the tree.
    :param is_field: which of them set the field.
    """

    def __init__(self, nodes: Sequence[ThoughtNode], is_field: Sequence[bool]) -> None:
        self._nodes = nodes
        parents = {node.parent for node in nodes}
        self._has_children = [index in parents for index in range(len(nodes))]
        self._groups = _groups(nodes)
        # The questions that set the field, by their group.
        self._questions: defaultdict[int, set[int]] = defaultdict(set)
        for index, node in enumerate(nodes):
            if is_field[index] and node.question is not None:
                self._questions[self._groups[index]].add(node.question)

    def is_of_other_question(self, index: int) -> bool:
        """Return whether a node belongs to a question beside that of the field.

        The questions of a group do not depend on each other. So the answer that the run followed
        there has the weight 1, and the others have 0.
        """
        questions = self._questions.get(self._groups[index])
        question = self._nodes[index].question
        return bool(questions) and question is not None and question not in (questions or ())

    def of_siblings(self, siblings: Sequence[int]) -> list[float]:
        """Return the weights of siblings, which sum to at most 1.

        - A choice: its share. A sample: its frequency. A text, and a group: 1.
        - A beam: its probability, under its constraint if it has one.
        - A node of another question than that of the field: see `is_of_other_question`.

        :raises InputError: if the probability of a beam or a choice is not known.
        """
        spellings: set[tuple[int, ...]] = set()
        weights = []
        for index in siblings:
            node = self._nodes[index]
            if self.is_of_other_question(index):
                is_followed = node.pruned_by is None or self._has_children[index]
                weights.append(float(is_followed))
            elif node.kind in ("text", "group", "record"):
                weights.append(1.0)
            elif node.kind != "beam":
                weights.append(_known_prob(node))
            elif node.tokens in spellings:
                # The same text drawn again, in place of a beam.
                weights.append(0.0)
            else:
                spellings.add(node.tokens)
                weights.append(_beam_prob(node))
        return weights


class Sample(Protocol):
    """A sampled text."""

    @property
    def allowed(self) -> Sequence[float]:
        """For each of its tokens, the log of the mass that the constraint left."""

    @property
    def finish_reason(self) -> str | None:
        """How it ended."""


def importance_shares(samples: Sequence[Sample]) -> list[float]:
    """Return the shares of samples by their importance weights, exp(sum of allowed); 0 if all are.

    A sample that `length` cut weighs 0.

    :param samples: the samples, at least one.
    """
    weights = [
        math.fsum(sample.allowed)
        if sample.finish_reason in ("eos", "stop", "complete")
        else -math.inf
        for sample in samples
    ]
    return softmax(weights).tolist() if max(weights) > -math.inf else [0.0] * len(samples)


def sample_squares(
    nodes: Sequence[ThoughtNode], siblings: Sequence[int], *, is_weighted: bool
) -> list[float]:
    """Return the sum of the squared weights of the samples that each node stands for.

    Equal ones are counted with the one that is kept. The weights of all samples sum to 1.

    :param nodes: the nodes of the tree.
    :param siblings: the samples among them.
    :param is_weighted: whether they have importance weights.
    """
    samples = [nodes[index] for index in siblings]
    shares = importance_shares(samples) if is_weighted else [1 / len(samples)] * len(samples)
    squares: defaultdict[tuple[str, bool], float] = defaultdict(float)
    for sample, share in zip(samples, shares, strict=True):
        squares[_text_of(sample)] += share**2
    return [
        0.0 if sample.pruned_by == "duplicate" else squares[_text_of(sample)] for sample in samples
    ]


def _text_of(sample: ThoughtNode) -> tuple[str, bool]:
    # A text that is incomplete is not the same as one that ends there.
    return sample.text, sample.finish_reason == "incomplete"


def _known_prob(node: ThoughtNode) -> float:
    if node.prob is None:
        raise InputError(
            f'the probabilities of the choices of action "{node.uid}" are not known: the run read '
            "only what proves the best ones",
            where="marginals",
            hint='leave out top, or probs="winner"',
        )
    return node.prob


def _beam_prob(node: ThoughtNode) -> float:
    if not node.logprobs and not node.exact:
        raise InputError(
            f'the completion of action "{node.uid}" has no probability: {node.reason}',
            where="marginals",
            hint="take a model that returns log-probabilities, or draw samples",
        )
    constrained = node.constrained_logprob
    return math.exp(node.logprob if constrained is None else constrained)


def _groups(nodes: Sequence[ThoughtNode]) -> list[int]:
    """Return the group of each node of a question, and of the group's own node; -1 for others."""
    groups: list[int] = []
    for index, node in enumerate(nodes):
        if node.kind == "group":
            groups.append(index)
        else:
            groups.append(-1 if node.question is None else groups[node.parent])
    return groups
