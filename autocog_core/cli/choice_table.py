"""The scores of a choice as a table for people."""

from __future__ import annotations

from rich.text import Text

from autocog_core.cli.output import (
    add_number,
    add_text,
    bar,
    is_narrow,
    new_table,
    number,
    probability,
    show,
)
from autocog_core.types.choice import SCORE_FIELD_OF_NORM, ChoiceScore, ChoiceScores

PICK = ">"


def show_scores(scores: ChoiceScores) -> None:
    """Print every choice in the order given, the pick marked, and what else is to know."""
    narrow = is_narrow()
    columns = _columns(scores, narrow)
    table = new_table()
    table.add_column("", no_wrap=True, style="bold green")
    add_text(table, "choice")
    add_number(table, "prob")
    if not narrow:
        table.add_column("", no_wrap=True, style="cyan")
    for name in columns:
        add_number(table, name)
    add_number(table, "tokens")
    for index, score in enumerate(scores.scores):
        picked = index == scores.index
        table.add_row(
            PICK if picked else "",
            repr(score.choice),
            probability(score.prob),
            *([] if narrow else [bar(score.prob)]),
            *(number(_value(score, name)) for name in columns),
            str(len(score.tokens)),
            style="bold" if picked else None,
        )
    show(table, *(Text(line, style="dim") for line in _notes(scores)))


def _columns(scores: ChoiceScores, narrow: bool) -> list[str]:
    """`logprob` and `mean`; beside them what ranks the choices, if that is another number."""
    # Where no choice begins another, the exclusive log-probability is the plain one.
    plain = scores.norm == "sum" and not scores.has_prefix_choices
    ranking = "logprob" if plain else SCORE_FIELD_OF_NORM[scores.norm]
    if narrow:
        return [ranking]
    return list(dict.fromkeys(["logprob", "mean_logprob", ranking]))


def _value(score: ChoiceScore, name: str) -> float | None:
    # What was picked without tokens has no log-probability.
    value: float | None = getattr(score, name) if score.tokens else None
    return value


def _notes(scores: ChoiceScores) -> list[str]:
    evaluated = (
        "" if scores.tokens_evaluated is None else f", {scores.tokens_evaluated} tokens evaluated"
    )
    notes = [
        f"entropy {scores.entropy:.3f} nats, margin {scores.margin:.4f}, "
        f"boundary {scores.boundary}{evaluated}"
    ]
    if scores.norm != "sum":
        notes.append(f"ranked by {scores.norm}")
    if scores.boundary == "healed":
        notes.append(
            f"healed: {scores.healed_text!r} at the end of the prompt is scored with the choices"
        )
    if scores.has_prefix_choices:
        notes.append(
            "one choice begins another: exclusive_logprob is the choice and not the longer one"
        )
    if not scores.exact:
        reason = scores.reason or "the scores are not the model's own log-probabilities"
        notes.append(f"not exact (method {scores.method}): {reason}")
    if scores.unseen_probability:
        notes.append(
            f"probability that the server did not show: up to {scores.unseen_probability:.4f}"
        )
    return notes
