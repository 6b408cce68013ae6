"""What two thought trees have in common, and where they differ."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from autocog_core.errors import InputError, shorten
from autocog_core.lazy import import_lazily
from autocog_core.types.brief import brief
from autocog_core.types.json_number import to_json_number

Side = Literal["first", "second"]
_MAX_DECISIONS = 20
_MAX_ALTERNATIVES = 8
_MAX_TEXT = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class AlternativeDiff:
    """One alternative of a decision, in both trees.

    :ivar text: its text, in the first tree if it is there.
    :ivar first: its share in the first tree; None if it is not there, or not known.
    :ivar second: its share in the second tree, likewise.
    :ivar first_index: index of its node in the first tree; None if it is not there.
    :ivar second_index: index of its node in the second tree, likewise.
    :ivar is_first_pick: whether the first tree picks it: its best path takes it, or of a decision
        beside that path, it is the likeliest that the run followed.
    :ivar is_second_pick: whether the second tree picks it, likewise.
    """

    text: str
    first: float | None
    second: float | None
    first_index: int | None
    second_index: int | None
    is_first_pick: bool = False
    is_second_pick: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether both trees have it."""
        return self.first_index is not None and self.second_index is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionDiff:
    """A decision that both trees made.

    :ivar name: its field, or the uid of its action.
    :ivar after: the alternative of the decision before it, as the first tree has it; None if it is
        the first decision.
    :ivar depth: how many decisions are before it.
    :ivar first_parent: index of the node before it in the first tree; -1 if there is none.
    :ivar second_parent: index of the node before it in the second tree, likewise.
    :ivar alternatives: its alternatives: those of the first tree in their order, then the others.
    :ivar is_same_context: whether all texts before it are equal.
    :ivar is_on_best_paths: whether the best paths of both trees pass it.
    :ivar divergence: KL(first || second) of the shares, in nats; infinite if the second tree gives
        no probability to an alternative that has one in the first. None if it is not known.
    :ivar reverse_divergence: KL(second || first), likewise.
    :ivar divergence_note: of which alternatives alone they are, if not of all; or why they are not
        known.
    :ivar inexact: why the shares are not exact; empty if they are.
    """

    name: str
    after: str | None
    depth: int
    first_parent: int
    second_parent: int
    alternatives: tuple[AlternativeDiff, ...]
    is_same_context: bool
    is_on_best_paths: bool
    divergence: float | None
    reverse_divergence: float | None
    divergence_note: str = ""
    inexact: str = ""

    @property
    def is_same_pick(self) -> bool:
        """Whether both trees pick the same alternative."""
        return any(each.is_first_pick and each.is_second_pick for each in self.alternatives)

    @property
    def largest_difference(self) -> float:
        """Largest difference of a share, between 0 and 1; an alternative that is missing has 0."""
        return max(
            (abs((each.first or 0.0) - (each.second or 0.0)) for each in self.alternatives),
            default=0.0,
        )

    def differs(self, tolerance: float) -> bool:
        """Return whether picks or alternatives differ, or a share by more than `tolerance`."""
        return (
            not self.is_same_pick
            or not all(each.is_shared for each in self.alternatives)
            or self.largest_difference > tolerance
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; an infinite divergence is None, and a flag says so."""
        data = asdict(self)
        data["alternatives"] = [asdict(each) for each in self.alternatives]
        for name in ("divergence", "reverse_divergence"):
            data[f"is_{name}_infinite"] = data[name] == math.inf
            data[name] = to_json_number(data[name])
        data["is_same_pick"] = self.is_same_pick
        return data

    def __str__(self) -> str:
        """Return a line for the decision, and one for each of its alternatives."""
        after = "" if self.after is None else f" after {_shown(self.after)}"
        context = "" if self.is_same_context else ", after different texts"
        note = f" ({self.divergence_note})" if self.divergence_note else ""
        inexact = f"; not exact: {shorten(self.inexact, 2 * _MAX_TEXT)}" if self.inexact else ""
        kl = f"KL {_number(self.divergence)}, reverse {_number(self.reverse_divergence)} nats"
        if self.divergence is None:
            kl, note = "KL not known", f": {self.divergence_note}"
        ranked = sorted(self.alternatives, key=_importance)
        width = max(len(_shown(each.text)) for each in ranked[:_MAX_ALTERNATIVES])
        lines = [
            f"{_name(self.name)}{after}{context}: {kl}{note}{inexact}",
            f"  {'':<{width}}  {'first':>7}  {'second':>7}",
        ]
        lines += [_alternative_line(each, width) for each in ranked[:_MAX_ALTERNATIVES]]
        if len(ranked) > _MAX_ALTERNATIVES:
            lines.append(f"  and {len(ranked) - _MAX_ALTERNATIVES:,} more")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unaligned:
    """A decision of one tree, with all that follows it, that has no place in the other tree.

    :ivar tree: which tree has it.
    :ivar name: its field, or the uid of its action.
    :ivar parent: index of the node before it in this tree; -1 if there is none.
    :ivar reason: why it has no place.
    """

    tree: Side
    name: str
    parent: int
    reason: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"only in the {self.tree} tree: {_name(self.name)} ({self.reason})"


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeDiff:
    """Two thought trees side by side.

    :ivar decisions: the decisions of both, those with fewer decisions before them first.
    :ivar unaligned: the decisions of only one tree. What follows them is not compared, unless a
        decision of the same name goes on.
    :ivar tolerance: the largest difference of a share that counts as none.
    :ivar trees: the first and the second `ThoughtTree`; None if only the difference is known.
    """

    decisions: tuple[DecisionDiff, ...]
    unaligned: tuple[Unaligned, ...]
    tolerance: float
    #: Of a type that imports this one.
    trees: tuple[Any, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def differing(self) -> tuple[DecisionDiff, ...]:
        """The decisions that differ: in a pick, in the alternatives, or in a share."""
        return tuple(each for each in self.decisions if each.differs(self.tolerance))

    @property
    def first(self) -> DecisionDiff | None:
        """The first decision that differs; None if none does."""
        return next(iter(self.differing), None)

    @property
    def parting(self) -> DecisionDiff | None:
        """The first decision at which the best paths pick different alternatives; None if none."""
        pairs = (each for each in self.decisions if each.is_on_best_paths)
        return next((each for each in pairs if not each.is_same_pick), None)

    @property
    def is_equal(self) -> bool:
        """Whether no decision differs, and all are in both trees."""
        return not self.differing and not self.unaligned

    def to_html(self, *, title: str = "Two thought trees") -> str:
        """Return a page that shows what differs, and both trees: one file without requests.

        :param title: the page's title.
        :raises InputError: if the trees are not known.
        """
        if self.trees is None:
            raise InputError("the trees are not known", where="trees", hint="use tree.diff(other)")
        page: str = import_lazily("autocog_core.html.diff_page", "diff_page")(
            self, self.trees, title
        )
        return page

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON. `first` and `parting` are indices in `decisions`, or None."""
        return {
            "tolerance": self.tolerance,
            "is_equal": self.is_equal,
            "first": self._index(self.first),
            "parting": self._index(self.parting),
            "decisions": [
                {**each.to_dict(), "differs": each.differs(self.tolerance)}
                for each in self.decisions
            ],
            "unaligned": [asdict(each) for each in self.unaligned],
        }

    def _index(self, decision: DecisionDiff | None) -> int | None:
        return next((i for i, each in enumerate(self.decisions) if each is decision), None)

    def __str__(self) -> str:
        """Return what differs, as lines of text."""
        differing, parting = self.differing, self.parting
        some = "1 decision" if len(self.decisions) == 1 else f"{len(self.decisions):,} decisions"
        verb = "differs" if len(differing) == 1 else "differ"
        lines = [f"{some} in both trees, {len(differing):,} {verb}"]
        if differing:
            lines[0] += f" (a pick, or a probability by more than {self.tolerance:g})"
            lines.append(f"first that differs: {_name(differing[0].name)}")
        if parting is not None:
            picks = (
                next(a.text for a in parting.alternatives if a.is_first_pick),
                next(a.text for a in parting.alternatives if a.is_second_pick),
            )
            lines.append(
                f"the best paths part at {_name(parting.name)}: {_shown(picks[0])} in the first, "
                f"{_shown(picks[1])} in the second"
            )
        for decision in differing[:_MAX_DECISIONS]:
            lines += ["", str(decision)]
        if len(differing) > _MAX_DECISIONS:
            lines += ["", f"and {len(differing) - _MAX_DECISIONS:,} more decisions that differ"]
        lines += ["", *map(str, self.unaligned[:_MAX_DECISIONS])] if self.unaligned else []
        if len(self.unaligned) > _MAX_DECISIONS:
            lines.append(f"and {len(self.unaligned) - _MAX_DECISIONS:,} more in only one tree")
        return "\n".join(lines)


def _importance(alternative: AlternativeDiff) -> tuple[bool, float]:
    is_pick = alternative.is_first_pick or alternative.is_second_pick
    return not is_pick, -max(alternative.first or 0.0, alternative.second or 0.0)


def _alternative_line(alternative: AlternativeDiff, width: int) -> str:
    picks = {
        (True, True): "picked in both",
        (True, False): "picked in the first",
        (False, True): "picked in the second",
    }
    shares = (
        _share(alternative.first, alternative.first_index),
        _share(alternative.second, alternative.second_index),
    )
    pick = picks.get((alternative.is_first_pick, alternative.is_second_pick), "")
    line = f"  {_shown(alternative.text):<{width}}  {shares[0]:>7}  {shares[1]:>7}  {pick}"
    return line.rstrip()


def _share(share: float | None, index: int | None) -> str:
    if index is None:
        return "-"
    if share is None:
        return "?"
    return "<.0001" if 0 < share < 0.00005 else f"{share:.4f}"


def _number(value: float | None) -> str:
    if value is None or math.isinf(value):
        return "infinite"
    return f"{value:.1e}" if 0 < value < 0.001 else f"{value:.4f}"


def _shown(text: str) -> str:
    return brief(text, _MAX_TEXT)


def _name(name: str) -> str:
    return name if name.isprintable() else repr(name)
