"""The thought tree: all paths of a run, with their log-probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

from autocog_core.errors import InputError
from autocog_core.lazy import import_lazily
from autocog_core.types.brief import brief
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.marginal import Marginal
from autocog_core.types.record import make_record
from autocog_core.types.thought_node import Pruned, ThoughtNode, node_from_dict, node_to_dict
from autocog_core.types.token_texts import (
    Detokenizer,
    TokenBytes,
    read_token_bytes,
    token_bytes_from_dict,
    token_bytes_to_dict,
)
from autocog_core.types.tree_alignment import diff_trees
from autocog_core.types.tree_context import context_tokens
from autocog_core.types.tree_decisions import TreeDecisions
from autocog_core.types.tree_diff import TreeDiff
from autocog_core.types.tree_marginals import compute_marginal, require_field

__all__ = ["FORMAT", "Pruned", "Ranking", "ThoughtNode", "ThoughtPath", "ThoughtTree"]

Ranking = Literal["logprob", "mean"]
_RANKED_BY: dict[Ranking, str] = {"logprob": "path_logprob", "mean": "mean_logprob"}
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class ThoughtTree:
    """The result of a run: all evaluated paths of an automaton.

    :ivar nodes: the nodes, each after its parent; siblings in the order of the action's choices.
    :ivar stopped_by: the budget that ended the run ("tokens", "paths", "seconds", "nodes"); None
        if no budget did.
    :ivar provenance: what identifies the run: program, models, strategy, version.
    :ivar stats: cost: model calls, tokens evaluated, tokens in the tree, seconds in the model and
        outside.
    :ivar repeats: for each action whose field a path can set several times, the actions that can
        still lead to this field, by uid.
    :ivar choice_scores: by the parent of its choices: the request of a Choose, and the scores of
        its choices by all norms; only of a run with `keep_scores`, and not part of `to_dict`.
    :ivar token_bytes: the bytes of its tokens, by model and id, for pictures; empty unless
        `with_token_bytes` read them.
    """

    nodes: tuple[ThoughtNode, ...]
    stopped_by: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    stats: Mapping[str, Any] = field(default_factory=dict)
    repeats: Mapping[str, Sequence[str]] = field(default_factory=dict)
    choice_scores: Mapping[int, tuple[ChoiceRequest, ChoiceScores]] = field(
        default_factory=dict, compare=False, repr=False
    )
    token_bytes: TokenBytes = field(default_factory=dict, compare=False, repr=False)

    def __repr__(self) -> str:
        """Return the number of nodes and paths, and the fields of the best path, as one line."""
        nodes = "1 node" if len(self.nodes) == 1 else f"{len(self.nodes):,} nodes"
        paths = "1 path" if len(self.complete) == 1 else f"{len(self.complete):,} paths"
        best = self.best() if self.complete else None
        shown = "" if best is None else f", best {brief(best.fields or best.end.text)}"
        return f"<ThoughtTree {nodes}, {paths} complete{shown}>"

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Indices of each node's children; the last entry holds the first nodes of paths."""
        children: list[list[int]] = [[] for _ in range(len(self.nodes) + 1)]
        for index, node in enumerate(self.nodes):
            children[node.parent].append(index)
        return tuple(map(tuple, children))

    @cached_property
    def complete(self) -> tuple[ThoughtPath, ...]:
        """The complete paths, in the order of the tree."""
        ends = (i for i, node in enumerate(self.nodes) if node.last and node.pruned_by is None)
        return tuple(ThoughtPath(self, end) for end in ends)

    def top(self, k: int, by: Ranking = "logprob") -> list[ThoughtPath]:
        """Return the k best complete paths, best first (ties: the earlier one).

        :param k: maximum number of paths.
        :param by: "logprob" ranks by joint log-probability, "mean" by that per decided token.
        """
        return _rank(self.complete, by)[:k]

    def best(self, by: Ranking = "logprob", *, partial: bool = False) -> ThoughtPath:
        """Return the best complete path.

        :param by: see `top`.
        :param partial: if no path is complete, return the best incomplete one.
        :raises InputError: if there is none.
        """
        paths = self.top(1, by)
        if not paths and partial:
            inner = {node.parent for node in self.nodes}
            paths = _rank(
                (
                    ThoughtPath(self, index)
                    for index, node in enumerate(self.nodes)
                    if index not in inner and node.pruned_by not in ("width", "threshold")
                ),
                by,
            )
        if not paths:
            raise self._incomplete_error()
        return paths[0]

    def _incomplete_error(self) -> InputError:
        """Return why no path is complete."""
        reason, hint = "", "give a larger budget, or best(partial=True)"
        if self.stopped_by is not None:
            reason = f": out of {self.stopped_by}"
        elif uids := {node.uid for node in self.nodes if node.pruned_by == "incomplete"}:
            reason = f': the text of action "{min(uids)}" ended before it met its constraint'
            hint = "give the action a larger length, or a constraint of shorter texts"
        elif any(node.pruned_by == "max_visits" for node in self.nodes):
            reason = ": each ended at an action without visits left"
            hint = (
                "give max_visits to the action that a choice leads to, so that the run takes "
                "another choice; or best(partial=True)"
            )
        return InputError(f"no path is complete{reason}", where="tree", hint=hint)

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of the best path: the values of its named actions."""
        return self.best().fields

    def context_tokens(self, node: int | ThoughtNode) -> tuple[int, ...]:
        """Return the ids that a node's log-probabilities are conditioned on, BOS included.

        The first of the node's `logprobs` is that of its first token after these ids, the second
        that of its second token after these ids and the first token, and so on. Tokens of stop
        strings are left out, and text after them is tokenized again.

        :param node: a node of this tree, or its index in `nodes`.
        :returns: the ids, as its model received them.
        :raises InputError: if the node is not of this tree; if the tokens are not known, because
            the node is not exact, or an earlier version saved the tree.
        """
        return context_tokens(self.nodes, node)

    def marginals(self, name: str, *keys: str) -> Marginal:
        """Return the probability of each value of a field, over all paths of the tree.

        It is the sum, over the nodes that set the field to this value, of the product of the
        weights along their path, whether the run followed them or not. The weight of a choice is
        its `prob`, that of a sample its frequency, and that of a beam its probability, under its
        constraint if it has one. What the run cut before the field is `unexplored`. A field that a
        path can set several times has the tuple of its values.

        :param name: the field.
        :param keys: for a group with `for_each`, the item, and the name of its action if several
            have one.
        :raises InputError: if no node sets the field; if the run followed only some samples before
            it; if a completion or a choice has no probability (`Choose.top`); if an earlier version
            saved the tree.
        """
        require_field(self.nodes, name, keys)
        return self.find_marginal(name, keys)

    def find_marginal(self, name: str, keys: tuple[str, ...] = ()) -> Marginal:
        """Return `marginals`, also of a field that no node sets."""
        return compute_marginal(self.nodes, self.children, self.repeats, name, keys)

    def with_token_bytes(
        self, model: Detokenizer, models: Mapping[str, Detokenizer] | None = None
    ) -> Self:
        """Return this tree with the bytes of its tokens, which pictures show in color.

        :param model: the main model of the run.
        :param models: the models that the program names, as for the run.
        """
        known = {"": model, **(models or {})}
        return replace(self, token_bytes=read_token_bytes(self.nodes, known))

    def _repr_html_(self) -> str:
        """Return the tree for a cell of a notebook."""
        html: str = import_lazily("autocog_core.html.notebook", "tree_in_cell")(self)
        return html

    def to_html(
        self,
        model: Detokenizer | None = None,
        models: Mapping[str, Detokenizer] | None = None,
        *,
        title: str = "Thought tree",
    ) -> str:
        """Return a page that shows the tree: one file, which requests nothing.

        :param model: the main model of the run, which knows the texts of the tokens. Without it,
            tokens have their ids, unless the tree has `token_bytes`.
        :param models: the models that the program names, as for the run.
        :param title: the page's title.
        """
        tree = self if model is None else self.with_token_bytes(model, models)
        page: str = import_lazily("autocog_core.html.tree_page", "tree_page")(tree, title)
        return page

    def diff(self, other: ThoughtTree, *, tolerance: float = 0.001) -> TreeDiff:
        """Return the decisions of this tree and another one side by side.

        Decisions are aligned from the start of both trees: those after the same alternatives, by
        the name of their field, or the uid of their action. The texts between them may differ. If
        the trees follow nothing in common, such as two different texts, their best paths go on side
        by side. A decision that only one version of a program has is passed over.

        :param other: the second tree.
        :param tolerance: the largest difference of a share that counts as none.
        :raises InputError: if the tolerance is negative.
        """
        if not tolerance >= 0:
            raise InputError(f"{tolerance} is not at least 0", where="tolerance")
        diff = diff_trees(self._decisions, other._decisions, tolerance)
        return replace(diff, trees=(self, other))

    @cached_property
    def _decisions(self) -> TreeDecisions:
        best = self.best(partial=True).indices if self.nodes else ()
        return TreeDecisions(self.nodes, self.children, best)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, with the nodes as a flat list."""
        return {
            "format": FORMAT,
            "stopped_by": self.stopped_by,
            "provenance": dict(self.provenance),
            "stats": dict(self.stats),
            **(
                {"repeats": {uid: list(uids) for uid, uids in self.repeats.items()}}
                if self.repeats
                else {}
            ),
            **({"token_bytes": token_bytes_to_dict(self.token_bytes)} if self.token_bytes else {}),
            "nodes": [node_to_dict(node) for node in self.nodes],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ThoughtTree:
        """Return the tree that `to_dict` wrote.

        :param data: plain data.
        :raises InputError: for another format, or malformed nodes.
        """
        if data.get("format") != FORMAT:
            raise InputError(f"format {data.get('format')!r} is not {FORMAT}", where="tree")
        try:
            nodes = tuple(node_from_dict(entry) for entry in data["nodes"])
        except (TypeError, KeyError) as error:
            raise InputError(f"a node is malformed: {error}", where="tree") from error
        if any(
            not -1 <= parent < index
            for index, node in enumerate(nodes)
            for parent in (node.parent, node.context_parent, node.tokens_parent)
        ):
            raise InputError("a node comes before its parent", where="tree")
        return cls(
            nodes=nodes,
            stopped_by=data.get("stopped_by"),
            provenance=data.get("provenance", {}),
            stats=data.get("stats", {}),
            repeats={uid: tuple(uids) for uid, uids in data.get("repeats", {}).items()},
            token_bytes=token_bytes_from_dict(data.get("token_bytes", {})),
        )


@dataclass(frozen=True, slots=True)
class ThoughtPath:
    """A path through a tree, from the start to a node.

    :ivar tree: the tree.
    :ivar index: index of the path's last node in `tree.nodes`.
    """

    tree: ThoughtTree
    index: int

    @property
    def end(self) -> ThoughtNode:
        """The last node."""
        return self.tree.nodes[self.index]

    @property
    def nodes(self) -> tuple[ThoughtNode, ...]:
        """The nodes, first to last."""
        return tuple(self.tree.nodes[index] for index in self.indices)

    @property
    def indices(self) -> tuple[int, ...]:
        """The indices of its nodes in `tree.nodes`, first to last."""
        return tuple(reversed(list(self._upwards())))

    @property
    def logprob(self) -> float:
        """Joint log-probability of the decided tokens."""
        return self.end.path_logprob

    @property
    def exact(self) -> bool:
        """Whether all nodes are exact, and so their sum."""
        return all(node.exact for node in self.nodes)

    @property
    def text(self) -> str:
        """The texts of the nodes, concatenated; also across the beginnings of new texts."""
        return "".join(node.text for node in self.nodes)

    @property
    def context_nodes(self) -> tuple[ThoughtNode, ...]:
        """The nodes of the last text, first to last: those that a model sees after the path."""
        nodes = []
        index = self.index
        while index >= 0:
            nodes.append(self.tree.nodes[index])
            index = self.tree.nodes[index].context_parent
        return tuple(reversed(nodes))

    @property
    def context(self) -> str:
        """The texts of `context_nodes`, concatenated."""
        return "".join(node.text for node in self.context_nodes)

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens of the nodes, concatenated."""
        return tuple(token for node in self.nodes for token in node.tokens)

    @property
    def fields(self) -> dict[str, Any]:
        """Values of the named actions; a list for a name that occurs several times.

        A group with `for_each` has a mapping of its items to their answers.
        """
        return make_record(self.nodes, lambda node: node.value, has_nulls=True)

    def _upwards(self) -> Iterator[int]:
        index = self.index
        while index >= 0:
            yield index
            index = self.tree.nodes[index].parent


def _rank(paths: Iterable[ThoughtPath], by: Ranking) -> list[ThoughtPath]:
    return sorted(paths, key=lambda path: -getattr(path.end, _RANKED_BY[by]))
