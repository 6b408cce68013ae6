"""Laws of rows: what `greedy_impl` answers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from autocog_core.testing.backend_under_test import BackendUnderTest, max_difference, require_near
from autocog_core.testing.diagnosis import OFF_BY_ONE, describe_type, diagnose_row
from autocog_core.testing.law import law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError, given

#: How far a row's probabilities may be from 1 together.
WITHIN = 1e-3


@law("rows")
def distribution(subject: BackendUnderTest) -> None:
    """A row is float32 (V,), at most 0, and its probabilities sum to 1."""
    size = subject.model.info.vocabulary_size
    for prompt in subject.prompts:
        row = subject.raw_row(subject.encode_prompt(prompt))
        with given(prompt):
            _check_row(row, size)


def _check_row(row: object, size: int) -> None:
    if not isinstance(row, np.ndarray) or row.shape != (size,):
        raise LawViolation(
            "a row has the wrong shape",
            expected=f"float32 ({size},)",
            got=describe_type(row),
            cause="info.vocabulary_size is not the width of the model's logits, or more than the "
            "last position is returned",
        )
    if row.dtype != np.float32:
        raise LawViolation(
            "a row has the wrong type",
            expected="float32",
            got=str(row.dtype),
            cause="convert it: row.astype(numpy.float32), after a softmax in at least float32",
        )
    if np.isnan(row).any() or np.isposinf(row).any():
        raise LawViolation(
            "a row holds NaN or +inf",
            expected="numbers, or -inf",
            got=float(row.max()),
            cause=diagnose_row(row),
        )
    if row.max() > 0:
        raise LawViolation(
            "a log-probability is above 0",
            expected="at most 0",
            got=float(row.max()),
            cause=diagnose_row(row),
        )
    total = float(np.exp(row.astype(np.float64)).sum())
    if abs(total - 1) > WITHIN:
        raise LawViolation(
            "the probabilities of a row do not sum to 1",
            expected=1.0,
            got=total,
            cause=diagnose_row(row),
        )


@law("rows")
def determinism(subject: BackendUnderTest) -> None:
    """The same sequence has the same row, whenever it is asked for."""
    model = subject.model
    for prompt in subject.prompts:
        tokens = subject.encode_prompt(prompt)
        rows = [model.greedy(tokens).copy() for _ in range(3)]
        for one, other in pairwise(rows):
            require_near(
                subject,
                one,
                other,
                "asked again, a row is another",
                given=prompt,
                cause="dropout (model.eval()), sampling, or state left over from the call before",
            )


@law("rows")
def rows_can_be_overwritten(subject: BackendUnderTest) -> None:
    """A row that was handed out is not changed by later calls."""
    model = subject.model
    tokens = subject.encode_prompt(subject.prompts[-1])
    row = subject.raw_row(tokens)
    before = np.array(row)
    for prompt in subject.prompts[:-1]:
        model.greedy(subject.encode_prompt(prompt))
    if max_difference(before, np.asarray(row)) > 0:
        raise LawViolation(
            "a later call has changed a row",
            given=subject.prompts[-1],
            cause="it is a view of the engine's own buffer: return a copy",
        )


@law("rows")
def matches_reference(subject: BackendUnderTest) -> None:
    """The log-probabilities are those that the author's own reference gives."""
    if subject.reference is None:
        raise NotApplicableError("no reference is given")
    model = subject.model
    for prompt in subject.prompts:
        tokens = subject.encode_prompt(prompt)
        expected = [float(value) for value in subject.reference(prompt)]
        got = [
            float(model.greedy(tokens[:place])[tokens[place]]) for place in range(1, len(tokens))
        ]
        far = [
            place
            for place, (one, other) in enumerate(zip(expected, got, strict=False))
            if abs(one - other) > subject.tolerance
        ]
        if len(expected) != len(got) or far:
            raise LawViolation(
                "the log-probabilities of a text are not the reference's",
                given=prompt,
                expected=[round(value, 4) for value in expected],
                got=[round(value, 4) for value in got],
                cause=_against_reference(expected, got, subject.tolerance),
            )


def _against_reference(expected: list[float], got: list[float], tolerance: float) -> str:
    if len(expected) != len(got):
        return "the reference scores other tokens: it must score all but the first of model.encode"
    if all(abs(a + b) <= tolerance for a, b in zip(expected, got, strict=True)):
        return "the sign: one of the two gives negative log-likelihoods"
    for which, one, other in (("next", expected[1:], got[:-1]), ("previous", expected, got[1:])):
        pairs = list(zip(one, other, strict=False))
        if pairs and all(abs(a - b) <= tolerance for a, b in pairs):
            return f"scores are those of the {which} position: {OFF_BY_ONE}"
    return "other weights, another precision, or another tokenization of the same text"
