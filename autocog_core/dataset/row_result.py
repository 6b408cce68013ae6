"""RowResult: what a run gives for one row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autocog_core.dataset.output_row import OutputRow, best_path, is_choice, last_value
from autocog_core.errors import AutocogError, InputError, did_you_mean
from autocog_core.types.distribution import field_distributions
from autocog_core.types.marginal import Marginal
from autocog_core.types.thought_tree import ThoughtTree

#: Shares of all choices sum to 1, within this.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class RowResult:
    """Result of one input row.

    :ivar output_row: the output row, as plain data for JSON.
    :ivar tree: the thought tree; None for an error.
    :ivar row: the input row: its values by column.
    :ivar error: the error that ended the row; None if it succeeded.
    """

    output_row: OutputRow
    tree: ThoughtTree | None = None
    row: Mapping[str, Any] = field(default_factory=dict)
    error: AutocogError | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """Values of the named actions on the best path; empty for an error."""
        return dict(self.output_row.get("fields", {}))

    @property
    def probs(self) -> dict[str, Any]:
        """The probability of each choice, record and field of a record; empty for an error."""
        return dict(self.output_row.get("probs", {}))

    def marginals(self, name: str, *keys: str) -> Marginal:
        """Return the probability of each value of a field over all paths.

        :param name: the field.
        :param keys: as in `ThoughtTree.marginals`.
        :raises AutocogError: the error of the row, if it has one.
        :raises InputError: as in `ThoughtTree.marginals`.
        """
        if self.error is not None:
            raise self.error
        assert self.tree is not None
        return self.tree.marginals(name, *keys)

    def distribution(self, name: str) -> dict[Any, Any]:
        """Return the share of each choice of a named Choose action, by value.

        :param name: the field. If it occurs several times, its last action counts;
            `output_row["distribution"]` has all of them. A group with `for_each` has a distribution
            for each item.
        :raises AutocogError: the error of the row, if it has one.
        :raises InputError: if no choice of the best path has this name, or if the shares of its
            choices are not known, as the run read only the best of them.
        """
        if self.error is not None:
            raise self.error
        assert self.tree is not None
        shares = field_distributions(best_path(self.tree), is_choice)
        if name not in shares:
            hint = did_you_mean(name, shares)
            raise InputError(f'no choice is named "{name}"', where="distribution", hint=hint)
        distribution = dict(last_value(shares[name]))
        if not _has_all_shares(distribution):
            raise InputError(
                f'the run read only the best choices of "{name}"',
                where="distribution",
                hint='leave out top, or probs="winner"; prob_bounds of the output row has bounds',
            )
        return distribution


def _has_all_shares(distribution: Any) -> bool:
    """Return whether the shares of a choice sum to 1; of a group's items, those of each."""
    if isinstance(distribution, list):
        return all(map(_has_all_shares, distribution))
    entries = list(distribution.values())
    if any(isinstance(entry, dict | list) for entry in entries):
        return all(map(_has_all_shares, entries))
    return math.fsum(entries) > 1 - _ROUNDING
