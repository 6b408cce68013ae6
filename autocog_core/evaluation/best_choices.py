"""A Choose of which only the best choices are wanted (`Choose.top`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from autocog_core.automaton.actions import Choose
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.evaluation.branch import ActionSteps, Branch
from autocog_core.evaluation.open_path import count_visit, has_no_visits_left
from autocog_core.evaluation.path_context import PathContext
from autocog_core.evaluation.tree_choose import choose_by_tree, choose_top_by_tree
from autocog_core.hooks.client import BackendClient

ScoreChoices = Callable[[BackendClient, Choose, PathContext], ActionSteps]


def choose_best(
    client: BackendClient,
    action: Choose,
    context: PathContext,
    score_all: ScoreChoices,
    *,
    exhausted: Collection[int],
    is_whole: bool,
) -> ActionSteps:
    """Return the best choices of an action, as many as a path can follow.

    Choices that lead to an action without visits left do not count, as in a run with all choices:
    those that are better than the last choice are branches, too.

    :param score_all: scores all choices. The strategy "text" does, and so do choices with several
        texts, whose probabilities are sums.
    :param exhausted: the indices of the choices that a path cannot follow.
    :param is_whole: whether to score all choices, even if a part of their tree is enough.
    """
    assert action.top is not None
    count = min(len(action.choices), action.top + len(exhausted))
    if is_whole or action.texts.has_several or score_all is not choose_by_tree:
        result = yield from score_all(client, action, context)
    else:
        result = yield from choose_top_by_tree(client, action, context, count)
    branches = [
        branch if branch.choice is not None else replace(branch, choice=index)
        for index, branch in enumerate(result.branches)
    ]
    return replace(result, branches=_best(branches, action.top, exhausted))


def exhausted_choices(
    graph: AutomatonGraph, action: Choose, visits: Mapping[str, int]
) -> frozenset[int]:
    """Return the indices of the choices that a path cannot follow; none if it can follow none.

    :param visits: the visits of the path before the action.
    """
    if len(action.successors) < 2:
        return frozenset()
    after = count_visit(visits, action)
    exhausted = frozenset(
        index
        for index in range(len(action.choices))
        if (follower := graph.successor(action, index)) is not None
        and has_no_visits_left(after, follower)
    )
    return exhausted if len(exhausted) < len(action.choices) else frozenset()


def _best(branches: list[Branch], count: int, exhausted: Collection[int]) -> tuple[Branch, ...]:
    """Return the best branches until so many of them can be followed, in the order given."""
    order = sorted(range(len(branches)), key=lambda index: (-branches[index].rank, index))
    best: list[int] = []
    for index in order:
        best.append(index)
        count -= branches[index].choice not in exhausted
        if not count:
            break
    return tuple(branches[index] for index in sorted(best))
