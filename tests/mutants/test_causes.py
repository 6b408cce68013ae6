"""Every mutant, as several models: its law catches it, and names the right cause or none."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from itertools import cycle

import pytest

from autocog_core.testing import BackendUnderTest, LawViolation
from autocog_core.testing.conformance import check
from tests.mutants import memory
from tests.mutants.test_mutants import BY_NAME, TABLE, names_cause
from tests.support.trials import Trials, tried

#: These differ in each load by themselves.
UNSEEDED = {memory.RandomWeights}


def with_seed(backend: Callable[..., object], seed: int) -> Callable[[], object]:
    """Return the mutant as another model, if it takes a seed."""
    parameters = inspect.signature(backend).parameters.values()
    takes_options = any(each.kind is each.VAR_KEYWORD for each in parameters)
    if backend in UNSEEDED or not takes_options:
        return backend
    return partial(backend, seed=seed)


@tried(
    "Backends with one deliberate mistake, against the laws",
    expect="the law catches it, and names the right cause or none",
    normal=12,
    soak=1500,
)
def test_causes_are_right_for_any_model(trials: Trials) -> None:
    step = 1 if len(trials) > len(TABLE) else len(TABLE) // len(trials)
    for trial, (backend, laws, cause) in zip(trials, cycle(TABLE[::step]), strict=False):
        law = laws.split()[0]
        subject = BackendUnderTest(with_seed(backend, 5 + trial // len(TABLE[::step])))
        with pytest.raises(LawViolation) as caught:
            check(BY_NAME[law], subject)
        where = f"{backend.__name__}, trial {trial}"
        assert names_cause(caught.value, cause), f"{where}: {caught.value}"
        trials.note("caught, with the right cause" if cause else "caught, with no cause to name")
