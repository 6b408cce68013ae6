"""A program on rows of inputs, as work on which models are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autocog_core.automaton.actions import Choose, Complete
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.comparison.item_result import (
    Candidate,
    Decision,
    ItemResult,
    Key,
    Pick,
    TextSum,
    margin_of,
)
from autocog_core.comparison.works import Work
from autocog_core.errors import AutocogError
from autocog_core.evaluation.run import prepare_evaluation, run_to_end
from autocog_core.hooks.client import BackendClient
from autocog_core.records.action import expand_records
from autocog_core.types.thought_tree import ThoughtNode, ThoughtPath, ThoughtTree

Row = Mapping[str, Any] | AutocogError


class ProgramWork(Work[ThoughtTree]):
    """A program on rows of inputs.

    :param automaton: the program, without errors.
    :param rows: the inputs of each row, or why the row could not be read.
    """

    kind = "program"

    def __init__(self, automaton: AutomatonGraph, rows: Sequence[Row]) -> None:
        self._automaton = automaton
        self._rows = rows
        self._actions = expand_records(automaton).by_uid

    def __len__(self) -> int:
        return len(self._rows)

    def run(self, client: BackendClient, item: int) -> ThoughtTree:
        """Return the tree of one row."""
        row = self._rows[item]
        if isinstance(row, AutocogError):
            raise row
        # The trees are not kept, so that they need no digest of the program.
        return run_to_end(prepare_evaluation(self._automaton, row, {None: client}, digest=""))

    def read(self, client: BackendClient, item: int, answer: ThoughtTree) -> ItemResult:
        """Return the decisions of a tree, and the picks of its best path."""
        has_tokens = answer.provenance.get("strategy") == "token_tree"
        decisions: dict[Key, Decision] = {}
        sums: dict[Key, TextSum] = {}
        reasons = [node.reason for node in answer.nodes if not node.exact]
        for siblings in self._sibling_groups(answer):
            first = siblings[0]
            context = ThoughtPath(answer, first.context_parent)
            key = (first.uid, *(first.keys or ()), _context_text(context))
            for node in siblings:
                if node.exact and node.logprobs:
                    sums[(*key, node.text)] = TextSum(logprob=node.logprob)
            is_choice = first.kind == "choice"
            decisions[key] = Decision(
                prefix=_prefix_ids(client, context) if has_tokens else None,
                candidates=tuple(
                    Candidate(text=node.text, tokens=node.tokens, logprobs=node.logprobs)
                    for node in siblings
                    if node.exact and len(node.tokens) == len(node.logprobs)
                ),
                shares=_shares(siblings) if is_choice else {},
            )
        return ItemResult(
            decisions=decisions,
            sums=sums,
            picks=self._picks(answer),
            note=reasons[0] if reasons else "",
        )

    def count_tokens(self, answer: ThoughtTree) -> int | None:
        """Return the tokens evaluated for the tree."""
        return answer.stats.get("tokens_evaluated")

    def _sibling_groups(self, tree: ThoughtTree) -> list[list[ThoughtNode]]:
        """Return the decided nodes, those of one decision together."""
        groups: dict[tuple[int, str], list[ThoughtNode]] = {}
        for node in tree.nodes:
            if self._is_decided(node):
                groups.setdefault((node.parent, node.uid), []).append(node)
        return list(groups.values())

    def _is_decided(self, node: ThoughtNode) -> bool:
        """Return whether a node is a choice or a completion, but no thoughts before it."""
        return isinstance(self._actions.get(node.uid), Choose | Complete)

    def _picks(self, tree: ThoughtTree) -> dict[str, Pick]:
        """Return the picks of the best path; the second of a name gets a number, as in "step 2"."""
        picks: dict[str, Pick] = {}
        counts: dict[str, int] = {}
        for node in tree.best(partial=tree.stopped_by is not None).nodes:
            if not self._is_decided(node):
                continue
            name = ".".join((node.name or node.uid, *(node.keys or ())))
            counts[name] = counts.get(name, 0) + 1
            label = name if counts[name] == 1 else f"{name} {counts[name]}"
            if node.kind != "choice":
                picks[label] = Pick(value=node.value, prob=None, margin=None)
                continue
            siblings = (tree.nodes[index] for index in tree.children[node.parent])
            others = _shares(each for each in siblings if each is not node and each.uid == node.uid)
            margin = None if node.prob is None else margin_of(node.prob, list(others.values()))
            picks[label] = Pick(value=node.value, prob=node.prob, margin=margin)
        return picks


def _shares(nodes: Iterable[ThoughtNode]) -> dict[Any, float]:
    """Return the probabilities of choices that are known, by value."""
    return {node.value: node.prob for node in nodes if node.prob is not None}


def _context_text(context: ThoughtPath) -> str:
    return context.context if context.index >= 0 else ""


def _prefix_ids(client: BackendClient, context: ThoughtPath) -> tuple[int, ...] | None:
    """Return the ids before a decision; None if the nodes do not have all of them."""
    nodes = context.context_nodes if context.index >= 0 else ()
    ids = [token for node in nodes for token in node.tokens]
    info = client.info
    special = {token.id: token.text.encode() for token in info.special_tokens}
    spelled = b"".join(special.get(token) or client.token_bytes(token) for token in ids)
    text = b"".join(node.text.encode("utf-8", errors="surrogatepass") for node in nodes)
    # A token that begins in a text and ends in the choice belongs to the text. Some tokenizers
    # begin every sequence with a blank.
    if text not in (spelled, spelled.removeprefix(b" ")):
        return None
    if info.adds_bos and info.bos is not None and ids[:1] != [info.bos]:
        ids.insert(0, info.bos)
    return tuple(ids) or None
