"""Laws of rows: the hook `greedy_impl`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.comparison import (
    Row,
    are_close,
    max_difference,
    round_values,
)
from autocog_core.testing.diagnosis import OFF_BY_ONE, diagnose_row
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.testing.law_notes import require_close

#: The allowed distance from 1 of the sum of a row's probabilities.
SUM_TOLERANCE = 1e-3


@law("rows")
def distribution(subject: BackendUnderTest) -> None:
    """A row is a float32 distribution of log-probabilities over the vocabulary."""
    for prompt, tokens in subject.encoded_prompts():
        size = subject.model.info.vocabulary_size
        _check_row(prompt, subject.raw.row(tokens), size, len(tokens))


def _check_row(prompt: str, row: object, size: int, length: int) -> None:
    if not isinstance(row, np.ndarray) or row.shape != (size,):
        raise LawViolation(
            "a row has the wrong shape",
            given=prompt,
            expected=f"float32 ({size},)",
            got=_describe_type(row),
            cause="info.vocabulary_size is not the width of the model's logits, or the hook "
            "returns more than the last position",
        )
    if row.dtype != np.float32:
        raise LawViolation(
            "a row has the wrong type",
            given=prompt,
            expected="float32",
            got=str(row.dtype),
            cause="convert it: row.astype(numpy.float32), after a softmax in at least float32",
        )
    problem, expected, got = _find_value_error(row, length)
    if problem:
        cause = diagnose_row(row)
        raise LawViolation(problem, given=prompt, expected=expected, got=got, cause=cause)


def _find_value_error(row: Row, length: int) -> tuple[str, Any, Any]:
    """Return what is wrong with a row's values, the correct and the actual value; or empty.

    :param length: the number of tokens before the row.
    """
    for name, is_wrong in (("NaN", np.isnan(row)), ("+inf", np.isposinf(row))):
        if is_wrong.any():
            got = (
                f"{name} for {is_wrong.sum()} of {len(row)} tokens after {length} tokens, first "
                f"for token {is_wrong.argmax()}"
            )
            return f"a row contains {name}", "numbers, or -inf", got
    top = float(row.max())
    if top > 0:
        return "a log-probability is above 0", "at most 0", top
    total = float(np.exp(row.astype(np.float64)).sum())
    if abs(total - 1) > SUM_TOLERANCE:
        return "the probabilities of a row do not sum to 1", 1.0, total
    return "", None, top


def _describe_type(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__


@law("rows")
def determinism(subject: BackendUnderTest) -> None:
    """The same sequence has the same row in every call."""
    for prompt, tokens in subject.encoded_prompts():
        rows = [subject.model.greedy(tokens).copy() for _ in range(3)]
        for row, repeated in pairwise(rows):
            require_close(
                subject,
                row,
                repeated,
                "a repeated call returns another row",
                given=prompt,
                cause="dropout (model.eval()), sampling, or state of the previous call",
            )


@law("rows")
def returned_rows_stay_unchanged(subject: BackendUnderTest) -> None:
    """A later call does not change a row that was returned before."""
    prompt = subject.prompts[-1]
    row = subject.raw.row(subject.encode_prompt(prompt))
    before = np.array(row)
    for other in subject.prompts[:-1]:
        subject.model.greedy(subject.encode_prompt(other))
    if max_difference(before, np.asarray(row)) > 0:
        raise LawViolation(
            "a later call changes a returned row",
            given=prompt,
            cause="it is a view of the engine's own buffer: return a copy",
        )


@law("rows")
def matches_reference(subject: BackendUnderTest) -> None:
    """The log-probabilities are those of the author's reference."""
    if subject.reference is None:
        raise NotApplicableError("the author gives no reference")
    for prompt, tokens in subject.encoded_prompts():
        expected = [float(value) for value in subject.reference(prompt)]
        got = [
            float(subject.model.greedy(tokens[:end])[tokens[end]]) for end in range(1, len(tokens))
        ]
        if not subject.are_tolerable(expected, got):
            raise LawViolation(
                "the log-probabilities of a text differ from the reference",
                given=prompt,
                expected=round_values(expected),
                got=round_values(got),
                cause=_diagnose_reference(expected, got, subject.tolerance),
            )


def _diagnose_reference(expected: list[float], got: list[float], tolerance: float) -> str:
    if len(expected) != len(got):
        return "the reference scores other tokens: it must score all but the first of model.encode"
    if are_close([-value for value in expected], got, tolerance):
        return "the sign: either the reference or the backend returns negative log-likelihoods"
    for position, first, second in (
        ("next", expected[1:], got[:-1]),
        ("previous", expected[:-1], got[1:]),
    ):
        if first and are_close(first, second, tolerance):
            return f"scores are those of the {position} position: {OFF_BY_ONE}"
    return (
        "other weights, another precision, a temperature inside the engine, another tokenization "
        "of the same text, or positions that do not go on after a kept state"
    )
