"""Assertions on the results of programs and choices; each failure shows the actual result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from autocog_core.types.choice import ChoiceScores
from autocog_core.types.choice_value import Value
from autocog_core.types.thought_tree import ThoughtNode, ThoughtTree

#: Failure messages list at most this many choices, the likeliest ones.
MAX_LISTED_CHOICES = 10
#: A probability, or the lowest and the highest value that it can have.
_Prob = float | tuple[float, float] | None


def assert_choice(
    tree: ThoughtTree, name: str, expected: Value, *, min_prob: float = 0.0, visit: int = 0
) -> None:
    """Check that the best path chose `expected` at an action.

    :param tree: the result of a run.
    :param name: the action's uid, or the field of its value.
    :param expected: the value of the choice; blanks around a text are ignored.
    :param min_prob: the minimum probability of the choice. With `Choose.top`, what counts is the
        lowest value that it can have.
    :param visit: index of the visit on the path; -1 is the last one.
    :raises AssertionError: with the probabilities of all choices.
    """
    node = _find_node(tree, name, visit)
    siblings = [tree.nodes[child] for child in tree.children[node.parent]]
    probs = {
        sibling.value: sibling.prob if sibling.prob is not None else sibling.prob_bounds
        for sibling in siblings
        if sibling.uid == node.uid
    }
    _check_choice(name, node.value, probs, expected, min_prob)


def assert_chosen(scores: ChoiceScores, expected: Value, *, min_prob: float = 0.0) -> None:
    """Check that `expected` is the choice.

    :param scores: the result of `choose`.
    :param expected: the value of the choice; blanks around a text are ignored.
    :param min_prob: the minimum probability of the choice.
    :raises AssertionError: with the probabilities of all choices.
    """
    probs: dict[Value, _Prob] = {score.value: score.prob for score in scores.scores}
    _check_choice("choice", scores.value, probs, expected, min_prob)


def assert_text(tree: ThoughtTree, name: str, pattern: str, *, visit: int = 0) -> None:
    """Check that the whole text of an action on the best path matches a regular expression.

    :param tree: the result of a run.
    :param name: the action's uid, or the field of its text.
    :param pattern: the regular expression.
    :param visit: index of the visit on the path; -1 is the last one.
    :raises AssertionError: with the text.
    """
    node = _find_node(tree, name, visit)
    if re.fullmatch(pattern, node.text, re.DOTALL) is None:
        raise AssertionError(f"{name}: {node.text!r} does not match {pattern!r}")


def assert_record(tree: ThoughtTree, expected: Mapping[str, Any]) -> None:
    """Check that fields of the best path have these values; it may have other fields.

    :param tree: the result of a run.
    :param expected: the value, or values, of each field, or a mapping of items to these; blanks
        around texts are ignored.
    :raises AssertionError: with every field that differs.
    """
    fields = tree.fields
    errors = [
        f"{name}: expected {text!r}, got {fields.get(name, 'no such field')!r}"
        for name, text in expected.items()
        if _strip(fields.get(name)) != _strip(text)
    ]
    if errors:
        raise AssertionError("; ".join(errors))


def assert_path(tree: ThoughtTree, uids: Sequence[str]) -> None:
    """Check that the best path visits exactly these actions, in this order.

    :param tree: the result of a run.
    :param uids: the uids of the actions.
    :raises AssertionError: with the actual path.
    """
    visited = [node.uid for node in tree.best().nodes]
    if visited != list(uids):
        raise AssertionError(f"expected {' > '.join(uids)}, got {' > '.join(visited)}")


def assert_exact(tree: ThoughtTree) -> None:
    """Check that all numbers on the best path are the model's own log-probabilities.

    :param tree: the result of a run.
    :raises AssertionError: with the other nodes, and the reason of each.
    """
    inexact = [f"{node.uid}: {node.reason}" for node in tree.best().nodes if not node.exact]
    if inexact:
        raise AssertionError("not exact: " + "; ".join(inexact))


def _find_node(tree: ThoughtTree, name: str, visit: int) -> ThoughtNode:
    path = tree.best()
    visits = [node for node in path.nodes if name in (node.uid, node.name)]
    try:
        return visits[visit]
    except IndexError:
        uids = ", ".join(dict.fromkeys(node.uid for node in path.nodes))
        raise AssertionError(
            f"{name}: visited {len(visits)} times on the best path, which goes through {uids}"
        ) from None


def _check_choice(
    name: str, got: Value, probs: Mapping[Value, _Prob], expected: Value, min_prob: float
) -> None:
    prob = sum(_lowest(prob) for value, prob in probs.items() if _strip(value) == _strip(expected))
    if _strip(got) == _strip(expected) and prob >= min_prob:
        return
    likeliest = sorted(probs.items(), key=lambda item: -_lowest(item[1]))[:MAX_LISTED_CHOICES]
    choices = ", ".join(f"{_strip(value)!r} {_describe(prob)}" for value, prob in likeliest)
    minimum = f" with at least {min_prob:g}" if min_prob else ""
    raise AssertionError(f"{name}: expected {expected!r}{minimum}, got {choices}")


def _lowest(prob: _Prob) -> float:
    return prob if isinstance(prob, float | int) else 0.0 if prob is None else prob[0]


def _describe(prob: _Prob) -> str:
    if prob is None:
        return "with an unknown probability"
    if isinstance(prob, tuple):
        return f"with {prob[0]:.4f} to {prob[1]:.4f}"
    return f"{prob:.4f}"


def _strip(text: Any) -> Any:
    """Return a field's value, its values or its items; texts without the blanks around them."""
    if isinstance(text, list | tuple):
        return [_strip(item) for item in text]
    if isinstance(text, Mapping):
        return {key: _strip(entry) for key, entry in text.items()}
    return text.strip() if isinstance(text, str) else text
