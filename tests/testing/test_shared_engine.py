"""The law of two models of one engine finds them, and passes if their calls take turns."""

from __future__ import annotations

from typing import Any

import pytest

from autocog_core.testing import LAWS, BackendUnderTest, NotApplicableError
from autocog_core.testing.conformance import check
from tests.mutants.correct_models import CorrectLM

(LAW,) = (law for law in LAWS if law.name == "two_models_of_one_engine")


class Engine:
    """Stands for weights that a process loads once."""


class SharesEngine(CorrectLM):
    def __init__(self, engine: Engine | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.engine = engine or Engine()


class NamesItOtherwise(CorrectLM):
    def __init__(self, weights: Engine, **options: Any) -> None:
        super().__init__(**options)
        self.weights = weights


def test_models_with_the_same_engine_take_turns() -> None:
    check(LAW, BackendUnderTest(SharesEngine))


def test_the_author_can_make_the_pair() -> None:
    made: list[Engine] = []

    def make_pair() -> tuple[SharesEngine, SharesEngine]:
        made.append(Engine())
        return SharesEngine(made[-1]), SharesEngine(made[-1])

    check(LAW, BackendUnderTest(SharesEngine, make_pair=make_pair))
    assert len(made) == 1


@pytest.mark.parametrize("make", [CorrectLM, lambda: NamesItOtherwise(Engine())])
def test_without_a_shared_engine_the_law_does_not_apply(make: Any) -> None:
    with pytest.raises(NotApplicableError, match="define `make_pair`"):
        check(LAW, BackendUnderTest(make))
