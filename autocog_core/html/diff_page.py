"""The page of two trees side by side: the decisions that differ, and both trees."""

from __future__ import annotations

import math
from typing import Any

from autocog_core.controls import picture_controls
from autocog_core.html.page import render_page, render_template
from autocog_core.html.tokens import prob_text
from autocog_core.html.tree_data import short_number, tree_data
from autocog_core.html.tree_page import EXPLORER_SCRIPTS, EXPLORER_STYLES, tree_facts
from autocog_core.types.thought_tree import ThoughtTree
from autocog_core.types.tree_diff import AlternativeDiff, DecisionDiff, TreeDiff

_MAX_DECISIONS = 100
_MAX_ALTERNATIVES = 12
_PICKS = {
    (True, True): "picked in both",
    (True, False): "picked in the first",
    (False, True): "picked in the second",
}


def diff_page(
    diff: TreeDiff, trees: tuple[ThoughtTree, ThoughtTree], title: str = "Two thought trees"
) -> str:
    """Return a page that shows what differs in two trees, and both trees.

    :param diff: their difference.
    :param trees: the first and the second tree.
    :param title: the page's title.
    """
    differing = diff.differing
    parting = diff.parting
    body = render_template(
        "diff.html",
        title=title,
        count=len(diff.decisions),
        differing=len(differing),
        tolerance=f"{diff.tolerance:g}",
        parting=None if parting is None else _decision(parting),
        decisions=[_decision(each) for each in differing[:_MAX_DECISIONS]],
        left_out=max(0, len(differing) - _MAX_DECISIONS),
        unaligned=[str(each) for each in diff.unaligned[:_MAX_DECISIONS]],
        unaligned_left_out=max(0, len(diff.unaligned) - _MAX_DECISIONS),
        trees=[
            {"id": side, "facts": list(tree_facts(tree))}
            for side, tree in zip(("first", "second"), trees, strict=True)
        ],
    )
    return render_page(
        title,
        body,
        styles=(*EXPLORER_STYLES, "diff.css"),
        scripts=(*EXPLORER_SCRIPTS, "diff_page.js"),
        data={
            "first-data": tree_data(trees[0]) | {"other": _others(diff, is_first=True)},
            "second-data": tree_data(trees[1]) | {"other": _others(diff, is_first=False)},
        },
    )


def _others(diff: TreeDiff, *, is_first: bool) -> dict[str, Any]:
    """Return what the explorer shows of the other tree: for each node its share and its pick.

    A node: [share, or null if it is not there or not known; 1 if the other tree has it; 1 if the
    other tree picks it; 1 if the decision differs].
    """
    nodes: dict[str, list[float | None]] = {}
    for decision in diff.decisions:
        differs = int(decision.differs(diff.tolerance))
        for each in decision.alternatives:
            here, there = each.first_index, each.second_index
            share, is_pick = each.second, each.is_second_pick
            if not is_first:
                here, there, share, is_pick = there, here, each.first, each.is_first_pick
            if here is not None:
                known = None if share is None else short_number(share)
                nodes[str(here)] = [known, int(there is not None), int(is_pick), differs]
    return {"name": "second" if is_first else "first", "nodes": nodes}


def _decision(decision: DecisionDiff) -> dict[str, Any]:
    ranked = sorted(decision.alternatives, key=_importance)
    return {
        "name": decision.name,
        "after": decision.after,
        "is_same_context": decision.is_same_context,
        "divergence": _nats(decision.divergence),
        "reverse": _nats(decision.reverse_divergence),
        "note": decision.divergence_note,
        "inexact": decision.inexact,
        "alternatives": [_alternative(each) for each in ranked[:_MAX_ALTERNATIVES]],
        "left_out": max(0, len(ranked) - _MAX_ALTERNATIVES),
    }


def _alternative(each: AlternativeDiff) -> dict[str, Any]:
    return {
        "text": picture_controls(each.text),
        "first": each.first or 0.0,
        "second": each.second or 0.0,
        "first_text": _share(each.first, each.first_index),
        "second_text": _share(each.second, each.second_index),
        "first_index": each.first_index,
        "second_index": each.second_index,
        "pick": _PICKS.get((each.is_first_pick, each.is_second_pick), ""),
    }


def _importance(each: AlternativeDiff) -> tuple[bool, float]:
    is_pick = each.is_first_pick or each.is_second_pick
    return not is_pick, -max(each.first or 0.0, each.second or 0.0)


def _share(share: float | None, index: int | None) -> str:
    return "not there" if index is None else prob_text(share)


def _nats(value: float | None) -> str:
    if value is None:
        return "not known"
    return "infinite" if math.isinf(value) else f"{value:.4g} nats"
