"""The thought tree: every path that an automaton took through a model, with its probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

from autocog_core.errors import InputError
from autocog_core.numerics import to_json_number

Pruned = Literal["width", "threshold", "duplicate", "max_visits", "budget"]
Ranking = Literal["logprob", "mean"]
_RANKED_BY: dict[Ranking, str] = {"logprob": "path_logprob", "mean": "mean_logprob"}
FORMAT = 1


@dataclass(frozen=True, slots=True)
class ThoughtNode:
    """One step of a path: a text, a choice, or a completion.

    :ivar uid: uid of its action.
    :ivar text: the text, without a stop string or suffix that followed.
    :ivar tokens: its token ids, those of a stop string or suffix included.
    :ivar logprobs: log-probabilities of its decided tokens; empty for a text that is not evaluated.
    :ivar path_logprob: sum of the log-probabilities of the path up to and including this node.
    :ivar length: number of decided tokens of the path so far.
    :ivar prob: its share among its siblings; 1 for a text.
    :ivar pruned_by: why no path continues here although the automaton would; None if one does.
    :ivar finish_reason: how a completion ended: "stop", "eos" or "length".
    :ivar last: whether the automaton ends here, so that the path is complete.
    :ivar exact: whether its own numbers (`logprobs`, `prob`) are the model's, within its declared
        tolerance.
    :ivar reason: why they are not.
    :ivar retokenized: whether bytes before a stop string were tokenized again with what follows.
    :ivar name: the field of the record that its text goes to.
    :ivar model: the model it ran on, if that is not the main one.
    :ivar parent: index of the previous node in the tree's `nodes`; -1 for a first node.
    """

    uid: str
    text: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    path_logprob: float = 0.0
    length: int = 0
    prob: float = 1.0
    pruned_by: Pruned | None = None
    finish_reason: str | None = None
    last: bool = False
    exact: bool = True
    reason: str = ""
    retokenized: bool = False
    name: str | None = None
    model: str | None = None
    parent: int = -1

    @property
    def logprob(self) -> float:
        """Sum of the node's own `logprobs`; 0 for a text that was not evaluated."""
        return float(sum(self.logprobs))

    @property
    def mean_logprob(self) -> float:
        """Log-probability per decided token of the path so far."""
        return self.path_logprob / self.length if self.length else 0.0


