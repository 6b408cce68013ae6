"""Runs that read only the best choices, compared with the run that reads all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from autocog_core import Automaton, Choose, Model, ThoughtPath, ThoughtTree
from autocog_core.automaton import Action

Place = tuple[tuple[str, str, tuple[int, ...]], ...]


def with_top(action: Action) -> Action:
    """Return the action; a choice reads only as many of the best choices as the run follows."""
    if not isinstance(action, Choose) or action.width is None:
        return action
    if action.threshold and action.threshold_on == "prob":
        return action
    return replace(action, top=action.width)


def check_best_choices(
    automaton: Automaton, whole: ThoughtTree, main: Model, others: Mapping[str, Model]
) -> None:
    """Check that the paths stay the same, and that the bounds hold the true probabilities.

    :param automaton: the automaton.
    :param whole: its tree with all choices.
    :param main: the main model.
    :param others: the others by name.
    """
    best = replace_actions(automaton).run(main, models=others)
    assert ThoughtTree.from_dict(best.to_dict()) == best
    assert [path.text for path in best.complete] == [path.text for path in whole.complete]
    for path, expected in zip(best.complete, whole.complete, strict=True):
        assert path.logprob == pytest.approx(expected.logprob, rel=1e-9, abs=1e-9)
    by_place = {_place(whole, index): node for index, node in enumerate(whole.nodes)}
    for index, node in enumerate(best.nodes):
        true = by_place[_place(best, index)]
        assert node.logprobs == pytest.approx(true.logprobs, rel=1e-9, abs=1e-9)
        assert node.pruned_by == true.pruned_by
        if node.prob is not None:
            assert node.prob == pytest.approx(true.prob, rel=1e-9)
            assert node.prob_bounds is None
            continue
        assert node.prob_bounds is not None
        assert true.prob is not None
        lowest, highest = node.prob_bounds
        assert lowest <= true.prob * (1 + 1e-9)
        assert true.prob <= highest * (1 + 1e-9)


def replace_actions(automaton: Automaton) -> Automaton:
    """Return the automaton with `with_top` of each action."""
    return Automaton(
        [with_top(action) for action in automaton.actions], automaton.vocabs, automaton.inputs
    )


def _place(tree: ThoughtTree, index: int) -> Place:
    nodes = ThoughtPath(tree, index).nodes
    return tuple((node.uid, node.text, node.tokens) for node in nodes)
