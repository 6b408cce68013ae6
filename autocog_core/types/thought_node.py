"""The nodes of a thought tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from autocog_core.numerics import renormalized_sum
from autocog_core.types.json_number import to_json_number

Pruned = Literal["width", "threshold", "duplicate", "max_visits", "budget", "incomplete"]
#: How a node arose: a fixed text; one of the choices of a Choose; a completion of beam search or
#: greedy decoding; a drawn completion; a group of questions; the end of a record.
NodeKind = Literal["text", "choice", "beam", "sample", "group", "record"]
#: The default of `ThoughtNode.value`, until it is the text.
_TEXT: Any = object()
#: The default of `ThoughtNode.context_parent`, until it is the parent, and of `tokens_parent`,
#: until it is `context_parent`.
_DEFAULT_PARENT = -2


@dataclass(frozen=True, kw_only=True, slots=True)
class ThoughtNode:
    """One step of a path: a text, a choice, or a completion.

    :ivar uid: uid of its action.
    :ivar text: the text, without a stop string or suffix that followed.
    :ivar value: what its field holds: for a choice its value, for a record its JSON data, otherwise
        the text; None for null.
    :ivar tokens: its token ids, those of a stop string or suffix included.
    :ivar logprobs: log-probabilities of its decided tokens; empty for a text that is not evaluated.
    :ivar path_logprob: sum of the log-probabilities of the path up to and including this node.
    :ivar length: number of decided tokens of the path so far.
    :ivar prob: its share among its siblings; 1 for a text; for the end of a record, the product of
        the probabilities of its fields. None for one of the best choices (`Choose.top`), if the
        other choices were not read.
    :ivar prob_bounds: where `prob` is None: the lowest and the highest value that it can have.
    :ivar pruned_by: why no path continues here although the automaton would; None if one does.
        "incomplete": a completion that ended before it met its constraint.
    :ivar finish_reason: how a completion ended: "stop", "eos", "length", "complete", "incomplete"
        or "unknown" (`autocog_core.types.completion.FinishReason`).
    :ivar last: whether the automaton ends here, so that the path is complete.
    :ivar exact: whether its own numbers (`logprobs`, `prob`) are the model's, within its declared
        tolerance.
    :ivar reason: why they are not; of messages, why they begin a new text.
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
    :ivar kind: how it arose: "text", "choice", "beam", "sample", "group" or "record"; None in trees
        that an earlier version saved.
    :ivar question: for a node of a question of a group, the question's number, from 0; with
        `for_each`, the questions of all items are counted. None for other nodes.
    :ivar kept_tokens: how many of `tokens` stay in the context of what follows; None for all. The
        tokens of a stop string, suffix or EOS do not stay.
    :ivar part: for a node that decided a part of a record, the path of its field: "items[0].price";
        "" for the record itself. Known on paths that reach the record's end; None for other nodes.
    :ivar tokens_before: the ids directly before `tokens` that belong to no node: BOS, bytes that
        are tokenized again, and texts that this node's model tokenizes in another way.
    :ivar tokens_parent: index of the node whose kept tokens `tokens_before` follows; -1 if they
        begin the sequence. Default: `context_parent`.
    """

    uid: str
    text: str
    value: Any = _TEXT
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    path_logprob: float = 0.0
    length: int = 0
    prob: float | None = 1.0
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
    context_parent: int = _DEFAULT_PARENT
    keys: tuple[str, ...] | None = None
    allowed: tuple[float, ...] = ()
    prob_error: float | None = None
    kind: NodeKind | None = None
    question: int | None = None
    kept_tokens: int | None = None
    part: str | None = None
    tokens_before: tuple[int, ...] = ()
    tokens_parent: int = _DEFAULT_PARENT
    prob_bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.context_parent == _DEFAULT_PARENT:
            object.__setattr__(self, "context_parent", self.parent)
        if self.tokens_parent == _DEFAULT_PARENT:
            object.__setattr__(self, "tokens_parent", self.context_parent)
        if self.value is _TEXT:
            object.__setattr__(self, "value", self.text)

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


_DEFAULTS = {entry.name: entry.default for entry in fields(ThoughtNode)}


def node_to_dict(node: ThoughtNode) -> dict[str, Any]:
    """Return the fields that differ from the defaults; a log-probability of -inf becomes None.

    The default of `value` is the text, that of `context_parent` is `parent`, and that of
    `tokens_parent` is `context_parent`.
    """
    data = {name: value for name, value in asdict(node).items() if value != _DEFAULTS[name]}
    if isinstance(node.value, str) and node.value == node.text:
        del data["value"]
    if node.context_parent == node.parent:
        data.pop("context_parent", None)
    if node.tokens_parent == node.context_parent:
        data.pop("tokens_parent", None)
    for name in ("tokens", "tokens_before", "keys", "prob_bounds"):
        if name in data:
            data[name] = list(data[name])
    for name in ("logprobs", "allowed"):
        if name in data:
            data[name] = [to_json_number(value) for value in data[name]]
    if "path_logprob" in data:
        data["path_logprob"] = to_json_number(data["path_logprob"])
    return data


def node_from_dict(data: Mapping[str, Any]) -> ThoughtNode:
    """Return the node that `node_to_dict` wrote."""
    values = dict(data)
    for name in ("tokens", "tokens_before"):
        values[name] = tuple(values.get(name, ()))
    for name in ("logprobs", "allowed"):
        values[name] = tuple(_infinite(value) for value in values.get(name, ()))
    for name in ("keys", "prob_bounds"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    values["path_logprob"] = _infinite(values.get("path_logprob", 0.0))
    return ThoughtNode(**values)


def _infinite(value: Any) -> float:
    return float("-inf") if value is None else float(value)
