"""Marginals: the probability of each value of a field, over all paths of a thought tree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autocog_core.types.choice_value import Value, value_text

#: A value of a field; a tuple for a field that a path can set several times; None: not set.
FieldValue = Value | tuple[Value, ...] | list[Any] | dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginalValue:
    """A value of a field, and its probability.

    :ivar value: the value; a tuple for a field that a path can set several times; None for the
        paths that end without setting the field.
    :ivar prob: its probability over the paths of the tree: a lower bound if some are unexplored.
    :ivar standard_error: standard error of `prob`, if samples were drawn; NaN after a single one.
        None if `prob` is no estimate.
    """

    value: FieldValue
    prob: float
    standard_error: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a tuple becomes a list, NaN becomes None."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        data: dict[str, Any] = {"value": value, "prob": self.prob}
        if self.standard_error is not None:
            is_known = not math.isnan(self.standard_error)
            data["standard_error"] = self.standard_error if is_known else None
        return data

    @property
    def text(self) -> str:
        """The value as one line of text."""
        if self.value is None:
            return "(not set)"
        if isinstance(self.value, tuple):
            return ", ".join(map(_one_line, self.value)) or "(empty)"
        return _one_line(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marginal:
    """The probability of each value of a field. The probabilities and `unexplored` sum to 1.

    :ivar name: the field.
    :ivar keys: the keys below it, for an answer of a group with `for_each`.
    :ivar entries: the values, the likeliest first; of equal ones, the first of the tree.
    :ivar unexplored: the probability of what the run cut before it knew the field's value.
    :ivar exact: whether all numbers that it consists of are the model's.
    :ivar reason: why they are not.
    """

    name: str
    keys: tuple[str, ...] = ()
    entries: tuple[MarginalValue, ...] = ()
    unexplored: float = 0.0
    exact: bool = True
    reason: str = ""

    def __iter__(self) -> Iterator[MarginalValue]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def values(self) -> dict[Value | tuple[Value, ...] | None, float]:
        """The probability of each value.

        The keys of records are their JSON text. Values that are equal in Python, such as 1 and
        True, are one key: its probability is their sum.
        """
        values: dict[Value | tuple[Value, ...] | None, float] = {}
        for entry in self.entries:
            key = _as_key(entry.value)
            values[key] = values.get(key, 0.0) + entry.prob
        return values

    @property
    def best(self) -> MarginalValue | None:
        """The likeliest value; None if no value is known."""
        return self.entries[0] if self.entries else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "values": [entry.to_dict() for entry in self.entries],
            "unexplored": self.unexplored,
            "exact": self.exact,
            **({"reason": self.reason} if self.reason else {}),
        }

    def __str__(self) -> str:
        """Return a line for each value, and one for what is unexplored."""
        rows = [(entry.text, entry.prob, entry.standard_error) for entry in self.entries]
        if self.unexplored or not rows:
            rows.append(("(unexplored)", self.unexplored, None))
        width = max(len(text) for text, _, _ in rows)
        return "\n".join(
            f"{text:<{width}}  {_number(prob)}" + ("" if error is None else f" ± {_number(error)}")
            for text, prob, error in rows
        )


def _as_key(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_as_key, value))
    return value_text(value) if isinstance(value, list | dict) else value


def _one_line(value: Any) -> str:
    text = value_text(value)
    return text if text.isprintable() else repr(text)


def _number(value: float) -> str:
    """Return a number with four decimals, or of a small one the first two digits."""
    return f"{value:.1e}" if 0 < value < 0.001 else f"{value:.4f}"
