"""Check all laws on one backend."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from autocog_core.advice.issue import AutocogWarning
from autocog_core.errors import CapabilityError, ContextOverflowError
from autocog_core.testing import (
    answer_laws,
    behavior_laws,
    cache_laws,
    choice_laws,
    completion_laws,
    context_laws,
    isolation_laws,
    probability_laws,
    row_laws,
    sampling_laws,
    score_laws,
    special_token_laws,
    token_laws,
    top_laws,
    tree_laws,
)
from autocog_core.testing.author_frames import author_frames
from autocog_core.testing.backend_under_test import MIN_FULL_CONTEXT, BackendUnderTest
from autocog_core.testing.law import LAWS, Law
from autocog_core.testing.law_errors import Capability, LawViolation, NotApplicableError
from autocog_core.types.backend_info import BackendInfo

#: Basic laws first: if tokens or rows are wrong, most other laws fail too.
_ORDER = (
    token_laws,
    special_token_laws,
    row_laws,
    context_laws,
    answer_laws,
    tree_laws,
    choice_laws,
    score_laws,
    probability_laws,
    top_laws,
    cache_laws,
    isolation_laws,
    completion_laws,
    sampling_laws,
    behavior_laws,
)
LAWS.sort(key=lambda law: [module.__name__ for module in _ORDER].index(law.check.__module__))

Status = Literal["holds", "broken", "not offered", "not applicable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LawResult:
    """The result of checking one law.

    :ivar law: the law.
    :ivar status: whether the backend passes it.
    :ivar reason: why the law does not apply; empty otherwise.
    :ivar violation: how the law is broken; None otherwise.
    :ivar warnings: problems that break no law.
    :ivar max_difference: the largest difference between two computations of one token's
        log-probability that the law compared, in nats; None if it compared none. A broken law
        may have seen only some of them.
    :ivar seconds: duration of the check.
    """

    law: Law
    status: Status
    reason: str = ""
    violation: LawViolation | None = None
    warnings: tuple[str, ...] = ()
    max_difference: float | None = None
    seconds: float = 0.0


def conformance(subject: BackendUnderTest, laws: Sequence[Law] = LAWS) -> Iterator[LawResult]:
    """Check laws one by one and yield each result.

    :param subject: the backend.
    :param laws: the laws to check; default: all.
    """
    for law in laws:
        start = time.perf_counter()
        subject.take_largest_difference()
        status, reason, violation = _check_status(law, subject)
        yield LawResult(
            law=law,
            status=status,
            reason=reason,
            violation=violation,
            warnings=subject.take_warnings(),
            max_difference=subject.take_largest_difference(),
            seconds=time.perf_counter() - start,
        )


def check(law: Law, subject: BackendUnderTest) -> None:
    """Check one law.

    :raises LawViolation: if the law is broken.
    :raises NotApplicableError: if it does not apply to this backend.
    """
    missing = _missing_capabilities(law, subject)
    if missing:
        raise NotApplicableError("not offered: " + ", ".join(missing))
    try:
        with warnings.catch_warnings():
            # Laws also try what a user should not do.
            warnings.simplefilter("ignore", AutocogWarning)
            law.check(subject)
    except LawViolation as error:
        error.law = law.name
        raise
    except NotApplicableError:
        raise
    except ContextOverflowError as error:
        context = subject.model.info.context_length
        if context is not None and context < MIN_FULL_CONTEXT:
            reason = f"a context of {context} tokens is too short for this law"
            raise NotApplicableError(reason) from error
        raise _failed_call(law, error) from error
    except CapabilityError as error:
        # The backend declares that it does not support this request.
        raise NotApplicableError(str(error)) from error
    except Exception as error:
        raise _failed_call(law, error) from error
    finally:
        subject.close_new_models()


def _missing_capabilities(law: Law, subject: BackendUnderTest) -> list[Capability]:
    """Return the capabilities that the law needs and the backend does not offer.

    :raises LawViolation: if the backend cannot describe itself.
    """
    try:
        info = subject.model.info
        if isinstance(info, BackendInfo):
            return subject.missing(law.needs)
    except Exception as error:
        raise _failed_call(law, error) from error
    raise _violation(law, f"`describe` returns {type(info).__name__}, not BackendInfo")


def _failed_call(law: Law, error: Exception) -> LawViolation:
    """Return the violation for a call that should work and raised an error."""
    frames = author_frames(error)
    place = f" ({frames.place})" if frames.place else ""
    return _violation(law, f"{type(error).__name__}: {error}{place}", frames.lines)


def _violation(law: Law, failure: str, frames: Sequence[str] = ()) -> LawViolation:
    violation = LawViolation(f"a call fails: {failure}", failure=failure, frames=frames)
    violation.law = law.name
    return violation


def _check_status(law: Law, subject: BackendUnderTest) -> tuple[Status, str, LawViolation | None]:
    """Return a result's status, reason and violation."""
    try:
        if _missing_capabilities(law, subject):
            return "not offered", "needs " + ", ".join(law.needs), None
        check(law, subject)
    except LawViolation as error:
        return "broken", "", error
    except NotApplicableError as error:
        return "not applicable", str(error), None
    return "holds", "", None
