from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from autocog_core import LM, BackendInfo, CapabilityError, ChoiceLM, ConfigError, GreedyLM, Model
from autocog_core.backends.random import RandomLM
from autocog_core.types.completion import Completion, CompletionRequest
from tests.support.small_backends import uniform


class Bytes:
    """The tokenizer's half of a backend, as a mixin that is no LM itself."""

    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        return [list(text.encode()) for text in texts]

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return bytes(tokens)

    def describe_impl(self) -> BackendInfo:
        return BackendInfo(name="bytes", vocabulary_size=256)


class Minimal(Bytes, ChoiceLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return uniform(256)


class Tokenizes(Bytes, LM):
    pass


def test_overrides_are_hooks_without_any_marker_also_from_mixins() -> None:
    assert Model(Minimal()).capabilities == (
        *("describe", "detokenize", "greedy_impl", "tokenize"),
    )
    assert Minimal().tokenize("ab") == [97, 98]


def test_an_override_of_an_override_answers() -> None:
    class Other(Minimal):
        def greedy_impl(self, tokens: Sequence[int]) -> Any:
            row = np.full(256, -np.inf, dtype=np.float32)
            row[98] = 0
            return row

    assert Other().choose("x", ["a", "b"]).choice == "b"


def test_the_public_methods_are_a_model_over_the_object() -> None:
    backend, model = RandomLM(seed=3), Model(RandomLM(seed=3))
    assert backend.complete("x", stop="\n", max_tokens=9) == model.complete(
        "x", stop="\n", max_tokens=9
    )
    assert backend.choose("x", ["a", "b"]) == model.choose("x", ["a", "b"])
    assert backend.choose_many(["x"], ["a", "b"]) == model.choose_many(["x"], ["a", "b"])
    assert list(backend.stream("x", max_tokens=9)) == list(model.stream("x", max_tokens=9))
    assert backend.detokenize(backend.tokenize("é")) == "é"
    np.testing.assert_array_equal(backend.greedy("x"), model.greedy("x"))


def test_completion_kwargs_are_defaults_of_complete() -> None:
    assert len(RandomLM(completion_kwargs={"max_tokens": 3}).complete("x").tokens) == 3


@pytest.mark.parametrize("base", [LM, GreedyLM, ChoiceLM])
def test_the_bases_are_abstract(base: type[Any]) -> None:
    with pytest.raises(TypeError, match="abstract"):
        base()


def test_a_greedy_lm_without_greedy_is_abstract_and_a_plain_lm_is_not() -> None:
    class NoGreedy(Bytes, GreedyLM):
        pass

    with pytest.raises(TypeError, match="greedy_impl"):
        NoGreedy()  # type: ignore[abstract]
    assert Tokenizes().tokenize("a") == [97]


def test_an_lm_without_greedy_cannot_choose_but_can_complete_what_it_overrides() -> None:
    class Completes(Tokenizes):
        def complete_impl(self, request: CompletionRequest) -> Completion:
            return Completion(text="said", tokens=(), logprobs=None, finish_reason="length")

    model = Model(Completes())
    assert model.complete("x").text == "said"
    with pytest.raises(CapabilityError, match="greedy_impl"):
        model.choose("x", ["a"])
    assert not hasattr(Completes(), "choose")


def test_create_gives_the_arguments_of_the_class_and_refuses_unknown_options() -> None:
    backend = RandomLM(**RandomLM.create(seed=4))
    assert backend.choose("x", ["a", "b"]) == RandomLM(seed=4).choose("x", ["a", "b"])
    with pytest.raises(ConfigError, match="sead") as caught:
        RandomLM.create(sead=4)
    assert 'did you mean "seed"' in str(caught.value)


def test_several_wrappers_of_what_create_returned_work_side_by_side() -> None:
    created = RandomLM.create(seed=4)
    first, second = RandomLM(**created), RandomLM(**created)
    first.close()
    assert second.complete("x", max_tokens=2).tokens
