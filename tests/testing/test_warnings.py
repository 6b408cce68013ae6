"""Problems that break no law are warnings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autocog_core import BackendInfo
from autocog_core.testing import LAWS, BackendContractTests, BackendUnderTest, conformance
from tests.mutants.correct_models import CorrectLM

(LAW,) = (law for law in LAWS if law.name == "turns_end_with_eos")


class NoEOS(CorrectLM):
    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), eos=())


class AnotherEOS(CorrectLM):
    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), eos=(65,))


@pytest.mark.parametrize(
    ("backend", "declared"),
    [(NoEOS, "no EOS is declared"), (AnotherEOS, "info.eos has \\[65\\]"), (CorrectLM, "")],
)
def test_a_turn_that_ends_with_no_eos_is_a_warning(backend: Any, declared: str) -> None:
    (result,) = conformance(BackendUnderTest(backend), [LAW])
    assert result.status == "holds"
    assert len(result.warnings) == bool(declared)
    if declared:
        assert "<|eos|>" in result.warnings[0]

    class TestIt(BackendContractTests):
        def make(self) -> Any:
            return backend()

    test = TestIt()
    try:
        if declared:
            with pytest.warns(UserWarning, match=declared):
                test.test_turns_end_with_eos()  # type: ignore[attr-defined]
        else:
            test.test_turns_end_with_eos()  # type: ignore[attr-defined]
    finally:
        TestIt.teardown_class()
