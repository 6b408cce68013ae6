"""The figures of a run, as they are in the JSON of a report.

Log-probabilities and losses are in nats. A figure that is not known is None, and so is one that is
infinite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autocog_core.reports.figures.resampling import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """A share of rows.

    :ivar count: the rows that are counted.
    :ivar rows: the rows that it is a share of.
    :ivar value: the share.
    :ivar interval: Wilson's 95% interval (Wilson 1927).
    """

    count: int
    rows: int
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean over rows, or a figure like one.

    :ivar rows: the rows that it is about.
    :ivar value: the mean; None without rows, or if it is infinite.
    :ivar interval: its 95% bootstrap interval; None for fewer than two rows.
    :ivar infinite: the rows where it is infinite. The interval is about the others.
    :ivar infinite_below: those of them where it is minus infinity. Only differences can be: there,
        the first run's figure is infinite and the other's is not.
    :ivar value_without_infinite: the mean over the others.
    """

    rows: int
    value: float | None
    interval: Interval | None
    infinite: int = 0
    infinite_below: int = 0
    value_without_infinite: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationError:
    """Expected calibration error of the answers' probabilities, in ten bins of equal width.

    :ivar rows: the rows that it is about.
    :ivar value: the error (Naeini, Cooper and Hauskrecht 2015).
    :ivar interval: its 95% bootstrap interval. It says how far the error moves with the rows; the
        error of few rows is too large on average, and so is the interval.
    :ivar if_calibrated: the mean error if these probabilities were those of being right.
    :ivar limit_if_calibrated: what 95% of such errors are below (Bröcker and Smith 2007).
    """

    rows: int
    value: float
    interval: Interval | None
    if_calibrated: float
    limit_if_calibrated: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Rows with neighboring probabilities.

    :ivar low: their lowest probability.
    :ivar high: their highest.
    :ivar mean_prob: the mean of their probabilities.
    :ivar right: how many of them are right, with Wilson's interval.
    """

    low: float
    high: float
    mean_prob: float
    right: Proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveragePoint:
    """The rows with the highest probabilities.

    :ivar coverage: their share of all rows.
    :ivar risk: the share of wrong answers among them.
    :ivar prob: the lowest probability among them.
    """

    coverage: float
    risk: float
    prob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskCoverage:
    """How the share of wrong answers falls if only the surest rows are answered.

    :ivar area: the mean risk over all coverages 1/n, ..., n/n: the area under the curve (Geifman
        and El-Yaniv 2017). Among equal probabilities, the order is that of chance.
    :ivar best_area: the area if every right answer were surer than every wrong one.
    :ivar points: up to 100 points of the curve.
    """

    area: float
    best_area: float
    points: tuple[CoveragePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionCell:
    """Rows with one right answer and one answer."""

    gold: str
    answer: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramBin:
    """Rows whose answers have probabilities from `low` to `high`.

    :ivar right: those that are right.
    :ivar wrong: those that are wrong.
    :ivar unjudged: those without a right answer.
    """

    low: float
    high: float
    right: int
    wrong: int
    unjudged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The rows with one value of a column.

    :ivar value: the value, as text.
    :ivar rows: the rows without those with an error.
    :ivar errors: the rows with an error.
    :ivar accuracy: None without right answers, and so are the others.
    :ivar mean_prob: mean probability of the answers; None if one is unknown.
    """

    value: str
    rows: int
    errors: int
    mean_prob: float | None
    accuracy: Proportion | None
    log_loss: Mean | None
    brier: Mean | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a run took.

    :ivar tokens: tokens that the models evaluated for the rows in the output.
    :ivar tokens_per_row: the mean over the rows without an error.
    :ivar seconds: the time of all sessions; None if none is recorded.
    :ivar timed_rows: the rows that these ran, retries included.
    :ivar seconds_per_row: the mean over these.
    :ivar usage: requests and tokens by model, of models that count them.
    """

    tokens: int
    tokens_per_row: float | None
    seconds: float | None
    timed_rows: int
    seconds_per_row: float | None
    usage: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """A row with an error."""

    row: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """All figures of one run.

    :ivar name: what the report calls the run.
    :ivar file: the file with its rows.
    :ivar program: what the program was called; "" if it is unknown.
    :ivar program_digest: SHA-256 of the program; equal programs have the same.
    :ivar model: the name of the main model.
    :ivar fingerprint: identifies the main model's weights, tokenizer and number format.
    :ivar backend: its backend; "" if it is unknown.
    :ivar started: date and time of the first session, in UTC; "" if it is unknown.
    :ivar version: the version of autocog.
    :ivar field: the field that the report is about; None if the program has none.
    :ivar gold: the column of right answers; None without.
    :ivar by: the column of the groups; None without.
    :ivar rows: all rows.
    :ivar errors: the rows with an error.
    :ivar stopped: the rows that a budget made incomplete.
    :ivar inexact: the rows whose numbers are not all the model's.
    :ivar answered: the rows with an answer.
    :ivar judged: the rows with an answer and a right one.
    :ivar impossible: those among them whose right answer is none of the choices. They are wrong,
        and `log_loss` leaves them out.
    :ivar known_probs: the rows with an answer whose probability is known.
    :ivar mean_prob: mean probability of the answers; None if one is unknown.
    :ivar mean_prob_bounds: its lowest and its highest value; None if one is unknown.
    :ivar accuracy: None without right answers.
    :ivar log_loss: mean of -log of the share of the right answer.
    :ivar brier: mean of (probability of the answer - right)**2, where right is 1 or 0.
    :ivar brier_bounds: its lowest and highest value, if probabilities are known within bounds.
    :ivar brier_all: mean of the sum over all choices of (share - right)**2 (Brier 1950).
    :ivar calibration_error: None if a probability is unknown.
    :ivar reliability: bins of about equal numbers of rows.
    :ivar risk_coverage: None without right answers, or if no probability is known.
    :ivar answers: the number of rows by answer, the most frequent first.
    :ivar confusion: the numbers of rows by right answer and answer, the largest first.
    :ivar histogram: of the answers' probabilities; empty if one is unknown.
    :ivar groups: the largest groups, up to 100, the largest first.
    :ivar groups_left_out: the number of the other groups.
    :ivar costs: tokens and time.
    :ivar first_errors: the first rows with an error.
    """

    name: str
    file: str
    program: str
    program_digest: str
    model: str
    fingerprint: str
    backend: str
    started: str
    version: str
    field: str | None
    gold: str | None
    by: str | None
    rows: int
    errors: int
    stopped: int
    inexact: int
    answered: int
    judged: int
    impossible: int
    known_probs: int
    mean_prob: float | None
    mean_prob_bounds: Interval | None
    accuracy: Proportion | None
    log_loss: Mean | None
    brier: Mean | None
    brier_bounds: Interval | None
    brier_all: Mean | None
    calibration_error: CalibrationError | None
    reliability: tuple[ReliabilityBin, ...]
    risk_coverage: RiskCoverage | None
    answers: Mapping[str, int]
    confusion: tuple[ConfusionCell, ...]
    histogram: tuple[HistogramBin, ...]
    groups: tuple[Group, ...]
    groups_left_out: int
    costs: Costs
    first_errors: tuple[RowError, ...]
