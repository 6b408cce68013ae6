"""The best choices as a table."""

from __future__ import annotations

from autocog_core.cli.fitted_table import FittedColumn, fitted_table
from autocog_core.cli.output import format_logprob, format_probability, show
from autocog_core.cli.text import Text
from autocog_core.types.choice import SCORE_FIELD_OF_NORM
from autocog_core.types.choice_notes import top_notes
from autocog_core.types.top_choices import TopChoice, TopChoices


def show_top_choices(best: TopChoices) -> None:
    """Print the best choices, best first, with notes below."""
    is_plain = best.norm == "sum" and not best.has_prefix_choices
    field = "logprob" if is_plain else SCORE_FIELD_OF_NORM[best.norm]
    is_known = all(choice.prob is not None for choice in best.top)
    columns = [
        FittedColumn(header="#", cells=[str(number) for number in range(1, len(best.top) + 1)]),
        FittedColumn(header="choice", cells=[repr(c.choice) for c in best.top], kind="text"),
        FittedColumn(
            header="prob" if is_known else "prob between", cells=[*map(_format_prob, best.top)]
        ),
    ]
    for name in dict.fromkeys(["logprob", "mean_logprob", field]):
        # A choice that was picked without tokens has no log-probability.
        cells = [format_logprob(getattr(c, name) if c.tokens else None) for c in best.top]
        rank = 0 if name == field else 2 if name == "logprob" else 3
        columns.append(FittedColumn(header=name, cells=cells, rank=rank))
    columns.append(
        FittedColumn(header="tokens", cells=[str(len(c.tokens)) for c in best.top], rank=1)
    )
    table = fitted_table(columns, ["bold", *[None] * (len(best.top) - 1)])
    show(table, *(Text(line, style="dim") for line in top_notes(best)))


def _format_prob(choice: TopChoice) -> str:
    if choice.prob is not None:
        return format_probability(choice.prob)
    return " and ".join(map(format_probability, choice.prob_bounds))
