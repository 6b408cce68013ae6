"""The scores of a choice as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from autocog_core.cli.fitted_table import FittedColumn, fitted_table
from autocog_core.cli.output import format_bar, format_logprob, format_probability, show
from autocog_core.cli.styles import BAR, PICKED
from autocog_core.cli.text import Text
from autocog_core.types.choice import SCORE_FIELD_OF_NORM, ChoiceScore, ChoiceScores
from autocog_core.types.choice_notes import choice_notes

_PICK_MARK = ">"
_MAX_SHOWN = 10


def show_scores(scores: ChoiceScores, *, show_all: bool = True) -> None:
    """Print the choices in the order given, with the picked one marked, and notes below.

    :param scores: the scores.
    :param show_all: print all choices; else of many, only the best ones, the best first.
    """
    indices = list(range(len(scores.scores)))
    left_out: list[int] = []
    if not show_all and len(indices) > _MAX_SHOWN:
        ranked = sorted(indices, key=lambda index: (index != scores.index, -_prob(scores, index)))
        indices, left_out = ranked[:_MAX_SHOWN], ranked[_MAX_SHOWN:]
    table = fitted_table(
        _columns(scores, indices),
        ["bold" if index == scores.index else None for index in indices],
    )
    more = []
    if left_out:
        prob = format_probability(math.fsum(_prob(scores, index) for index in left_out))
        some = "1 more choice" if len(left_out) == 1 else f"{len(left_out):,} more choices"
        more.append(f"and {some}, with a probability of {prob}: --all shows every choice")
    show(table, *(Text(line, style="dim") for line in [*more, *choice_notes(scores)]))


def _columns(scores: ChoiceScores, indices: Sequence[int]) -> Iterator[FittedColumn]:
    """Yield the columns; on a narrow terminal, what others say too is left out."""
    shown = [scores.scores[index] for index in indices]
    marks = [_PICK_MARK if index == scores.index else "" for index in indices]
    probs = [score.prob for score in shown]
    yield FittedColumn(header="", cells=marks, kind="mark", style=PICKED)
    yield FittedColumn(header="choice", cells=[repr(score.choice) for score in shown], kind="text")
    yield FittedColumn(header="prob", cells=[*map(format_probability, probs)])
    bars = [*map(format_bar, probs)]
    yield FittedColumn(header="", cells=bars, kind="mark", rank=2, style=BAR)
    ranking = _ranking_field(scores)
    for field in dict.fromkeys(["logprob", "mean_logprob", ranking]):
        rank = 0 if field == ranking else 3 if field == "logprob" else 4
        numbers = [format_logprob(_value(score, field)) for score in shown]
        yield FittedColumn(header=field, cells=numbers, rank=rank)
    yield FittedColumn(header="tokens", cells=[str(len(score.tokens)) for score in shown], rank=1)


def _prob(scores: ChoiceScores, index: int) -> float:
    return scores.scores[index].prob


def _ranking_field(scores: ChoiceScores) -> str:
    # Without a choice that begins another, the exclusive log-probability is the plain one.
    is_plain = scores.norm == "sum" and not scores.has_prefix_choices
    return "logprob" if is_plain else SCORE_FIELD_OF_NORM[scores.norm]


def _value(score: ChoiceScore, field: str) -> float | None:
    # A choice that was picked without tokens has no log-probability.
    value: float | None = getattr(score, field) if score.tokens else None
    return value
