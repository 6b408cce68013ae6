"""The figures of a whole report, and of pairs of runs, as they are in its JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autocog_core.reports.figures.definitions import Mean, Proportion, RunFigures
from autocog_core.reports.figures.resampling import RESAMPLES, SEED

#: What the second run makes of a row, in place of the first's answer.
Change = Literal["fixed", "broken", "other"]
#: How rows of two runs are known to be the same.
MatchedBy = Literal["row number", "content"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A row with another answer in the second run than in the first.

    :ivar row: its index in the first run.
    :ivar second_row: its index in the second run.
    :ivar first: the answer of the first run.
    :ivar second: that of the second run.
    :ivar gold: the right answer; None without one.
    :ivar change: "fixed" if only the second is right, "broken" if only the first is, or "other".
    """

    row: int
    second_row: int
    first: str
    second: str
    gold: str | None
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFigures:
    """Two runs on the same rows. Differences are the second's figure minus the first's.

    :ivar first: the name of the first run.
    :ivar second: the name of the second run.
    :ivar matched_by: "row number" if both runs have the same input, else "content": rows with equal
        values of the columns that both have.
    :ivar columns: these columns, if rows are matched by content.
    :ivar rows: the rows of both.
    :ivar left_out_first: rows of the first run that the second lacks.
    :ivar left_out_second: rows of the second run that the first lacks.
    :ivar compared: rows with an answer in both.
    :ivar judged: rows among them with a right answer in both.
    :ivar same_answers: rows among `compared` with equal answers; None without such rows.
    :ivar only_first: judged rows that are right in the first run alone.
    :ivar only_second: judged rows that are right in the second run alone.
    :ivar p_value: exact two-sided McNemar test of these two (McNemar 1947); None without judged
        rows. It is not corrected for several comparisons.
    :ivar accuracy: difference of the accuracies, with a paired bootstrap interval.
    :ivar log_loss: of the mean losses, over the rows whose losses are known in both.
    :ivar brier: of the Brier scores.
    :ivar calibration_error: of the calibration errors.
    :ivar divergence: mean KL(first || second) of the distributions, over the rows with the same
        choices in both.
    :ivar largest_divergence: the largest of them that is finite.
    :ivar other_choices: compared rows whose choices differ, or whose shares are not all known.
    :ivar flips: the rows with other answers, in order.
    """

    first: str
    second: str
    matched_by: MatchedBy
    columns: tuple[str, ...]
    rows: int
    left_out_first: int
    left_out_second: int
    compared: int
    judged: int
    same_answers: Proportion | None
    only_first: int
    only_second: int
    p_value: float | None
    accuracy: Mean | None
    log_loss: Mean | None
    brier: Mean | None
    calibration_error: Mean | None
    divergence: Mean | None
    largest_divergence: float | None
    other_choices: int
    flips: tuple[Flip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFigures:
    """The figures of a report.

    :ivar format: the version of this format.
    :ivar resamples: draws of each bootstrap interval.
    :ivar seed: seed of `numpy.random.default_rng` for these draws.
    :ivar runs: the runs, in the order given.
    :ivar pairs: the first run with each of the others.
    """

    format: Literal[1] = 1
    resamples: int = RESAMPLES
    seed: int = SEED
    runs: tuple[RunFigures, ...]
    pairs: tuple[PairFigures, ...]
