"""Likely causes of wrong scores in token trees.

A cause is named only if it explains every score of the tree, or if a further call shows it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autocog_core.numerics import logsumexp
from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import logprob_distance
from autocog_core.testing.diagnosis import OFF_BY_ONE
from autocog_core.types.token_tree import TreeQuery

Paths = Mapping[int, Sequence[int]]
Scores = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class WrongTree:
    """A token tree whose scores differ from those of separate calls.

    :ivar subject: the backend.
    :ivar query: the tree.
    :ivar paths: the tokens from the start to each node, inclusive; those of -1 are the prefix.
    :ivar expected: the score of each node in a separate call.
    :ivar got: its score in the tree.
    """

    subject: BackendUnderTest
    query: TreeQuery
    paths: Paths
    expected: Sequence[float]
    got: Sequence[float]

    @property
    def tokens(self) -> list[int]:
        """The token of each node."""
        return [int(token) for token in self.query.tokens]

    @property
    def parents(self) -> list[int]:
        """The parent of each node."""
        return [int(parent) for parent in self.query.parents]

    @property
    def wrong_nodes(self) -> list[int]:
        """The nodes whose scores differ."""
        return [node for node, value in enumerate(self.got) if not self.is_right(node, value)]

    def is_right(self, node: int, value: float) -> bool:
        """Return whether a value is the node's score in a separate call."""
        return self.is_close(self.expected[node], value)

    def is_close(self, first: float, second: float) -> bool:
        """Return whether two values agree within the backend's tolerance."""
        return logprob_distance(first, second) <= self.subject.tolerance

    def score_after(self, sequence: Sequence[int], node: int) -> float:
        """Return the score of a node's token after a sequence; NaN after an empty one."""
        return self.subject.logprob(sequence, self.tokens[node]) if sequence else math.nan

    def scores_of(self, query: TreeQuery) -> list[float]:
        """Return the scores of a tree in one more call."""
        (scores,) = self.subject.raw.trees([query])
        return [float(value) for value in scores.values]


def diagnose_tree(wrong: WrongTree) -> str:
    """Return why the scores of a tree's nodes differ from those of plain rows."""
    if not all(map(wrong.is_close, wrong.got, wrong.scores_of(wrong.query))):
        return "asked again, the tree has other scores: state of the previous call, or sampling"
    if cause := _diagnose_missing(wrong):
        return cause
    for cause, scores in _explanations(wrong):
        # A single number may match by chance, so the mistake must explain all of them.
        differs = any(not wrong.is_right(node, scores[node]) for node in wrong.wrong_nodes)
        if differs and all(map(wrong.is_close, scores, wrong.got)):
            return cause
    if len(wrong.wrong_nodes) > 1:
        if _are_stored_by_token(wrong):
            return (
                "rows are stored by token id rather than by node: the same token is at several "
                "nodes, each with another path"
            )
        if all(_is_among(wrong, wrong.got[node], wrong.expected) for node in wrong.wrong_nodes):
            return "nodes have the scores of other nodes, for example of their first sibling"
    return _diagnose_by_calls(wrong)


def _diagnose_missing(wrong: WrongTree) -> str:
    """Return which nodes have no score, if all other nodes have the right one."""
    values = {wrong.got[node] for node in wrong.wrong_nodes}
    if len(values) != 1 or not values <= {0.0, -math.inf}:
        return ""
    nodes = ", ".join(map(str, wrong.wrong_nodes))
    return f"nodes without a score, which stay at {values.pop():g}: {nodes} of {len(wrong.got)}"


def _explanations(wrong: WrongTree) -> Iterator[tuple[str, Scores]]:
    """Yield mistakes, and the scores that each of them would give."""
    yield from _other_numbers(wrong)
    yield from _other_contexts(wrong)
    if sorted_scores := _sorted_alike(wrong):
        yield "the right scores in another order than the nodes", sorted_scores


def _other_numbers(wrong: WrongTree) -> Iterator[tuple[str, Scores]]:
    """Yield the right scores in other units or with less precision."""
    expected = np.array(wrong.expected, dtype=np.float64)
    yield "the sign: these are negative log-likelihoods", -expected
    yield "these are probabilities: return their natural logarithms", np.exp(expected)
    for base in (2, 10):
        scaled = expected / math.log(base)
        yield f"logarithms to base {base}: return natural logarithms", scaled
    for decimals in (1, 2, 3):
        yield f"rounded to {decimals} decimals: return unrounded scores", expected.round(decimals)
    sums: dict[int, float] = {-1: 0.0}
    for node, (parent, value) in enumerate(zip(wrong.parents, wrong.expected, strict=True)):
        sums[node] = sums[parent] + value
    depths = [len(wrong.paths[n]) - len(wrong.query.prefix) for n in range(len(expected))]
    paths = [sums[node] for node in range(len(expected))]
    yield "these are sums along the path: return the score of each token alone", paths
    means = np.divide(paths, depths)
    yield "these are means along the path: return the score of each token alone", means
    half = expected.astype(np.float16).astype(np.float64)
    yield "rounded to float16: compute and return the scores in at least float32", half


