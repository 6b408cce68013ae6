"""The warning about sentences of different lengths under the norm "sum"."""

from __future__ import annotations

from typing import Any

import pytest

from autocog_core import Automaton, Choose
from autocog_core.scoring.choice_lengths import length_warning

SHORT = " It melts."
LONG = " It becomes a liquid as soon as it is warm enough."
LABELS = (" card", " a lost or stolen card")


@pytest.mark.parametrize(
    ("choices", "norm", "warns"),
    [
        ((SHORT, LONG), "sum", True),
        ((SHORT, LONG), "mean", False),
        ((SHORT, LONG), "pmi", False),
        ((LONG, LONG + " So it does."), "sum", False),
        (LABELS, "sum", False),
        ((LONG,), "sum", False),
        ((), "sum", False),
    ],
)
def test_only_sentences_of_different_lengths_under_sum_give_a_warning(
    choices: tuple[str, ...], norm: Any, warns: bool
) -> None:
    warning = length_warning(choices, norm)
    assert bool(warning) == warns
    if warns:
        assert repr(SHORT) in warning
        assert "2 to 11 words" in warning


def test_check_warns_too() -> None:
    program = Automaton([Choose(uid="c", choices=(SHORT, LONG))])
    assert ["favors short ones" in str(finding) for finding in program.check()] == [True]
