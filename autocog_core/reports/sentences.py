"""What the figures of a report say, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from autocog_core.errors import shorten
from autocog_core.reports.figures.definitions import Mean, RunFigures
from autocog_core.reports.figures.report_definitions import PairFigures
from autocog_core.reports.figures.resampling import Interval

#: Chance explains a difference if it gives one like it more often than this.
_LIMIT = 0.05
#: Characters of an answer.
_MAX_ANSWER = 80


def sentences_about(run: RunFigures) -> list[str]:
    """Return what is seen in the figures of a run."""
    return [
        *_rows(run),
        *_accuracy(run),
        *_calibration(run),
        *_surest(run),
        *_mistakes(run),
        *_costs(run),
    ]


def _rows(run: RunFigures) -> Iterator[str]:
    if run.errors:
        yield f"{_rows_text(run.errors)} of {run.rows:,} failed and {_have(run.errors)} no answer."
    if run.stopped:
        yield f"A budget ended {_rows_text(run.stopped)}, which {_is(run.stopped)} incomplete."
    if run.inexact:
        yield f"The numbers of {_rows_text(run.inexact)} are not all the model's own."
    missing = run.answered - run.judged
    if run.gold is not None and missing:
        yield f"{_rows_text(missing)} with an answer {_have(missing)} no right answer to compare."


def _accuracy(run: RunFigures) -> Iterator[str]:
    if run.accuracy is None:
        if run.gold is None:
            yield "There is no column of right answers, so nothing here says what is right."
        else:
            yield "No row has both an answer and a right one."
        return
    share = run.accuracy
    yield (
        f"{share.count:,} of {share.rows:,} answers are right: {_percent(share.value)} "
        f"(95% interval {_percents(share.interval)})."
    )
    golds: Counter[str] = Counter()
    for cell in run.confusion:
        golds[cell.gold] += cell.rows
    (gold, rows), *others = golds.most_common(2)
    if others:
        yield f"Always answering {_quoted(gold)} would be right in {_percent(rows / share.rows)}."
    if run.impossible:
        yield (
            f"In {_rows_text(run.impossible)}, the right answer is none of the choices: "
            "such an answer is wrong, and the log loss leaves it out."
        )


def _calibration(run: RunFigures) -> Iterator[str]:
    error = run.calibration_error
    if run.known_probs < run.answered and run.mean_prob_bounds is not None:
        low, high = run.mean_prob_bounds
        yield (
            f"Probabilities are known within bounds (their mean is between {low:.3f} and "
            f"{high:.3f}), so there is no calibration error: only the best choices were read."
        )
    if run.accuracy is not None and error is not None:
        low, high = run.accuracy.interval
        # Of the rows with a right answer, as the accuracy is.
        mean_prob = sum(each.mean_prob * each.right.rows for each in run.reliability) / run.judged
        kind = "too high" if mean_prob > high else "too low" if mean_prob < low else None
        mean = f"the mean probability of the answers is {_percent(mean_prob)}"
        if kind is None:
            yield f"On average, the probabilities fit: {mean}."
        else:
            yield f"The probabilities are {kind}: {mean}."
        beyond = error.value > error.limit_if_calibrated
        yield (
            f"The expected calibration error is {error.value:.3f}, "
            f"{'more than' if beyond else 'no more than'} chance explains: on so many rows, "
            f"probabilities that fit have {error.if_calibrated:.3f} on average."
        )
    if run.log_loss is not None and run.log_loss.infinite:
        yield (
            f"The log loss is infinite: in {_rows_text(run.log_loss.infinite)}, the right answer "
            "has the probability 0."
        )


def _surest(run: RunFigures) -> Iterator[str]:
    curve = run.risk_coverage
    if curve is None or run.accuracy is None or run.accuracy.rows < 4:
        return
    half = min(curve.points, key=lambda point: abs(point.coverage - 0.5))
    yield (
        f"Of the surest {_percent(half.coverage)} of the rows (probability at least "
        f"{half.prob:.3f}), {_percent(1 - half.risk)} are right."
    )


def _mistakes(run: RunFigures) -> Iterator[str]:
    wrong = [cell for cell in run.confusion if cell.gold != cell.answer]
    if wrong and wrong[0].rows > 1:
        cell = wrong[0]
        yield (
            f"The most frequent mistake: {_quoted(cell.gold)} answered as "
            f"{_quoted(cell.answer)} in {_rows_text(cell.rows)}."
        )


def _costs(run: RunFigures) -> Iterator[str]:
    costs = run.costs
    per_row = "" if costs.tokens_per_row is None else f", {costs.tokens_per_row:,.1f} a row"
    text = f"The models evaluated {costs.tokens:,} tokens{per_row}"
    if costs.seconds is not None and costs.seconds_per_row is not None:
        text += f", in {costs.seconds:,.1f} s: {costs.seconds_per_row:.3f} s a row"
        if costs.timed_rows < run.rows:
            text += f" (the time of {costs.timed_rows:,} rows is recorded)"
    yield f"{text}."


def sentences_about_pair(pair: PairFigures) -> list[str]:
    """Return what is seen in the figures of two runs."""
    return [*_matching(pair), *_changes(pair), *_divergence(pair)]


def _matching(pair: PairFigures) -> Iterator[str]:
    if pair.matched_by == "content":
        yield (
            "The inputs are two files: rows are the same if they have equal values of "
            f"{', '.join(pair.columns)}."
        )
    left_out = [
        f"{rows:,} of {name}"
        for rows, name in ((pair.left_out_first, pair.first), (pair.left_out_second, pair.second))
        if rows
    ]
    if left_out:
        some = f"{pair.rows:,} rows are in both, and compared here"
        yield f"{some}; left out are {' and '.join(left_out)}."


def _changes(pair: PairFigures) -> Iterator[str]:
    if pair.same_answers is not None:
        other = pair.same_answers.rows - pair.same_answers.count
        yield f"{_rows_text(other)} of {pair.compared:,} have another answer in {pair.second}."
    if pair.p_value is None or pair.accuracy is None or pair.accuracy.value is None:
        return
    fixed, broken = pair.only_second, pair.only_first
    test = f"exact McNemar test: p = {pair.p_value:.2g}"
    difference = f"{100 * pair.accuracy.value:+.1f} points{_points(pair.accuracy)}"
    if fixed == broken:
        changes = f": {pair.second} fixes {_rows_text(fixed)}, and breaks as many" if fixed else ""
        yield f"Both are right {'as often' if fixed else 'in the same rows'}{changes}."
        return
    better = "more" if fixed > broken else "less"
    chance = "chance alone may explain it" if pair.p_value > _LIMIT else "more than chance explains"
    yield (
        f"{pair.second} is right {better} often than {pair.first}, by {difference}: it fixes "
        f"{_rows_text(fixed)} and breaks {broken:,} ({test}): {chance}."
    )


def _points(mean: Mean) -> str:
    if mean.interval is None:
        return ""
    low, high = mean.interval
    return f" (95% interval {100 * low:+.1f} to {100 * high:+.1f})"


def _divergence(pair: PairFigures) -> Iterator[str]:
    if pair.divergence is None:
        return
    about = f"over the {_rows_text(pair.divergence.rows)} with the same choices"
    if pair.divergence.value is None:
        some = f"infinite in {_rows_text(pair.divergence.infinite)}"
        yield f"KL of the distributions is {some}: the second gives 0 to what the first does not."
    else:
        yield f"The mean KL of the distributions is {pair.divergence.value:.3f} nats {about}."


def _quoted(text: str) -> str:
    return f"“{shorten(text, _MAX_ANSWER)}”"


def _rows_text(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _percents(interval: Interval) -> str:
    return " to ".join(map(_percent, interval))
