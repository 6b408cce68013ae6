"""Numbers of rows: by answer, by right answer and answer, and by probability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from autocog_core.numerics import Float64Array
from autocog_core.reports.figures.definitions import ConfusionCell, HistogramBin
from autocog_core.reports.figures.row_answer import RowAnswer

_HISTOGRAM_BINS = 20


def count_answers(answers: Sequence[RowAnswer]) -> dict[str, int]:
    """Return the number of rows by answer, the most frequent first."""
    counts = Counter(one.answer for one in answers if one.answer is not None)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def confusion(answers: Sequence[RowAnswer]) -> tuple[ConfusionCell, ...]:
    """Return the numbers of rows by right answer and answer, the largest first.

    A right answer is called as the choice that it is: "1.0" is right for the choice "1".
    """
    counts = Counter(
        (right_label(one), str(one.answer)) for one in answers if one.right is not None
    )
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return tuple(
        ConfusionCell(gold=gold, answer=answer, rows=rows) for (gold, answer), rows in ordered
    )


def right_label(answer: RowAnswer) -> str:
    """Return the right answer of a row; if the answer is right, as it is written there.

    Without choices, "1.0" may be right for "1".
    """
    return str(answer.answer if answer.right else answer.gold).strip()


def histogram(probs: Float64Array, rights: Float64Array) -> tuple[HistogramBin, ...]:
    """Return the numbers of rows by probability, in 20 bins; the last one includes 1.

    :param probs: (n,).
    :param rights: (n,), 1 for right answers, 0 for wrong ones, NaN without a right answer.
    """
    edges = np.linspace(0, 1, _HISTOGRAM_BINS + 1)
    counts = [
        np.histogram(probs[chosen], np.append(edges[:-1], np.inf))[0]
        for chosen in (rights == 1, rights == 0, np.isnan(rights))
    ]
    return tuple(
        HistogramBin(low=low, high=high, right=int(right), wrong=int(wrong), unjudged=int(unjudged))
        for low, high, right, wrong, unjudged in zip(
            edges[:-1].tolist(), edges[1:].tolist(), *counts, strict=True
        )
    )
