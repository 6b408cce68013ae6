"""`Model.rank` orders items by either conditional probability."""

from __future__ import annotations

import math
import warnings

import pytest

from autocog_core import InputError, Model
from tests.support.small_backends import CharTokenizer, random_model

ITEMS = ["a cat", "a dog", "the sea", "the seaside", "10 Paris"]


@pytest.mark.parametrize("by", ["prompt", "item"])
def test_rank_equals_single_scores(by: str) -> None:
    with random_model(vocabulary="merges") as model:
        ranked = model.rank("where to swim", ITEMS, by=by, top=None)  # type: ignore[arg-type]
        for each in ranked:
            item = model.score(each.item, "where to swim\n")
            prompt = model.score("where to swim", each.item + "\n")
            assert each.logprob == pytest.approx(item.logprob, abs=1e-5)
            assert each.prompt_logprob == pytest.approx(prompt.logprob, abs=1e-5)
            assert ITEMS[each.index] == each.item
        values = [r.prompt_logprob if by == "prompt" else r.mean_logprob for r in ranked]
        assert values == sorted(values, reverse=True)
        assert len(ranked) == len(ITEMS)
        assert model.rank("where to swim", ITEMS, by=by, top=2) == ranked[:2]  # type: ignore[arg-type]


def test_items_of_different_lengths_get_no_warning() -> None:
    with random_model() as model, warnings.catch_warnings():
        warnings.simplefilter("error")
        model.rank("where", ["Jaws", "a title of eleven words that is longer than the other"])


def test_the_prompt_has_the_score_of_its_own_tokens_whatever_an_item_ends_with() -> None:
    """Some tokenizers join a full stop with the newline after it."""
    model = Model(CharTokenizer([".\n"]))
    size = model.info.vocabulary_size
    for each in model.rank("where", ["a cat", "a dog.", "the sea"]):
        assert each.prompt_logprob == pytest.approx(-5 * math.log(size), abs=1e-5)


def test_items_that_the_tokenizer_joins_with_the_prompt_are_refused() -> None:
    model = Model(CharTokenizer(["tw"]))
    with pytest.raises(InputError, match="joins the end of 'cat' with the prompt") as caught:
        model.rank("where", ["dog", "cat"], before_prompt="")
    assert "before_prompt" in caught.value.hint
    # What is joined is the same for all: their numbers are comparable.
    assert len(model.rank("where", ["cat", "rat"], before_prompt="")) == 2


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
