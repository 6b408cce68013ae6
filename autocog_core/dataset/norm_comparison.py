"""How well each norm finds the right choices, and which one to use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from typing import Any

from autocog_core.types.choice import Norm

#: A norm is recommended in place of "sum" if chance explains its gain with less than this
#: probability, shared by all norms that are compared with "sum" (Bonferroni).
SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class NormResult:
    """The answers by one norm.

    :ivar norm: the norm.
    :ivar right: number of right answers.
    :ivar accuracy: share of right answers.
    :ivar interval: Wilson's 95% interval of the accuracy.
    :ivar log_loss: mean of -log `prob` of the right choice, in nats; None if a right choice is
        impossible.
    :ivar calibration_error: expected calibration error of the best choice's `prob` (10 bins).
    :ivar brier: Brier score of the best choice's `prob`.
    :ivar gained: rows that are right by this norm and wrong by "sum".
    :ivar lost: rows that are wrong by this norm and right by "sum".
    :ivar p_value: of the exact McNemar test of `gained` and `lost`; None for "sum".
    """

    norm: Norm
    right: int
    accuracy: float
    interval: tuple[float, float]
    log_loss: float | None
    calibration_error: float
    brier: float
    gained: int
    lost: int
    p_value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NormComparison:
    """All norms on the same rows.

    :ivar field: the field that is compared with the right answers.
    :ivar rows: number of rows.
    :ivar errors: rows with an error.
    :ivar answered: rows with the field and a right answer; the numbers are about these.
    :ivar impossible: rows among them whose right answer is none of the choices. All norms are
        wrong there, and `log_loss` leaves them out.
    :ivar exact: whether all scores are the model's own.
    :ivar chance: the expected accuracy of a guess; None without answers.
    :ivar results: the norms that could be compared.
    :ivar unavailable: why others could not, by norm.
    :ivar unconditional_prompts: the unconditional prompts of "pmi", and their rows; "" is BOS
        alone.
    :ivar first_error: the first error, with its row.
    :ivar recommended: the norm to use; None without answers.
    :ivar reason: why.
    """

    field: str
    rows: int
    errors: int
    answered: int
    impossible: int
    exact: bool
    chance: float | None
    results: tuple[NormResult, ...]
    unavailable: Mapping[Norm, str] = dataclass_field(default_factory=dict)
    unconditional_prompts: Mapping[str, int] = dataclass_field(default_factory=dict)
    first_error: str = ""
    recommended: Norm | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def mcnemar_p_value(gained: int, lost: int) -> float:
    """Return the two-sided p-value of the exact McNemar test (McNemar 1947).

    If two methods are equally good, each row where only one of them is right is a fair coin.

    :param gained: rows where only the first is right.
    :param lost: rows where only the second is right.
    """
    count = gained + lost
    log_total = math.lgamma(count + 1) - count * math.log(2)
    tail = math.fsum(
        math.exp(log_total - math.lgamma(k + 1) - math.lgamma(count - k + 1))
        for k in range(min(gained, lost) + 1)
    )
    return min(1.0, 2 * tail)


def recommend(results: tuple[NormResult, ...]) -> tuple[Norm | None, str]:
    """Return the norm to use and why; None without results.

    "sum" is the simplest: its probabilities are those of the texts. Another norm takes its place
    only if chance does not explain that it is right more often.
    """
    others = [result for result in results if result.p_value is not None]
    if not results:
        return None, "no row has both the field and a right answer"
    if not others:
        return "sum", "no other norm could be compared"
    limit = SIGNIFICANCE / len(others)
    best = max(others, key=lambda result: (result.right, -(result.log_loss or math.inf)))
    changes = f"{best.norm} gains {best.gained} rows over sum and loses {best.lost}"
    test = f"exact McNemar test: p = {best.p_value:.2g}, limit {limit:.2g}"
    better = [result for result in others if result.gained > result.lost and _p(result) < limit]
    if best in better:
        return best.norm, f"{changes} ({test})"
    if better:
        best = max(better, key=lambda result: result.right)
        return best.norm, f"{best.norm} gains {best.gained} rows over sum and loses {best.lost}"
    if best.gained <= best.lost:
        return "sum", "no norm is right more often"
    return "sum", f"no norm is better beyond chance: {changes} ({test})"


def _p(result: NormResult) -> float:
    return 1.0 if result.p_value is None else result.p_value