@dataclass(frozen=True)
class ThoughtTree:
    """The result of a run: all paths of an automaton.

    :ivar nodes: the nodes, each after its parent; siblings in the order of the action's choices.
    :ivar stopped_by: the budget that ended the run ("tokens", "paths", "seconds"); None if the
        tree is complete.
    :ivar provenance: fingerprints and versions: what tells runs apart.
    :ivar stats: model calls, tokens evaluated and needed, seconds in the model and outside.
    """

    nodes: tuple[ThoughtNode, ...]
    stopped_by: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    stats: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Indices of each node's children; the last entry holds those that begin paths."""
        found: list[list[int]] = [[] for _ in range(len(self.nodes) + 1)]
        for index, node in enumerate(self.nodes):
            found[node.parent].append(index)
        return tuple(map(tuple, found))

    @cached_property
    def complete(self) -> tuple[ThoughtPath, ...]:
        """The complete paths, in the order of the tree."""
        ends = (i for i, node in enumerate(self.nodes) if node.last and node.pruned_by is None)
        return tuple(ThoughtPath(self, end) for end in ends)

    def top(self, k: int, by: Ranking = "logprob") -> list[ThoughtPath]:
        """The k best complete paths, best first (ties: the earlier one)."""
        return sorted(self.complete, key=lambda path: -getattr(path.end, _RANKED_BY[by]))[:k]

    def best(self, by: Ranking = "logprob", *, partial: bool = False) -> ThoughtPath:
        """The best complete path.

        :param partial: where there is none, the best of those that were cut short.
        :raises InputError: if there is none.
        """
        found = self.top(1, by)
        if not found and partial:
            inner = {node.parent for node in self.nodes}
            leaves = [i for i in range(len(self.nodes)) if i not in inner]
            open_ = [i for i in leaves if self.nodes[i].pruned_by not in ("width", "threshold")]
            paths = [ThoughtPath(self, i) for i in open_]
            found = sorted(paths, key=lambda path: -getattr(path.end, _RANKED_BY[by]))[:1]
        if not found:
            raise InputError(
                "no path is complete" + (f": out of {self.stopped_by}" if self.stopped_by else ""),
                where="tree",
                hint="give a larger budget, or best(partial=True)",
            )
        return found[0]

    @property
    def fields(self) -> dict[str, str | list[str]]:
        """The record of the best path: the texts of its named actions."""
        return self.best().fields

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: nodes as a list, for a tree may be deeper than JSON readers go."""
        return {
            "format": FORMAT,
            "stopped_by": self.stopped_by,
            "provenance": dict(self.provenance),
            "stats": dict(self.stats),
            "nodes": [_node_to_dict(node) for node in self.nodes],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ThoughtTree:
        """The tree that `to_dict` gave.

        :raises InputError: for data of another shape.
        """
        if data.get("format") != FORMAT:
            raise InputError(f"format {data.get('format')!r} is not {FORMAT}", where="tree")
        try:
            nodes = tuple(_node_from_dict(entry) for entry in data["nodes"])
        except (TypeError, KeyError) as error:
            raise InputError(f"a node is malformed: {error}", where="tree") from error
        if any(not -1 <= node.parent < index for index, node in enumerate(nodes)):
            raise InputError("a node comes before its parent", where="tree")
        return cls(nodes, data.get("stopped_by"), data.get("provenance", {}), data.get("stats", {}))


@dataclass(frozen=True, slots=True)
class ThoughtPath:
    """A path through a tree, from its beginning to a node."""

    tree: ThoughtTree
    index: int

    @property
    def end(self) -> ThoughtNode:
        """Its last node."""
        return self.tree.nodes[self.index]

    @property
    def nodes(self) -> tuple[ThoughtNode, ...]:
        """Its nodes, first to last."""
        return tuple(self.tree.nodes[index] for index in reversed(list(self._upwards())))

    @property
    def logprob(self) -> float:
        """The joint log-probability of its decided tokens."""
        return self.end.path_logprob

    @property
    def exact(self) -> bool:
        """Whether all its numbers are the model's own, and so their sum."""
        return all(node.exact for node in self.nodes)

    @property
    def text(self) -> str:
        """All its texts, one after the other."""
        return "".join(node.text for node in self.nodes)

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens of its nodes, one after the other."""
        return tuple(token for node in self.nodes for token in node.tokens)

    @property
    def fields(self) -> dict[str, str | list[str]]:
        """The texts of its named actions; a name that came several times gives a list."""
        found: dict[str, list[str]] = {}
        for node in self.nodes:
            if node.name is not None:
                found.setdefault(node.name, []).append(node.text)
        return {name: texts[0] if len(texts) == 1 else texts for name, texts in found.items()}

    def _upwards(self) -> Iterator[int]:
        index = self.index
        while index >= 0:
            yield index
            index = self.tree.nodes[index].parent


_DEFAULTS = {each.name: each.default for each in fields(ThoughtNode)}


def _node_to_dict(node: ThoughtNode) -> dict[str, Any]:
    """What differs from the defaults; a log-probability of -inf becomes None."""
    data = {name: value for name, value in asdict(node).items() if value != _DEFAULTS[name]}
    if "tokens" in data:
        data["tokens"] = list(data["tokens"])
    if "logprobs" in data:
        data["logprobs"] = [to_json_number(value) for value in data["logprobs"]]
    if "path_logprob" in data:
        data["path_logprob"] = to_json_number(data["path_logprob"])
    return data


def _node_from_dict(data: Mapping[str, Any]) -> ThoughtNode:
    values = dict(data)
    values["tokens"] = tuple(values.get("tokens", ()))
    values["logprobs"] = tuple(_infinite(value) for value in values.get("logprobs", ()))
    values["path_logprob"] = _infinite(values.get("path_logprob", 0.0))
    return ThoughtNode(**values)


def _infinite(value: Any) -> float:
    return float("-inf") if value is None else float(value)
