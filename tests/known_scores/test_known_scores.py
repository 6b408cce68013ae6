"""No number changes by itself: 200 choices and 50 automata score as they did when written down."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from tests.known_scores.cases import model, scores
from tests.known_scores.record import path

#: On the machine that wrote them the scores are equal; other processors add in another order.
TOLERANCES = {"random": 1e-9, "table": 1e-9, "tf": 1e-3, "llamacpp": 1.5}


def leaves(value: Any) -> Iterator[Any]:
    """All values of nested lists and mappings, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


@pytest.mark.parametrize(
    "name",
    [
        "random",
        "table",
        pytest.param("tf", marks=pytest.mark.soak),
        pytest.param("llamacpp", marks=pytest.mark.soak),
    ],
)
def test_scores_stay_as_they_were_written_down(name: str) -> None:
    written = list(leaves(json.loads(gzip.decompress(path(name).read_bytes()))))
    with model(name) as opened:
        found = list(leaves(scores(opened)))
    assert len(found) == len(written)
    for one, other in zip(found, written, strict=True):
        if isinstance(other, float) and isinstance(one, float) and math.isfinite(other):
            assert one == pytest.approx(other, rel=0, abs=TOLERANCES[name])
        else:
            assert one == other
