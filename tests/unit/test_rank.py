"""`Model.rank` orders items by either conditional probability."""

from __future__ import annotations

import pytest

from autocog_core import InputError
from tests.support.small_backends import random_model

ITEMS = ["a cat", "a dog", "the sea", "the seaside", "10 Paris"]


@pytest.mark.parametrize("by", ["prompt", "item"])
def test_rank_equals_single_scores(by: str) -> None:
    with random_model(vocabulary="merges") as model:
        ranked = model.rank("where to swim", ITEMS, by=by, top=None)  # type: ignore[arg-type]
        for each in ranked:
            item = model.score(each.item, "where to swim\n")
            prompt = model.score("\nwhere to swim", each.item)
            assert each.logprob == pytest.approx(item.logprob, abs=1e-5)
            assert each.prompt_logprob == pytest.approx(prompt.logprob, abs=1e-5)
            assert ITEMS[each.index] == each.item
        values = [r.prompt_logprob if by == "prompt" else r.mean_logprob for r in ranked]
        assert values == sorted(values, reverse=True)
        assert len(ranked) == len(ITEMS)
        assert model.rank("where to swim", ITEMS, by=by, top=2) == ranked[:2]  # type: ignore[arg-type]


def test_wrong_arguments_are_named() -> None:
    with random_model() as model:
        with pytest.raises(InputError, match="by"):
            model.rank("a", ITEMS, by="both")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="top"):
            model.rank("a", ITEMS, top=0)
        with pytest.raises(InputError, match="given before"):
            model.rank("a", ["x", "x"])
        with pytest.raises(InputError, match="choices"):
            model.rank("a", [])
