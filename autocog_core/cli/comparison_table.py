"""A comparison of two models as tables."""

from __future__ import annotations

from rich.table import Table

from autocog_core.cli.output import (
    add_number,
    add_text,
    escape_controls,
    facts_table,
    format_probability,
    new_table,
    show,
)
from autocog_core.cli.session import session
from autocog_core.cli.text import Text
from autocog_core.errors import shorten
from autocog_core.types.choice_value import Value, value_text
from autocog_core.types.comparison import Comparison, comparison_facts, model_facts

_MAX_FLIPS = 20
_MAX_SHOWN_CHARACTERS = 40


def show_comparison(comparison: Comparison) -> None:
    """Print the numbers of both models, their differences, and the picks that flip."""
    facts = [(name, Text(escape_controls(text))) for name, text in comparison_facts(comparison)]
    show(_models(comparison), Text(), facts_table(facts))
    if comparison.flips:
        show(Text(), _flips(comparison))
    if len(comparison.flips) > _MAX_FLIPS:
        more = len(comparison.flips) - _MAX_FLIPS
        show(Text(f"and {more:,} more; --json has all", style="dim"))
    for note in comparison.notes:
        session.warn(note)
    for item, message in list(comparison.errors.items())[:1]:
        session.warn(f"{len(comparison.errors):,} items have errors; the first, {item}: {message}")


def _models(comparison: Comparison) -> Table:
    table = new_table()
    add_text(table, "")
    for model in (comparison.first, comparison.second):
        add_text(table, escape_controls(model.name))
    facts = [model_facts(model) for model in (comparison.first, comparison.second)]
    for name in dict.fromkeys([*facts[0], *facts[1]]):
        table.add_row(name, *(escape_controls(each.get(name, "-")) for each in facts))
    return table


def _flips(comparison: Comparison) -> Table:
    table = new_table()
    has_fields = any(flip.field for flip in comparison.flips)
    add_number(table, "#")
    if has_fields:
        add_text(table, "field")
    for model in (comparison.first, comparison.second):
        add_text(table, escape_controls(model.name))
        add_number(table, "prob")
    add_number(table, "margin")
    for flip in comparison.flips[:_MAX_FLIPS]:
        table.add_row(
            str(flip.item),
            *([escape_controls(flip.field)] if has_fields else []),
            _shown(flip.first),
            _prob(flip.first_prob),
            _shown(flip.second),
            _prob(flip.second_prob),
            "-" if flip.first_margin is None else f"{flip.first_margin:.4f}",
        )
    return table


def _shown(value: Value | None) -> str:
    if value is None:
        return "-"
    return escape_controls(shorten(value_text(value).replace("\n", " "), _MAX_SHOWN_CHARACTERS))


def _prob(prob: float | None) -> str:
    return "-" if prob is None else format_probability(prob)