def _other_contexts(wrong: WrongTree) -> Iterator[tuple[str, Scores]]:
    """Yield the scores of the nodes' tokens after other tokens than those of their paths."""
    paths, parents, prefix = wrong.paths, wrong.parents, list(wrong.query.prefix)
    nodes = range(len(parents))
    for cause, contexts in (
        (f"scores are those of the next position: {OFF_BY_ONE}", [paths[n] for n in nodes]),
        (
            f"scores are those of the previous position: {OFF_BY_ONE}",
            [paths[parents[n]][:-1] for n in nodes],
        ),
        (
            "every node is scored as if it followed the prefix: `parents` are ignored",
            [prefix for _ in nodes],
        ),
        (
            "every node is scored as if it followed the node before it: `parents` are ignored",
            [[*prefix, *wrong.tokens[:n]] for n in nodes],
        ),
        (
            "the last token of the prefix is left out",
            [_without(paths[parents[n]], len(prefix) - 1) for n in nodes],
        ),
        (
            "the first token of the prefix is left out",
            [_without(paths[parents[n]], 0) for n in nodes],
        ),
        (
            "the first token of the prefix (BOS?) is added a second time",
            [[prefix[0], *paths[parents[n]]] for n in nodes],
        ),
        ("the prefix is left out", [paths[parents[n]][len(prefix) :] for n in nodes]),
        (
            "only the parent's token is seen, not the whole path to it",
            [[*prefix, *paths[parents[n]][len(prefix) :][-1:]] for n in nodes],
        ),
        ("rows are those of the next node: off by one", _shifted(wrong, 1)),
        ("rows are those of the previous node: off by one", _shifted(wrong, -1)),
    ):
        scores = [wrong.score_after(contexts[node], node) for node in nodes]
        # Without a context there is no score to compare with.
        if any(map(math.isnan, scores)):
            scores = [g if math.isnan(s) else s for s, g in zip(scores, wrong.got, strict=True)]
        yield cause, scores


def _without(sequence: Sequence[int], position: int) -> list[int]:
    return [*sequence[:position], *sequence[position + 1 :]]


def _shifted(wrong: WrongTree, shift: int) -> list[Sequence[int]]:
    """Return the paths of the inner nodes beside the nodes' parents; -1 is the prefix."""
    inner = sorted(set(wrong.parents))
    index = {node: position for position, node in enumerate(inner)}
    return [wrong.paths[inner[(index[p] + shift) % len(inner)]] for p in wrong.parents]


def _sorted_alike(wrong: WrongTree) -> list[float]:
    """Return the right scores in the order of those in the tree; empty if others are among them."""
    if len(wrong.wrong_nodes) < 2:
        return []
    order = sorted(range(len(wrong.got)), key=wrong.got.__getitem__)
    result = [0.0] * len(wrong.got)
    for right, node in zip(sorted(wrong.expected), order, strict=True):
        result[node] = right
    return result


def _are_stored_by_token(wrong: WrongTree) -> bool:
    """Return whether each wrong node has the score or row of a node with the same token."""
    tokens, parents = wrong.tokens, wrong.parents
    same_token = [[n for n, other in enumerate(tokens) if other == token] for token in tokens]
    values = [[wrong.expected[other] for other in same_token[node]] for node in range(len(tokens))]
    rows = [
        [wrong.score_after(wrong.paths[n], node) for n in (same_token[p] if p >= 0 else ())]
        for node, p in enumerate(parents)
    ]
    return any(
        all(_is_among(wrong, wrong.got[node], candidates[node]) for node in wrong.wrong_nodes)
        for candidates in (values, rows)
    )


def _is_among(wrong: WrongTree, value: float, candidates: Sequence[float]) -> bool:
    return any(wrong.is_close(value, candidate) for candidate in candidates)


def _are_unnormalized(wrong: WrongTree) -> bool:
    """Return whether the scores of all tokens after the prefix lack a logsumexp."""
    ids = np.arange(wrong.subject.model.info.vocabulary_size, dtype=np.int32)
    query = replace(wrong.query, tokens=ids, parents=np.full(len(ids), -1, dtype=np.int32))
    missing = logsumexp(wrong.scores_of(query))
    return abs(missing) > wrong.subject.tolerance and all(
        wrong.is_right(node, wrong.got[node] - missing)
        for node, parent in enumerate(wrong.parents)
        if parent < 0
    )


def _diagnose_by_calls(wrong: WrongTree) -> str:
    """Return what further calls show about the first wrong node."""
    node = wrong.wrong_nodes[0]
    if _are_unnormalized(wrong):
        return "these are raw logits: subtract the logsumexp of each row (log_softmax)"
    chain = [node]
    while wrong.parents[chain[0]] >= 0:
        chain.insert(0, wrong.parents[chain[0]])
    alone = replace(
        wrong.query,
        tokens=wrong.query.tokens[chain],
        parents=np.arange(-1, len(chain) - 1, dtype=np.int32),
    )
    if not wrong.is_right(node, wrong.scores_of(alone)[-1]):
        return ""
    others = np.ones(len(wrong.tokens), dtype=np.bool_)
    others[chain] = False
    changed = wrong.scores_of(_with_other_tokens(wrong, others))
    if not wrong.is_close(wrong.got[node], changed[node]):
        return (
            "a node sees tokens that are not on its path, for example its siblings, or its logits "
            "are read at a position of another node"
        )
    return (
        "a node's score depends on its place in the tree, and is right in a tree of its path: for "
        "example, a prefix whose state is kept is ignored, or a batch has several prefixes"
    )


def _with_other_tokens(wrong: WrongTree, nodes: np.ndarray) -> TreeQuery:
    """Return the tree with other tokens at some nodes."""
    ids = wrong.subject.prompt_token_ids()
    following = dict(zip(ids, [*ids[3:], *ids[:3]], strict=True))
    changed = [
        following[token] if is_changed else token
        for token, is_changed in zip(wrong.tokens, nodes.tolist(), strict=True)
    ]
    return replace(wrong.query, tokens=np.array(changed, dtype=np.int32))
