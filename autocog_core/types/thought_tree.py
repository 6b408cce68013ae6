"""The thought tree: all paths of a run, with their log-probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

from autocog_core.errors import InputError
from autocog_core.numerics import renormalized_sum, to_json_number
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.choice_value import Value
from autocog_core.types.record import make_record

Pruned = Literal["width", "threshold", "duplicate", "max_visits", "budget", "incomplete"]
Ranking = Literal["logprob", "mean"]
_RANKED_BY: dict[Ranking, str] = {"logprob": "path_logprob", "mean": "mean_logprob"}
FORMAT = 1
#: The default of `ThoughtNode.context_parent`, until it is the parent.
_LIKE_PARENT = -2


@dataclass(frozen=True, kw_only=True, slots=True)
class ThoughtNode:
    """One step of a path: a text, a choice, or a completion.

    :ivar uid: uid of its action.
    :ivar text: the text, without a stop string or suffix that followed.
    :ivar value: what its field holds: for a choice its value, otherwise the text.
    :ivar tokens: its token ids, those of a stop string or suffix included.
    :ivar logprobs: log-probabilities of its decided tokens; empty for a text that is not evaluated.
    :ivar path_logprob: sum of the log-probabilities of the path up to and including this node.
    :ivar length: number of decided tokens of the path so far.
    :ivar prob: its share among its siblings; 1 for a text.
    :ivar pruned_by: why no path continues here although the automaton would; None if one does.
        "incomplete": a completion that ended before it met its constraint.
    :ivar finish_reason: how a completion ended: "stop", "eos", "length", "complete", "incomplete"
        or "unknown" (`autocog_core.types.completion.FinishReason`).
    :ivar last: whether the automaton ends here, so that the path is complete.
    :ivar exact: whether its own numbers (`logprobs`, `prob`) are the model's, within its declared
        tolerance.
    :ivar reason: why they are not.
    :ivar retokenized: whether bytes before a stop string were tokenized again with what follows.
    :ivar unconditional_prompt: for a choice by the norm "pmi", the text that was used in place of
        the prompt; empty for BOS alone, None for other norms.
    :ivar name: the field of the record that its value goes to.
    :ivar model: the model it ran on, if that is not the main one.
    :ivar parent: index of the previous node in the tree's `nodes`; -1 for a first node.
    :ivar context_parent: index of the node whose context it continues; -1 if it begins a new text.
        Default: `parent`.
    :ivar keys: for an answer of a group with `for_each`: the keys below its field, which are the
        item, and the name of its action if several have one. Empty for the group itself; None for
        other nodes.
    :ivar allowed: for a completion with a constraint, for each of `logprobs`, the log of the
        probability mass that the constraint left to the model. Empty for other nodes.
    :ivar prob_error: standard error of `prob`, if that is an estimate from weighted samples.
    """

    uid: str
    text: str
    value: Value = None  # type: ignore[assignment]  # None becomes the text
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
    unconditional_prompt: str | None = None
    name: str | None = None
    model: str | None = None
    parent: int = -1
    context_parent: int = _LIKE_PARENT
    keys: tuple[str, ...] | None = None
    allowed: tuple[float, ...] = ()
    prob_error: float | None = None

    def __post_init__(self) -> None:
        if self.context_parent == _LIKE_PARENT:
            object.__setattr__(self, "context_parent", self.parent)
        if self.value is None:
            object.__setattr__(self, "value", self.text)  # type: ignore[unreachable]

    @property
    def logprob(self) -> float:
        """Sum of `logprobs`; 0 for a text that was not evaluated."""
        return float(sum(self.logprobs))

    @property
    def constrained_logprob(self) -> float | None:
        """Log-probability under its constraint, renormalized at each token; None without one."""
        return renormalized_sum(self.logprobs, self.allowed) if self.allowed else None

    @property
    def mean_logprob(self) -> float:
        """Log-probability per decided token of the path so far."""
        return self.path_logprob / self.length if self.length else 0.0


@dataclass(frozen=True, kw_only=True)
class ThoughtTree:
    """The result of a run: all evaluated paths of an automaton.

    :ivar nodes: the nodes, each after its parent; siblings in the order of the action's choices.
    :ivar stopped_by: the budget that ended the run ("tokens", "paths", "seconds", "nodes"); None
        if no budget did.
    :ivar provenance: what identifies the run: program, models, strategy, version.
    :ivar stats: cost: model calls, tokens evaluated, tokens in the tree, seconds in the model and
        outside.
    :ivar choice_scores: by the parent of its choices: the request of a Choose, and the scores of
        its choices by all norms; only of a run with `keep_scores`, and not part of `to_dict`.
    """

    nodes: tuple[ThoughtNode, ...]
    stopped_by: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    stats: Mapping[str, Any] = field(default_factory=dict)
    choice_scores: Mapping[int, tuple[ChoiceRequest, ChoiceScores]] = field(
        default_factory=dict, compare=False, repr=False
    )

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

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, with the nodes as a flat list."""
        return {
            "format": FORMAT,
            "stopped_by": self.stopped_by,
            "provenance": dict(self.provenance),
            "stats": dict(self.stats),
            "nodes": [_node_to_dict(node) for node in self.nodes],
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
            nodes = tuple(_node_from_dict(entry) for entry in data["nodes"])
        except (TypeError, KeyError) as error:
            raise InputError(f"a node is malformed: {error}", where="tree") from error
        if any(
            not -1 <= parent < index
            for index, node in enumerate(nodes)
            for parent in (node.parent, node.context_parent)
        ):
            raise InputError("a node comes before its parent", where="tree")
        return cls(
            nodes=nodes,
            stopped_by=data.get("stopped_by"),
            provenance=data.get("provenance", {}),
            stats=data.get("stats", {}),
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
        return make_record(self.nodes, lambda node: node.value)

    def _upwards(self) -> Iterator[int]:
        index = self.index
        while index >= 0:
            yield index
            index = self.tree.nodes[index].parent


def _rank(paths: Iterable[ThoughtPath], by: Ranking) -> list[ThoughtPath]:
    return sorted(paths, key=lambda path: -getattr(path.end, _RANKED_BY[by]))


_DEFAULTS = {entry.name: entry.default for entry in fields(ThoughtNode)}


def _node_to_dict(node: ThoughtNode) -> dict[str, Any]:
    """Return the fields that differ from the defaults; a log-probability of -inf becomes None.

    The default of `value` is the text, and that of `context_parent` the parent.
    """
    data = {name: value for name, value in asdict(node).items() if value != _DEFAULTS[name]}
    if node.value == node.text:
        del data["value"]
    if node.context_parent == node.parent:
        data.pop("context_parent", None)
    if "tokens" in data:
        data["tokens"] = list(data["tokens"])
    if "keys" in data:
        data["keys"] = list(data["keys"])
    if "logprobs" in data:
        data["logprobs"] = [to_json_number(value) for value in data["logprobs"]]
    if "allowed" in data:
        data["allowed"] = [to_json_number(value) for value in data["allowed"]]
    if "path_logprob" in data:
        data["path_logprob"] = to_json_number(data["path_logprob"])
    return data


def _node_from_dict(data: Mapping[str, Any]) -> ThoughtNode:
    values = dict(data)
    values["tokens"] = tuple(values.get("tokens", ()))
    values["logprobs"] = tuple(_infinite(value) for value in values.get("logprobs", ()))
    values["allowed"] = tuple(_infinite(value) for value in values.get("allowed", ()))
    if values.get("keys") is not None:
        values["keys"] = tuple(values["keys"])
    values["path_logprob"] = _infinite(values.get("path_logprob", 0.0))
    return ThoughtNode(**values)


def _infinite(value: Any) -> float:
    return float("-inf") if value is None else float(value)
