"""What all rows of an output come to: counts, and how right the answers were."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autocog_core.errors import InputError
from autocog_core.types.backend_info import Usage

#: Bins of equal width, into which probabilities are put to compare them with accuracy.
BINS = 10
#: Of the normal distribution: 95% lie within so many standard deviations.
_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many answers were right, and how well their probabilities said so.

    :ivar field: the field that is compared with the right answer, blanks around both left out.
    :ivar answered: rows with the field and a right answer; all else is about them.
    :ivar interval: Wilson's, which holds the accuracy in 95 of 100 data sets.
    :ivar calibration_error: expected, over ten bins of equal width of the field's `prob`: the mean
        distance of accuracy and mean `prob` in a bin, weighted by answers. None for a field
        without `prob`.
    :ivar brier: mean of (prob - right)**2, `right` being 1 or 0. None as above.
    """

    field: str
    answered: int
    right: int
    accuracy: float | None
    interval: tuple[float, float] | None
    calibration_error: float | None
    brier: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What all rows come to.

    :ivar errors: rows without a result. `stopped`: rows that a budget cut short.
    :ivar tokens: that models evaluated.
    :ivar first_error: the first row with an error.
    :ivar accuracy: where right answers were given.
    :ivar usage: of this run, by model, of those that count what they are asked for.
    """

    rows: int
    errors: int
    stopped: int
    tokens: int
    first_error: Mapping[str, Any] | None = None
    accuracy: Accuracy | None = None
    usage: Mapping[str, Usage] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


class Tally:
    """Counts rows as they come.

    :param field: the field to compare with `gold`; None for none.
    :ivar errors: rows with errors so far.
    """

    def __init__(self, field: str | None = None) -> None:
        self._field = field
        self.errors = 0
        self._rows = self._stopped = self._tokens = 0
        self._first_error: Mapping[str, Any] | None = None
        self._answered = self._right = self._with_prob = 0
        self._squares = 0.0
        self._bins = [_Bin() for _ in range(BINS)]

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a row of the output."""
        self._rows += 1
        if record["error"] is not None:
            self.errors += 1
            self._first_error = self._first_error or record
            return
        self._stopped += record["stopped_by"] is not None
        self._tokens += record["tokens_evaluated"]
        if self._field is not None:
            self._judge(self._field, record)

    def summary(self) -> Summary:
        """What the rows so far come to."""
        return Summary(
            self._rows,
            self.errors,
            self._stopped,
            self._tokens,
            self._first_error,
            None if self._field is None else self._accuracy(self._field),
        )

    def _judge(self, field: str, record: Mapping[str, Any]) -> None:
        text = _last(record["fields"].get(field))
        gold = record.get("gold")
        if text is None or gold is None:
            return
        right = text.strip() == gold.strip()
        self._answered += 1
        self._right += right
        prob = _last(record["probs"].get(field))
        if prob is not None:
            self._with_prob += 1
            self._squares += (prob - right) ** 2
            self._bins[min(int(prob * BINS), BINS - 1)].add(prob, right)

    def _accuracy(self, field: str) -> Accuracy:
        some = self._answered > 0
        judged = self._with_prob
        gaps = sum(abs(each.probs - each.right) for each in self._bins)
        return Accuracy(
            field,
            self._answered,
            self._right,
            self._right / self._answered if some else None,
            wilson_interval(self._right, self._answered) if some else None,
            gaps / judged if judged else None,
            self._squares / judged if judged else None,
        )


@dataclass(slots=True)
class _Bin:
    """Sums over the answers of one bin: what they are expected to come to, and what they do."""

    probs: float = 0.0
    right: int = 0

    def add(self, prob: float, right: bool) -> None:
        self.probs += prob
        self.right += right


def summarize(output: Path, field: str | None = None) -> Summary:
    """What the rows of an output file come to, in one pass.

    :param field: the field to compare with each row's `gold`.
    :raises InputError: if the file cannot be read as rows.
    """
    tally = Tally(field)
    try:
        with output.open("rb") as stream:
            for line in stream:
                tally.add(json.loads(line))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"cannot be read as rows: {error}", where=str(output)) from error
    return tally.summary()


def wilson_interval(right: int, answered: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    share = right / answered
    spread = _Z * math.sqrt(share * (1 - share) / answered + _Z**2 / (4 * answered**2))
    scale = 1 + _Z**2 / answered
    middle = share + _Z**2 / (2 * answered)
    # None and all are ends of the interval themselves, which rounding would miss.
    low = 0.0 if right == 0 else (middle - spread) / scale
    high = 1.0 if right == answered else (middle + spread) / scale
    return low, high


def _last(value: Any) -> Any:
    """The last of several: a field that came more than once."""
    return value[-1] if isinstance(value, list) else value
