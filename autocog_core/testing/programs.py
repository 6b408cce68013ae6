"""Checks of what a program or a choice came to, for tests: each says what came instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autocog_core.types.choice import ChoiceScores
from autocog_core.types.thought_tree import ThoughtNode, ThoughtTree


def assert_choice(
    tree: ThoughtTree, name: str, expected: str, *, min_prob: float = 0.0, visit: int = 0
) -> None:
    """The best path chose `expected` at an action, with a share of at least `min_prob` there.

    :param name: the action's uid, or the field that its text goes to.
    :param expected: blanks around it do not count.
    :param visit: which of several visits on the path; -1 is the last.
    :raises AssertionError: with the shares of all that could be chosen.
    """
    node = _found(tree, name, visit)
    siblings = [tree.nodes[other] for other in tree.children[node.parent]]
    shares = {each.text: each.prob for each in siblings if each.uid == node.uid}
    _check(name, node.text, shares, expected, min_prob)


def assert_chosen(scores: ChoiceScores, expected: str, *, min_prob: float = 0.0) -> None:
    """`expected` is the choice, with a share of at least `min_prob`.

    :raises AssertionError: with the shares of all choices.
    """
    shares = {score.choice: score.prob for score in scores.scores}
    _check("choice", scores.choice, shares, expected, min_prob)


def assert_text(tree: ThoughtTree, name: str, pattern: str, *, visit: int = 0) -> None:
    """The whole text of an action on the best path matches a regular expression.

    :raises AssertionError: with the text.
    """
    node = _found(tree, name, visit)
    if re.fullmatch(pattern, node.text, re.DOTALL) is None:
        raise AssertionError(f"{name}: {node.text!r} does not match {pattern!r}")


def assert_record(tree: ThoughtTree, expected: Mapping[str, str | Sequence[str]]) -> None:
    """The best path's record has these fields with these texts; it may have others.

    :raises AssertionError: with every field that differs.
    """
    fields = tree.fields
    wrong = [
        f"{name}: expected {text!r}, got {fields.get(name, 'no such field')!r}"
        for name, text in expected.items()
        if _bare(fields.get(name)) != _bare(text)
    ]
    if wrong:
        raise AssertionError("; ".join(wrong))


def assert_path(tree: ThoughtTree, uids: Sequence[str]) -> None:
    """The best path goes through these actions, one after the other.

    :raises AssertionError: with the path that it takes.
    """
    taken = [node.uid for node in tree.best().nodes]
    if taken != list(uids):
        raise AssertionError(f"expected {' > '.join(uids)}, got {' > '.join(taken)}")


def assert_exact(tree: ThoughtTree) -> None:
    """Every number on the best path is the model's own.

    :raises AssertionError: with the nodes that are not, and why.
    """
    wrong = [f"{node.uid}: {node.reason}" for node in tree.best().nodes if not node.exact]
    if wrong:
        raise AssertionError("not exact: " + "; ".join(wrong))


def _found(tree: ThoughtTree, name: str, visit: int) -> ThoughtNode:
    path = tree.best()
    named = [node for node in path.nodes if name in (node.uid, node.name)]
    try:
        return named[visit]
    except IndexError:
        known = ", ".join(dict.fromkeys(node.uid for node in path.nodes))
        raise AssertionError(
            f"{name}: visited {len(named)} times on the best path, which goes through {known}"
        ) from None


def _check(
    name: str, got: str, shares: Mapping[str, float], expected: str, min_prob: float
) -> None:
    share = sum(share for text, share in shares.items() if text.strip() == expected.strip())
    if got.strip() == expected.strip() and share >= min_prob:
        return
    told = ", ".join(f"{text.strip()!r} {share:.4f}" for text, share in _ranked(shares.items()))
    least = f" with at least {min_prob:g}" if min_prob else ""
    raise AssertionError(f"{name}: expected {expected!r}{least}, got {told}")


def _ranked(shares: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(shares, key=lambda each: -each[1])[:10]


def _bare(text: Any) -> Any:
    if isinstance(text, str):
        return text.strip()
    return None if text is None else [each.strip() for each in text]
