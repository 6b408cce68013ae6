"""Compare the norms of a choice on rows with right answers, from one evaluation of each row."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autocog_core.automaton.actions import Choose
from autocog_core.automaton.choices import has_several_texts
from autocog_core.dataset.calibration import Calibration
from autocog_core.dataset.columns import check_values
from autocog_core.dataset.expected import Gold, find_right_choice
from autocog_core.dataset.input_rows import Row
from autocog_core.dataset.norm_comparison import (
    NormComparison,
    NormResult,
    mcnemar_p_value,
    recommend,
)
from autocog_core.dataset.output_row import best_path
from autocog_core.dataset.run import Run
from autocog_core.errors import AutocogError, CapabilityError, InputError
from autocog_core.numerics import logsumexp, softmax, wilson_interval
from autocog_core.scoring.unconditional_scores import UnconditionalScorer
from autocog_core.types.choice import NORMS, SCORE_FIELD_OF_NORM, ChoiceScores, Norm
from autocog_core.types.thought_tree import ThoughtTree


def compare_norms(
    run: Run,
    rows: Iterable[Row],
    *,
    on_row: Callable[[int, int], None] = lambda rows, errors: None,
) -> NormComparison:
    """Rank the choices of a field by every norm, and compare the answers with the right ones.

    The program runs as it is, once for each row. So earlier actions, and the path to the choice,
    are those of the program's own norm. "pmi" needs a second token tree, after the unconditional
    prompt.

    :param run: the automaton, the models and the right answers (`gold`), which name a choice.
    :param rows: the input rows.
    :param on_row: called after each row, with the number of rows and of errors.
    :raises InputError: if `run` has no right answers, or the field is no choice.
    :raises AutocogError: for errors that concern all rows, such as a closed model.
    """
    if run.gold is None:
        raise InputError(
            "is missing", where="gold", hint='give for example Gold("answer", "right")'
        )
    _check_field(run, run.gold)
    comparison = _Comparison(run, run.gold)
    for row, outcome in _run_rows(run, rows):
        comparison.add(row, outcome)
        on_row(comparison.rows, comparison.errors)
    return comparison.result()


def _check_field(run: Run, gold: Gold) -> None:
    actions = [action for action in run.automaton.field_actions if action.name == gold.field]
    choices = [choice for a in actions if isinstance(a, Choose) for choice in a.choices]
    if not choices:
        raise InputError(f'the field "{gold.field}" is no choice', where="gold")
    if any(map(has_several_texts, choices)):
        raise InputError(
            f'the choices of "{gold.field}" have several texts, which only "sum" can rank',
            where="gold",
        )


def _run_rows(run: Run, rows: Iterable[Row]) -> Iterator[tuple[Row, ThoughtTree | AutocogError]]:
    """Yield each row with its tree or error; rows that cannot be read come last."""
    waiting: deque[Row] = deque()
    failed: deque[Row] = deque()

    def values() -> Iterator[Mapping[str, Any]]:
        for row in rows:
            checked = check_values(row, run.automaton.inputs)
            if checked.error is not None:
                failed.append(checked)
                continue
            waiting.append(checked)
            yield {**run.values, **checked.values}

    for outcome in run.automaton.run_many(
        run.model,
        values(),
        models=run.models,
        budget=run.budget,
        strategy=run.strategy,
        concurrency=run.concurrency,
        keep_scores=True,
    ):
        yield waiting.popleft(), outcome
    for row in failed:
        assert row.error is not None
        yield row, row.error


@dataclass(slots=True)
class _Answers:
    """The answers by one norm so far."""

    right: list[bool] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    calibration: Calibration = field(default_factory=Calibration)


class _Comparison:
    """Sums over rows that are added one by one."""

    def __init__(self, run: Run, gold: Gold) -> None:
        self.rows = self.errors = 0
        self._run = run
        self._gold = gold
        self._impossible = 0
        self._guesses: list[float] = []
        self._is_exact = True
        self._first_error = ""
        self._answers: dict[Norm, _Answers] = {norm: _Answers() for norm in NORMS}
        self._unavailable: dict[Norm, str] = {}
        self._prompts: Counter[str] = Counter()
        self._scorers: dict[str | None, UnconditionalScorer] = {}

    def add(self, row: Row, outcome: ThoughtTree | AutocogError) -> None:
        """Add a row and its tree or error."""
        self.rows += 1
        try:
            if isinstance(outcome, AutocogError):
                raise outcome
            self._add_tree(row, outcome)
        except AutocogError as error:
            self.errors += 1
            self._first_error = self._first_error or f"row {row.index}: {error}"

    def _add_tree(self, row: Row, tree: ThoughtTree) -> None:
        path = best_path(tree)
        right = self._gold.right_answer(row.values)
        nodes = [node for node in path.nodes if node.name == self._gold.field]
        if right is None or not nodes or nodes[-1].parent not in tree.choice_scores:
            return
        node = nodes[-1]
        request, scores = tree.choice_scores[node.parent]
        if not all(score.tokens and score.token_logprobs for score in scores.scores):
            reason = f"the method {scores.method!r} gives no log-probabilities"
            raise CapabilityError(reason, where=f'action "{node.uid}"', hint=scores.reason)
        values = [tree.nodes[index].value for index in tree.children[node.parent]]
        right_value = find_right_choice(values, right, node.value)
        right_index = None if right_value is None else values.index(right_value)
        self._is_exact &= scores.exact
        self._impossible += right_index is None
        self._guesses.append(0.0 if right_index is None else 1 / len(values))
        for norm in NORMS:
            if norm == "pmi":
                ranking = self._pmi(node.model, request, scores)
            else:
                ranking = [getattr(score, SCORE_FIELD_OF_NORM[norm]) for score in scores.scores]
            if ranking is not None:
                _add_answer(self._answers[norm], ranking, right_index)

    def _pmi(self, model: str | None, request: Any, scores: ChoiceScores) -> list[float] | None:
        if "pmi" in self._unavailable:
            return None
        if model not in self._scorers:
            main = self._run.model
            client = (main if model is None else self._run.models[model]).client
            self._scorers[model] = UnconditionalScorer(client)
        try:
            pmi, prompt = self._scorers[model].pmi(request, scores)
        except (InputError, CapabilityError) as error:
            self._unavailable["pmi"] = str(error)
            return None
        self._prompts[prompt] += 1
        return list(pmi)

    def result(self) -> NormComparison:
        """Return the comparison of the rows so far."""
        answered = len(self._guesses)
        results = tuple(
            self._norm_result(norm) for norm in NORMS if answered and norm not in self._unavailable
        )
        recommended, reason = recommend(results)
        return NormComparison(
            field=self._gold.field,
            rows=self.rows,
            errors=self.errors,
            answered=answered,
            impossible=self._impossible,
            exact=self._is_exact,
            chance=math.fsum(self._guesses) / answered if answered else None,
            results=results,
            unavailable=self._unavailable,
            unconditional_prompts=dict(self._prompts),
            first_error=self._first_error,
            recommended=recommended,
            reason=reason,
        )

    def _norm_result(self, norm: Norm) -> NormResult:
        answers, base = self._answers[norm], self._answers["sum"]
        right, answered = sum(answers.right), len(answers.right)
        pairs = list(zip(answers.right, base.right, strict=True))
        gained, lost = pairs.count((True, False)), pairs.count((False, True))
        loss = math.fsum(answers.losses) / len(answers.losses) if answers.losses else math.inf
        error, brier = answers.calibration.error, answers.calibration.brier
        assert error is not None
        assert brier is not None
        return NormResult(
            norm=norm,
            right=right,
            accuracy=right / answered,
            interval=wilson_interval(right, answered),
            log_loss=loss if math.isfinite(loss) else None,
            calibration_error=error,
            brier=brier,
            gained=gained,
            lost=lost,
            p_value=None if norm == "sum" else mcnemar_p_value(gained, lost),
        )


def _add_answer(answers: _Answers, ranking: list[float], right: int | None) -> None:
    best = int(np.argmax(ranking))
    prob = softmax(ranking)
    answers.right.append(best == right)
    answers.calibration.add(float(prob[best]), best == right)
    if right is not None:
        # Not from `prob`, which may be rounded to 0.
        is_possible = ranking[right] > -math.inf
        answers.losses.append(logsumexp(ranking) - ranking[right] if is_possible else math.inf)
