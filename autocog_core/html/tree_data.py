"""A thought tree as compact JSON data, which assets/explorer.js reads.

Every text in it is ready to be shown: `picture_controls` has replaced what is not seen. Numbers
have six significant digits; -inf is null.

A tree: `names`, `reasons`, `models` (tables of texts), `nodes`, `best` (indices of the best path),
`has_texts` (whether the texts of tokens are known), and `other` if it is compared with another tree
(html/diff_page.py). A node has the keys that differ from the
default:

- p: its parent, -1 by default; u: its action in `names`; n: its field, with its keys;
- t: its text; x: the texts of its tokens, which replace t if their sum is the same; i: their ids;
  l: their log-probabilities; a: the log of the allowed mass of each;
- k: its kind; q: its probability, 1 by default, null if it is not known; b: its bounds; r: standard
  error;
- s: the log-probability of the path; c: why it is pruned; f: how the completion ended; g: 1 at the
  end of a complete path; e: why it is not exact, in `reasons`; m: its model, in `models`;
- v: its value, if that is not the text, with or without the blanks around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from autocog_core.controls import picture_controls
from autocog_core.errors import InputError
from autocog_core.types.choice_value import default_value, value_text
from autocog_core.types.thought_node import ThoughtNode
from autocog_core.types.thought_tree import ThoughtTree
from autocog_core.types.token_texts import TokenBytes, split_text


def tree_data(tree: ThoughtTree) -> dict[str, Any]:
    """Return a tree as data for `autocogExplorer`.

    :param tree: the tree.
    """
    names, reasons, models = _Table(), _Table(), _Table()
    return {
        "nodes": [_node_data(node, tree, names, reasons, models) for node in tree.nodes],
        "names": names.texts,
        "reasons": reasons.texts,
        "models": models.texts,
        "best": best_indices(tree),
        "has_texts": bool(tree.token_bytes),
    }


def best_indices(tree: ThoughtTree) -> list[int]:
    """Return the indices of the nodes of the best path, complete or not."""
    try:
        return list(tree.best(partial=True).indices)
    except InputError:
        # All paths were cut.
        return []


def token_texts(
    tokens: Iterable[int], model: str | None, token_bytes: TokenBytes
) -> list[str] | None:
    """Return the text of each token, ready to be shown; None if one is not known.

    :param tokens: the ids.
    :param model: the model's name; None for the main one.
    :param token_bytes: what is known.
    """
    known = token_bytes.get(model or "", {})
    raw_tokens = [known.get(token) for token in tokens]
    found = [raw for raw in raw_tokens if raw is not None]
    if not found or len(found) < len(raw_tokens):
        return None
    return [picture_controls(text) for text in split_text(found)]


def short_number(value: float) -> float | int | None:
    """Return a number with six significant digits; None for an infinite one."""
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 2**53 else rounded


class _Table:
    """Texts that occur often, by their index."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._indices: dict[str, int] = {}

    def index(self, text: str) -> int:
        if text not in self._indices:
            self._indices[text] = len(self.texts)
            self.texts.append(picture_controls(text))
        return self._indices[text]


def _node_data(
    node: ThoughtNode, tree: ThoughtTree, names: _Table, reasons: _Table, models: _Table
) -> dict[str, Any]:
    data: dict[str, Any] = {"p": node.parent, "u": names.index(node.uid)}
    text = picture_controls(node.text)
    pieces = None
    if node.logprobs:
        data["l"] = [short_number(value) for value in node.logprobs]
        data["s"] = short_number(node.path_logprob)
        # The decided tokens; a text that is not evaluated shows none.
        data["i"] = list(node.tokens)
        pieces = token_texts(node.tokens, node.model, tree.token_bytes)
        if pieces is not None:
            data["x"] = pieces
    if pieces is None or "".join(pieces) != text:
        data["t"] = text
    label = ".".join([node.name or "", *(node.keys or ())])
    optional = {
        "n": picture_controls(label),
        "a": [short_number(value) for value in node.allowed],
        "k": node.kind,
        "b": node.prob_bounds and [short_number(bound) for bound in node.prob_bounds],
        "r": node.prob_error and short_number(node.prob_error),
        "c": node.pruned_by,
        "f": node.finish_reason,
        "g": int(node.last),
    }
    data |= {key: value for key, value in optional.items() if value}
    if node.prob != 1:
        data["q"] = None if node.prob is None else short_number(node.prob)
    if not node.exact:
        data["e"] = reasons.index(node.reason or "the numbers are not the model's own")
    if node.model is not None:
        data["m"] = models.index(node.model)
    if node.value not in (node.text, default_value(node.text)):
        data["v"] = picture_controls(value_text(node.value))
    return data
