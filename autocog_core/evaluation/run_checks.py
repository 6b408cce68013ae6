"""Checks of the thought trees that the hook `run_automata` returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autocog_core.errors import AutocogError
from autocog_core.hooks.answer_checks import check_ids, require, require_logprobs, require_type
from autocog_core.hooks.automaton_run import AutomatonRun
from autocog_core.hooks.result_checks import SUM_TOLERANCE, require_close
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.thought_tree import ThoughtNode, ThoughtTree


def check_runs(answer: Any, runs: Sequence[AutomatonRun], info: BackendInfo) -> None:
    """Check the trees of runs inside an engine: one tree or one error for each."""
    require_type(answer, list | tuple)
    require(len(answer) == len(runs), f"{len(answer)} answers for {len(runs)} runs")
    for result, run in zip(answer, runs, strict=True):
        if not isinstance(result, AutocogError):
            require_type(result, ThoughtTree)
            _check_tree(result, run, info)


def _check_tree(tree: ThoughtTree, run: AutomatonRun, info: BackendInfo) -> None:
    """Check that each node belongs to an action and follows a parent, and that sums are right."""
    uids = {action.uid for action in run.automaton.actions}
    nodes = tree.nodes
    require(isinstance(nodes, tuple), "nodes is not a tuple")
    tokens: set[int] = set()
    for index, node in enumerate(nodes):
        require_type(node, ThoughtNode)
        require(node.uid in uids, f"node {index} is of {node.uid!r}, which is no action")
        require(-1 <= node.parent < index, f"node {index} has the parent {node.parent!r}")
        require(
            -1 <= node.context_parent < index,
            f"node {index} has the context_parent {node.context_parent!r}",
        )
        require(
            -1 <= node.tokens_parent < index,
            f"node {index} has the tokens_parent {node.tokens_parent!r}",
        )
        kept = node.kept_tokens
        require(
            kept is None or 0 <= kept <= len(node.tokens), f"node {index} has kept_tokens {kept!r}"
        )
        require(node.kind is not None, f"node {index} has no kind")
        lowest, highest = (node.prob, node.prob) if node.prob is not None else _bounds(node)
        require(
            0 <= lowest <= highest <= 1 + SUM_TOLERANCE,
            f"node {index} has prob {node.prob!r} and prob_bounds {node.prob_bounds!r}",
        )
        tokens.update(node.tokens, node.tokens_before)
        before = nodes[node.parent] if node.parent >= 0 else None
        length = len(node.logprobs) + (before.length if before else 0)
        require(node.length == length, f"node {index} has length {node.length!r}, not {length}")
    check_ids(tokens, info.vocabulary_size, "tokens")
    logprobs = np.array([value for node in nodes for value in node.logprobs], dtype=np.float64)
    if logprobs.size:
        require_logprobs(logprobs)
    sums = np.array([node.path_logprob for node in nodes], dtype=np.float64)
    parents = [sums[node.parent] if node.parent >= 0 else 0.0 for node in nodes]
    own = np.array([node.logprob for node in nodes], dtype=np.float64)
    require_close(sums, own + np.array(parents), "path_logprob is not the sum along the path")


def _bounds(node: ThoughtNode) -> tuple[float, float]:
    """Return the bounds of an unknown probability; without any, bounds that no check accepts."""
    return (1.0, 0.0) if node.prob_bounds is None else node.prob_bounds
