"""Rows of the output: the best path of a tree, or an error, as plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from autocog_core.errors import AutocogError
from autocog_core.records.decode import node_prob
from autocog_core.types.choice_value import value_text
from autocog_core.types.distribution import field_distributions
from autocog_core.types.json_number import to_json_number
from autocog_core.types.record import make_record
from autocog_core.types.thought_tree import ThoughtNode, ThoughtPath, ThoughtTree

#: A share of 1, with the rounding of a sum.
_MAX_SHARE = 1.001
#: Shares of all choices sum to 1, within this.
_ROUNDING = 1e-6

#: A share that is not known, while a record is made.
_UNKNOWN: Any = object()
# One for all rows: `json.dumps` would make one for each.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

#: Plain data for one line of the output.
OutputRow = dict[str, Any]


def make_output_row(row: int, tree: ThoughtTree) -> OutputRow:
    """Return the best path of a tree as an output row.

    - `fields`: the values of the named actions; a list where a name occurs several times; a
      mapping of items for a group with `for_each`.
    - `probs`: for named Choose actions, the choice's share among its siblings; for records and
      their fields, their probability; lists and mappings of items likewise. None for a share that
      is not known, as only the best choices were read.
    - `prob_bounds`: for named Choose actions, the lowest and the highest value of that share;
      likewise. A row has it only if a share of its path is not known.
    - `distribution`: for named Choose actions, the shares of all choices by value; lists and
      mappings of items likewise. Shares that are not known are left out.
    - `prob`: the product of these shares over all choices and records of the path, named or not;
      None if one of them is not known.
    - `margin`: the smallest log(share of the chosen) - log(share of the best other), in nats;
      None if no other choice has a positive share, or if not all shares are known.
    - `logprob`: the joint log-probability of all decided tokens of the path.
    - `exact`: whether all numbers of the path are the model's, within its declared tolerance.
    - `tokens_evaluated`: tokens evaluated for the whole tree.
    - `stopped_by`: the budget limit that ended the run, or None.

    :param row: index of the input row.
    :param tree: the tree.
    :raises InputError: if the tree has no complete path although no budget limit ended the run.
    """
    path = best_path(tree)
    chosen = [index for index in path.indices if is_choice(tree.nodes[index])]
    probs = field_probs(path.nodes)
    return {
        "row": row,
        "fields": path.fields,
        "probs": _with_nulls(
            make_record(path.nodes, lambda node: _or_unknown(probs.get(id(node)), node))
        ),
        **_bounds_of_fields(path),
        "distribution": field_distributions(path, is_choice, value_text),
        "prob": _product(node.prob for node in path.nodes if _counts(node)),
        "margin": _smallest_margin(tree, chosen),
        "logprob": to_json_number(path.logprob),
        "exact": path.exact,
        "tokens_evaluated": tree.stats.get("tokens_evaluated", 0),
        "stopped_by": tree.stopped_by,
        "error": None,
    }


def is_choice(node: ThoughtNode) -> bool:
    """Return whether a Choose action made a node."""
    return node.kind == "choice"


def _counts(node: ThoughtNode) -> bool:
    """Return whether the share of a node is a factor of its path's: a record has its parts'."""
    return node.kind == "record" or (node.kind == "choice" and node.part is None)


def _or_unknown(prob: float | None, node: ThoughtNode) -> Any:
    """Return a share; `_UNKNOWN` for a choice without one, which `make_record` would leave out."""
    return _UNKNOWN if prob is None and is_choice(node) else prob


def _with_nulls(value: Any) -> Any:
    """Return plain data with None in place of `_UNKNOWN`."""
    if isinstance(value, dict):
        return {key: _with_nulls(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_nulls(entry) for entry in value]
    return None if value is _UNKNOWN else value


def _product(probs: Iterable[float | None]) -> float | None:
    """Return the product; None if one of them is not known."""
    product = 1.0
    for prob in probs:
        if prob is None:
            return None
        product *= prob
    return product


def _bounds_of_fields(path: ThoughtPath) -> dict[str, Any]:
    """Return the entry "prob_bounds" of a row; nothing if all shares are known."""
    if all(node.prob is not None for node in path.nodes if is_choice(node)):
        return {}

    def bounds(node: ThoughtNode) -> Sequence[float | None] | None:
        return list(node.prob_bounds or (node.prob, node.prob)) if is_choice(node) else None

    return {"prob_bounds": make_record(path.nodes, bounds)}


def field_probs(nodes: Sequence[ThoughtNode]) -> dict[int, float | None]:
    """Return the probabilities of a path's choices, records and fields of records.

    :param nodes: the nodes of the path.
    :returns: the probability of the field that a node belongs to, by the node's `id`.
    """
    probs: dict[int, float | None] = {}
    # The nodes of the record that is next to end, by field.
    parts: dict[str, list[ThoughtNode]] = {}
    for node in nodes:
        if node.part is not None:
            parts.setdefault(node.part, []).append(node)
        elif node.kind in ("choice", "record"):
            probs[id(node)] = node.prob
        if node.kind == "record":
            for members in parts.values():
                prob = math.prod(map(node_prob, members))
                probs.update((id(member), prob) for member in members)
            parts.clear()
    return probs


def best_path(tree: ThoughtTree) -> ThoughtPath:
    """Return the path of a tree that becomes the output row.

    :raises InputError: if the tree has no complete path although no budget limit ended the run.
    """
    return tree.best(partial=tree.stopped_by is not None)


def last_value(value: Any) -> Any:
    """Return the value of a field; of one that occurs several times, the last."""
    if isinstance(value, list):
        return value[-1] if value else None
    return value


def make_error_row(row: int, error: AutocogError) -> OutputRow:
    """Return an output row for an error; `retryable` is present if a retry may succeed."""
    data: OutputRow = {"message": error.message, "where": error.where, "hint": error.hint}
    if error.retryable:
        data["retryable"] = True
    return {"row": row, "error": data}


def to_line(row: Mapping[str, Any]) -> bytes:
    """Return a row as one line of JSON."""
    text = _ENCODER.encode(row)
    # Data may contain lone surrogates; as backslash escapes they are valid JSON.
    return text.encode("utf-8", errors="backslashreplace") + b"\n"


def read_output_row(line: bytes, index: int) -> OutputRow | None:
    """Return the output row of a line; None if the line is none, or not that of row `index`."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or type(row.get("row")) is not int or row["row"] != index:
        return None
    if not isinstance(row.get("gold"), str | None):
        return None
    if row.get("gold_choice") is not None and not _is_value(row["gold_choice"]):
        return None
    if not isinstance(row.get("input"), dict | None):
        return None
    if not are_marginals(row.get("marginals", {})):
        return None
    return row if _is_error_row(row) or _is_answer_row(row) else None


def _is_error_row(row: OutputRow) -> bool:
    error = row.get("error")
    return isinstance(error, dict) and all(
        isinstance(error.get(name), str) for name in ("message", "where", "hint")
    )


def _is_answer_row(row: OutputRow) -> bool:
    fields, probs = row.get("fields"), row.get("probs")
    return (
        row.get("error", "missing") is None
        and isinstance(fields, dict)
        and isinstance(probs, dict)
        and all(_is_value_or_list(value, _is_share_or_none) for value in probs.values())
        and isinstance(row.get("distribution"), dict)
        and all(_is_value_or_list(value, _is_share) for value in row["distribution"].values())
        and isinstance(row.get("exact"), bool)
        and isinstance(row.get("tokens_evaluated"), int)
        and isinstance(row.get("stopped_by", 0), str | None)
    )


def _is_value_or_list(value: object, is_value: Callable[[object], bool]) -> bool:
    if isinstance(value, dict):
        return all(_is_value_or_list(entry, is_value) for entry in value.values())
    if isinstance(value, list):
        return all(_is_value_or_list(entry, is_value) for entry in value)
    return is_value(value)


def _is_value(value: object) -> bool:
    return isinstance(value, str | bool | int | float)


def are_marginals(data: object) -> bool:
    """Return whether plain data are marginals by field, or by field and item."""
    if not isinstance(data, dict):
        return False
    return all(_is_marginal(entry) or are_marginals(entry) for entry in data.values())


def _is_marginal(data: object) -> bool:
    if not isinstance(data, dict) or not isinstance(data.get("values"), list):
        return False
    return _is_share(data.get("unexplored")) and all(
        isinstance(entry, dict)
        and _is_share(entry.get("prob"))
        and isinstance(entry.get("standard_error"), float | int | None)
        and all(value is None or _is_value(value) for value in _as_list(entry.get("value")))
        for entry in data["values"]
    )


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= _MAX_SHARE


def _is_share_or_none(value: object) -> bool:
    return value is None or _is_share(value)


def _smallest_margin(tree: ThoughtTree, chosen: Sequence[int]) -> float | None:
    margins = []
    for index in chosen:
        siblings = tree.children[tree.nodes[index].parent]
        probs = {sibling: tree.nodes[sibling].prob for sibling in siblings}
        known = {sibling: prob for sibling, prob in probs.items() if prob is not None}
        if len(known) < len(probs) or math.fsum(known.values()) < 1 - _ROUNDING:
            # The share of another choice, which was not read, may be larger than those here.
            return None
        own = known.pop(index)
        if known:
            margins.append(_log(own) - _log(max(known.values())))
    return min(filter(math.isfinite, margins), default=None)


def _log(prob: float) -> float:
    return math.log(prob) if prob > 0 else -math.inf
