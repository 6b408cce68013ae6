"""What a tree comes to, as one row of the output; and rows for what failed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autocog_core.automaton.actions import Choose
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import AutocogError
from autocog_core.numerics import to_json_number
from autocog_core.types.thought_tree import ThoughtNode, ThoughtPath, ThoughtTree

Record = dict[str, Any]


def record_of(row: int, automaton: AutomatonGraph, tree: ThoughtTree) -> Record:
    """The best path of a tree.

    - `fields`: the texts of its named actions, and `probs`: of those that choose, the share of the
      choice among its siblings; lists where a name came several times.
    - `prob`: the product of these shares over all choices of the path, named or not.
    - `margin`: in nats, how far the closest of them was: the least of log(share of what was
      followed) - log(share of the best other one); None where nothing else could be chosen.
    - `logprob`: joint log-probability of all that the model decided on the path.
    - `tokens`: evaluated for the whole tree. `stopped`: the budget that ended it, or None.

    :raises InputError: if the tree has no complete path, and no budget is to blame.
    """
    path = tree.best(partial=tree.stopped_by is not None)
    chosen = list(_choices(automaton, path))
    return {
        "row": row,
        "fields": path.fields,
        "probs": _probs([node for node, _ in chosen]),
        "prob": math.prod(node.prob for node, _ in chosen),
        "margin": _margin(chosen),
        "logprob": to_json_number(path.logprob),
        "tokens_evaluated": tree.stats.get("tokens_evaluated", 0),
        "stopped_by": tree.stopped_by,
        "error": None,
    }


def error_record(row: int, error: AutocogError) -> Record:
    """A row without a result, and why; `retryable` where it may go well another time."""
    told: Record = {"message": error.message, "where": error.where, "hint": error.hint}
    if error.retryable:
        told["retryable"] = True
    return {"row": row, "error": told}


def to_line(record: Mapping[str, Any]) -> bytes:
    """One line of JSON."""
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    # Data may hold half of a surrogate pair: escaped with a backslash it is JSON again.
    return text.encode("utf-8", errors="backslashreplace") + b"\n"


def _choices(
    automaton: AutomatonGraph, path: ThoughtPath
) -> Iterator[tuple[ThoughtNode, list[ThoughtNode]]]:
    """The choices of a path, each with the others that it could have made."""
    tree = path.tree
    for node in path.nodes:
        if isinstance(automaton.by_uid[node.uid], Choose):
            siblings = (tree.nodes[index] for index in tree.children[node.parent])
            yield node, [other for other in siblings if other is not node]


def _probs(nodes: Sequence[ThoughtNode]) -> dict[str, float | list[float]]:
    found: dict[str, list[float]] = {}
    for node in nodes:
        if node.name is not None:
            found.setdefault(node.name, []).append(node.prob)
    return {name: probs[0] if len(probs) == 1 else probs for name, probs in found.items()}


def _margin(chosen: Sequence[tuple[ThoughtNode, Sequence[ThoughtNode]]]) -> float | None:
    margins = [
        _log(node.prob) - _log(max(other.prob for other in others))
        for node, others in chosen
        if others
    ]
    known = [margin for margin in margins if math.isfinite(margin)]
    return min(known, default=None)


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf
