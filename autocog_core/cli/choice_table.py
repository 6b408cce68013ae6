"""The scores of a choice as a table."""

from __future__ import annotations

from rich.text import Text

from autocog_core.cli.choice_notes import score_notes
from autocog_core.cli.output import (
    add_number,
    add_text,
    format_bar,
    format_logprob,
    format_probability,
    is_narrow,
    new_table,
    show,
)
from autocog_core.types.choice import SCORE_FIELD_OF_NORM, ChoiceScore, ChoiceScores

_PICK_MARK = ">"


def show_scores(scores: ChoiceScores) -> None:
    """Print the choices in the order given, with the picked one marked, and notes below."""
    has_bars = not is_narrow()
    fields = _score_fields(scores)
    table = new_table()
    table.add_column("", no_wrap=True, style="bold green")
    add_text(table, "choice")
    add_number(table, "prob")
    if has_bars:
        table.add_column("", no_wrap=True, style="cyan")
    for field in fields:
        add_number(table, field)
    add_number(table, "tokens")
    for index, score in enumerate(scores.scores):
        is_picked = index == scores.index
        table.add_row(
            _PICK_MARK if is_picked else "",
            repr(score.choice),
            format_probability(score.prob),
            *([format_bar(score.prob)] if has_bars else []),
            *(format_logprob(_value(score, field)) for field in fields),
            str(len(score.tokens)),
            style="bold" if is_picked else None,
        )
    show(table, *(Text(line, style="dim") for line in _notes(scores)))


def _score_fields(scores: ChoiceScores) -> list[str]:
    """Return the columns: `logprob`, `mean_logprob`, and the score that ranks the choices."""
    # Without a choice that begins another, the exclusive log-probability is the plain one.
    is_plain = scores.norm == "sum" and not scores.has_prefix_choices
    ranking_field = "logprob" if is_plain else SCORE_FIELD_OF_NORM[scores.norm]
    if is_narrow():
        return [ranking_field]
    return list(dict.fromkeys(["logprob", "mean_logprob", ranking_field]))


def _value(score: ChoiceScore, field: str) -> float | None:
    # A choice that was picked without tokens has no log-probability.
    value: float | None = getattr(score, field) if score.tokens else None
    return value


def _notes(scores: ChoiceScores) -> list[str]:
    evaluated = (
        "" if scores.tokens_evaluated is None else f", {scores.tokens_evaluated} tokens evaluated"
    )
    notes = [
        f"entropy {scores.entropy:.3f} nats, margin {scores.margin:.4f}, "
        f"boundary {scores.boundary}{evaluated}"
    ]
    notes += score_notes(scores)
    if scores.unseen_probability:
        notes.append(f"probability that the server hides: up to {scores.unseen_probability:.4f}")
    return notes
