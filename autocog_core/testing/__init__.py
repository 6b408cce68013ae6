"""Laws that every backend must pass, for backend authors, and assertions on results of programs."""

from __future__ import annotations

from autocog_core.testing.backend_under_test import BackendUnderTest
from autocog_core.testing.conformance import LawResult, conformance
from autocog_core.testing.contract import BackendContractTests, check_or_skip
from autocog_core.testing.law import LAWS, Law
from autocog_core.testing.law_errors import LawViolation, NotApplicableError
from autocog_core.testing.programs import (
    assert_choice,
    assert_chosen,
    assert_exact,
    assert_path,
    assert_record,
    assert_text,
)
from autocog_core.testing.runner_laws import RunnerContractTests
from autocog_core.testing.wrapper_laws import WrapperContractTests, require_unchanged

__all__ = [
    "LAWS",
    "BackendContractTests",
    "BackendUnderTest",
    "Law",
    "LawResult",
    "LawViolation",
    "NotApplicableError",
    "RunnerContractTests",
    "WrapperContractTests",
    "assert_choice",
    "assert_chosen",
    "assert_exact",
    "assert_path",
    "assert_record",
    "assert_text",
    "check_or_skip",
    "conformance",
    "require_unchanged",
]
