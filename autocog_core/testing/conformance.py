"""All laws on one backend: what holds, what is broken, and what does not apply."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from autocog_core.errors import AutocogError, CapabilityError, ContextOverflowError
from autocog_core.testing import (
    behavior_laws,
    cache_laws,
    completion_laws,
    context_laws,
    probability_laws,
    row_laws,
    sampling_laws,
    score_laws,
    special_token_laws,
    token_laws,
    tree_laws,
)
from autocog_core.testing.backend_under_test import MIN_FULL_CONTEXT, BackendUnderTest
from autocog_core.testing.law import LAWS, Law
from autocog_core.testing.law_errors import Capability, LawViolation, NotApplicableError
from autocog_core.types.backend_info import BackendInfo

#: Where tokens are wrong, so is what comes after them: that is mended first.
_ORDER = (
    token_laws,
    special_token_laws,
    row_laws,
    context_laws,
    tree_laws,
    score_laws,
    probability_laws,
    cache_laws,
    completion_laws,
    sampling_laws,
    behavior_laws,
)
LAWS.sort(key=lambda law: [module.__name__ for module in _ORDER].index(law.check.__module__))

Status = Literal["holds", "broken", "not offered", "not applicable"]


@dataclass(frozen=True, slots=True)
class LawResult:
    """What came of one law.

    :ivar why: why it does not apply; empty otherwise.
    :ivar broken: how it is broken; None otherwise.
    :ivar seconds: that the check took.
    """

    law: Law
    status: Status
    reason: str = ""
    violation: LawViolation | None = None
    seconds: float = 0.0


def conformance(subject: BackendUnderTest, laws: Sequence[Law] = LAWS) -> Iterator[LawResult]:
    """Check laws, all of them unless told otherwise: one finding each, as they come."""
    for law in laws:
        begun = time.perf_counter()
        status, reason, broken = _check_status(law, subject)
        yield LawResult(law, status, reason, broken, time.perf_counter() - begun)


def check(law: Law, subject: BackendUnderTest) -> None:
    """Check one law.

    :raises LawViolation: if it does not hold.
    :raises NotApplicableError: if it has nothing to say of this backend.
    """
    missing = _missing(law, subject)
    if missing:
        raise NotApplicableError("not offered: " + ", ".join(missing))
    try:
        law.check(subject)
    except LawViolation as error:
        error.law = law.name
        raise
    except NotApplicableError:
        raise
    except ContextOverflowError as error:
        limit = subject.model.info.context_length
        if limit is not None and limit < MIN_FULL_CONTEXT:
            raise NotApplicableError(f"a context of {limit} tokens is too short for it") from error
        raise _failed_call(law, error) from error
    except CapabilityError as error:
        # Of what the backend offers, it cannot do all: it says so.
        raise NotApplicableError(str(error)) from error
    except Exception as error:
        raise _failed_call(law, error) from error
    finally:
        subject.close_new_models()


def _missing(law: Law, subject: BackendUnderTest) -> list[Capability]:
    """What the law needs and the backend does not offer.

    :raises LawViolation: if the backend cannot say what it is.
    """
    model = subject.model
    try:
        assert isinstance(model.info, BackendInfo), f"`describe` gives {type(model.info).__name__}"
        return subject.missing(law.needs)
    except Exception as error:
        raise _failed_call(law, error) from error


def _failed_call(law: Law, error: Exception) -> LawViolation:
    """A call that should have worked, and did not."""
    failure = f"{type(error).__name__}: {error}"
    if not isinstance(error, AutocogError):
        last = traceback.extract_tb(error.__traceback__)[-1]
        failure += f" ({last.name}, line {last.lineno})"
    broken = LawViolation(f"a call fails: {failure}", failure=failure)
    broken.law = law.name
    return broken


def _check_status(law: Law, subject: BackendUnderTest) -> tuple[Status, str, LawViolation | None]:
    try:
        if _missing(law, subject):
            return "not offered", "needs " + ", ".join(law.needs), None
        check(law, subject)
    except LawViolation as error:
        return "broken", "", error
    except NotApplicableError as error:
        return "not applicable", str(error), None
    return "holds", "", None
