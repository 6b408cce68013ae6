from __future__ import annotations

import math
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autocog_core import (
    EOS,
    CapabilityError,
    ChoiceScores,
    ContextOverflowError,
    InputError,
    Model,
    hookimpl,
)
from autocog_core.backends.random import RandomLM
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import NORMS
from tests.support import reference_scores as reference
from tests.support.small_backends import Plain, random_model, table_model
from tests.support.soak import count

INF = float("inf")
LN = math.log
NUMBERS = {
    "Q": {"1": 0.5, "2": 0.25},
    "Q1": {"0": 0.4, "\n": 0.5, "<|eos|>": 0.1},
    "Q10": {"0": 0.5, "\n": 0.25, "<|eos|>": 0.25},
    "Q100": {"\n": 0.5, "<|eos|>": 0.5},
    "Q2": {"\n": 1.0},
}
CHOICES = ["1", "10", "100", "2"]


def near(values: Sequence[float]) -> Any:
    return pytest.approx(list(values), rel=1e-6, abs=1e-6)


@pytest.fixture(scope="module", params=["bytes", "merges"])
def table(request: pytest.FixtureRequest) -> Model:
    # With merges "10" and "100" are one token each: the same text, another tree.
    if request.param == "merges":
        rows = {
            "Q": {"1": 0.3, "10": 0.1, "100": 0.1, "2": 0.25},
            "Q1": {"<|eos|>": 0.1, "\n": 0.5},
        }
        return table_model(rows, vocabulary="merges")
    return table_model(NUMBERS)


def test_numbers_computed_by_hand() -> None:
    result = table_model(NUMBERS).choose("Q", CHOICES)
    assert [s.logprob for s in result.scores] == near([LN(0.5), LN(0.2), LN(0.1), LN(0.25)])
    assert [s.exclusive_logprob for s in result.scores] == near(
        [LN(0.3), LN(0.1), LN(0.1), LN(0.25)]
    )
    assert [s.prob for s in result.scores] == near([0.3 / 0.75, 0.1 / 0.75, 0.1 / 0.75, 1 / 3])
    assert [s.mean_logprob for s in result.scores] == near(
        [LN(0.5), LN(0.2) / 2, LN(0.1) / 3, LN(0.25)]
    )
    assert [s.logprob_per_byte for s in result.scores] == [s.mean_logprob for s in result.scores]
    assert (result.index, result.choice, result.has_prefix_choices) == (0, "1", True)
    assert result.margin == pytest.approx(0.4 - 1 / 3, abs=1e-6)
    shares = [0.4, 2 / 15, 2 / 15, 1 / 3]
    assert result.entropy == pytest.approx(-sum(p * LN(p) for p in shares), abs=1e-6)
    assert [s.tokens for s in result.scores] == [(49,), (49, 48), (49, 48, 48), (50,)]
    assert result.scores[1].token_logprobs == near([LN(0.5), LN(0.4)])


def test_numbers_computed_by_hand_where_longer_choices_are_single_tokens() -> None:
    rows = {"Q": {"1": 0.3, "10": 0.1, "100": 0.15, "2": 0.25}}
    result = table_model(rows, vocabulary="merges").choose("Q", CHOICES)
    assert [s.logprob for s in result.scores] == near([LN(0.3), LN(0.1), LN(0.15), LN(0.25)])
    assert [s.exclusive_logprob for s in result.scores] == [s.logprob for s in result.scores]
    assert not result.has_prefix_choices
    assert result.scores[2].logprob_per_byte == pytest.approx(LN(0.15) / 3)
    assert result.scores[2].mean_logprob == pytest.approx(LN(0.15))


def test_an_end_text_is_scored_with_every_choice_and_resolves_prefixes() -> None:
    result = table_model(NUMBERS).choose("Q", CHOICES, suffix="\n")
    expected = [0.5 * 0.5, 0.2 * 0.25, 0.1 * 0.5, 0.25 * 1]
    assert [s.logprob for s in result.scores] == near([LN(p) for p in expected])
    assert not result.has_prefix_choices
    assert result.index == 0
    assert result.scores[0].tokens == (49, 10)
    assert result.scores[0].mean_logprob == pytest.approx(LN(0.25) / 2)


def test_eos_as_the_end_is_scored_with_every_choice_and_resolves_prefixes() -> None:
    result = table_model(NUMBERS).choose("Q", CHOICES, suffix=EOS)
    expected = [LN(0.05), LN(0.05), LN(0.05), -INF]
    assert [s.logprob for s in result.scores] == near(expected)
    assert [s.exclusive_logprob for s in result.scores] == near(expected)
    assert [s.prob for s in result.scores] == near([1 / 3] * 3 + [0])
    assert not result.has_prefix_choices
    assert len(result.scores[0].token_logprobs) == len(result.scores[0].tokens) == 2
    assert result.scores[0].mean_logprob == pytest.approx(LN(0.05) / 2)


def test_pmi_divides_by_the_same_tokens_after_other_text() -> None:
    rows = {"Q": {"a": 0.5, "b": 0.25}, "": {"a": 0.8, "b": 0.1}, "U": {"a": 0.5, "b": 0.5}}
    model = table_model(rows)
    after_bos = model.choose("Q", ["a", "b"], norm="pmi")
    assert [s.pmi for s in after_bos.scores] == near([LN(0.5 / 0.8), LN(0.25 / 0.1)])
    assert after_bos.index == 1
    assert [s.prob for s in after_bos.scores] == near([0.2, 0.8])
    after_text = model.choose("Q", ["a", "b"], norm="pmi", unconditional_prompt="U")
    assert [s.pmi for s in after_text.scores] == near([LN(1.0), LN(0.5)])
    assert model.choose("Q", ["a", "b"]).best.pmi is None


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("end", [None, EOS, "!"], ids=["open", "eos", "text"])
def test_impossible_choices_share_equally_without_nan(norm: Any, end: Any) -> None:
    model = table_model({"Q": {"z": 1.0}, "U": {"z": 1.0}})
    result = model.choose(
        "Q", ["a", "b", "abc", "bb"], norm=norm, suffix=end, unconditional_prompt="U"
    )
    assert [s.prob for s in result.scores] == [0.25] * 4
    assert (result.index, result.margin) == (0, 0)
    assert result.entropy == pytest.approx(LN(4))
    for score in result.scores:
        assert (
            score.logprob
            == score.exclusive_logprob
            == score.mean_logprob
            == score.logprob_per_byte
            == -INF
        )
        assert not math.isnan(score.pmi or 0.0)


def test_pmi_of_what_only_the_prompt_makes_possible_is_not_nan() -> None:
    model = table_model({"Q": {"a": 0.5, "b": 0.5}, "U": {"b": 1.0}})
    result = model.choose("Q", ["b", "a"], norm="pmi", unconditional_prompt="U")
    assert result.choice == "a"
    assert [s.prob for s in result.scores] == [0, 1]


def test_a_prefix_choice_is_impossible_if_its_extension_is_certain() -> None:
    result = table_model({"Q": {"a": 0.5}, "Qa": {"b": 1.0}}).choose("Q", ["a", "ab"])
    assert [s.exclusive_logprob for s in result.scores] == near([-INF, LN(0.5)])
    assert [s.prob for s in result.scores] == [0, 1]
    assert result.scores[0].logprob == pytest.approx(LN(0.5))


@pytest.mark.parametrize("norm", NORMS)
def test_ties_go_to_the_lower_index(norm: Any) -> None:
    model = table_model({})
    result = model.choose("Q", ["d", "c", "b"], norm=norm)
    assert result.index == 0
    assert result.margin == 0


def test_the_best_score_wins_even_if_probabilities_round_to_equal() -> None:
    def row(tokens: Sequence[int]) -> Any:
        is_after_a = tokens[-1] == 97
        values = np.full(256, -INF, dtype=np.float32)
        values[98 if is_after_a else 97] = -1e-20 if is_after_a else -1e-21
        return values

    scores = Model(Plain(row)).choose("x", ["ab", "a"], norm="mean")
    assert (scores.choice, scores.scores[0].prob) == ("a", scores.scores[1].prob)


@pytest.mark.parametrize("end", [None, EOS, "\n"], ids=["open", "eos", "text"])
def test_one_choice_has_probability_one(end: Any) -> None:
    result = random_model().choose("x", ["only"], suffix=end)
    assert (result.best.prob, result.margin, result.entropy) == (1.0, 1.0, 0.0)


fragment = st.sampled_from(["1", "0", "00", "a", "Paris", " ", " the", "é", "😀", "日本", ".\n"])
texts = st.lists(fragment, max_size=6).map("".join)
choice_texts = st.lists(
    st.lists(fragment, min_size=1, max_size=4).map("".join), min_size=1, max_size=6, unique=True
)
SHARP = random_model(vocabulary="bytes", seed=1, scale=4.0)
MERGES = random_model(vocabulary="merges", seed=2)


class TwoEnds(RandomLM):
    def describe_impl(self) -> BackendInfo:
        info = super().describe_impl()
        return replace(info, eos=(*info.eos, 0))


TWO_ENDS = Model(TwoEnds(vocabulary="merges", seed=3, scale=1.0))


def check_against_twin(
    model: Model, result: ChoiceScores, prompt: str, choices: Sequence[str], end: Any, u: str | None
) -> None:
    bos = (model.info.bos,)
    suffix = end if isinstance(end, str) else ""
    base, decided = reference.shared_base(
        [*bos, *model.tokenize(prompt)],
        [[*bos, *model.tokenize(prompt + choice + suffix)] for choice in choices],
    )
    expected = reference.score(
        lambda tokens: model.greedy(list(tokens)).tolist(),
        base,
        decided,
        [len(model.detokenize_bytes(tokens)) for tokens in decided],
        norm=result.norm,
        eos=model.info.eos if end is EOS else (),
        unconditional=None if u is None else (*bos, *model.tokenize(u)),
    )
    tolerance = 1e-6 * max(map(len, decided)) + 1e-6
    fields = ("logprob", "exclusive_logprob", "mean_logprob", "logprob_per_byte", "prob")
    twins = ("logprob", "exclusive", "mean", "per_byte", "prob")
    for field, name in zip(fields, twins, strict=True):
        ours = [getattr(score, field) for score in result.scores]
        theirs = [getattr(score, name) for score in expected]
        assert ours == pytest.approx(theirs, abs=tolerance, rel=1e-5), name
    if u is not None:
        assert [s.pmi for s in result.scores] == pytest.approx(
            [s.pmi for s in expected], abs=2 * tolerance
        )
    probs = [score.prob for score in expected]
    top, *rest = sorted(probs, reverse=True)
    assert result.margin == pytest.approx(top - (rest[0] if rest else 0), abs=1e-4)
    assert result.entropy == pytest.approx(-sum(p * LN(p) for p in probs if p > 0), abs=1e-4)
    assert probs[result.index] == pytest.approx(top, abs=1e-6)
    for score in result.scores:
        assert score.logprob == pytest.approx(sum(score.token_logprobs))
        assert len(score.token_logprobs) == len(score.tokens)


@pytest.mark.parametrize("model", [SHARP, MERGES, TWO_ENDS], ids=["sharp", "merges", "two ends"])
@given(
    prompt=texts,
    choices=choice_texts,
    norm=st.sampled_from(NORMS),
    end=st.sampled_from([None, None, "\n", EOS]),
    unconditional=st.sampled_from(["", "Answer:"]),
)
def test_scores_equal_the_reference_scores(
    model: Model, prompt: str, choices: list[str], norm: Any, end: Any, unconditional: str
) -> None:
    result = model.choose(
        prompt, choices, norm=norm, suffix=end, unconditional_prompt=unconditional
    )
    u = unconditional if norm == "pmi" else None
    check_against_twin(model, result, prompt, choices, end, u)


@settings(max_examples=count(normal=25, soak=100))
@given(st.lists(st.tuples(texts, choice_texts), min_size=1, max_size=4))
def test_choosing_many_equals_choosing_one_by_one(rows: list[tuple[str, list[str]]]) -> None:
    prompts, choices = [row[0] for row in rows], [row[1] for row in rows]
    many = MERGES.choose_many(prompts, choices, norm="pmi")
    ones = [MERGES.choose(prompt, own, norm="pmi") for prompt, own in rows]
    assert many == ones


@given(texts, choice_texts)
def test_the_order_of_the_choices_changes_nothing_but_the_order(
    prompt: str, choices: list[str]
) -> None:
    forward = MERGES.choose(prompt, choices)
    backward = MERGES.choose(prompt, choices[::-1])
    for one, other in zip(forward.scores, reversed(backward.scores), strict=True):
        assert one.logprob == other.logprob
        assert one.prob == pytest.approx(other.prob)


@given(texts, choice_texts)
def test_a_shared_tree_scores_a_choice_as_it_would_be_scored_alone(
    prompt: str, choices: list[str]
) -> None:
    together = MERGES.choose(prompt, choices)
    for score in together.scores:
        alone = MERGES.choose(prompt, [score.choice]).best
        # Alone the base may be longer: the tokens that both have decided score the same.
        shared = len(alone.tokens)
        assert alone.tokens == score.tokens[-shared:]
        assert alone.token_logprobs == pytest.approx(score.token_logprobs[-shared:])


class Watching:
    """A wrapper of tree queries; a subclass also wraps `choose`."""

    def __init__(self) -> None:
        self.trees: list[int] = []
        self.chosen = 0

    @hookimpl(wrapper=True)
    def greedy_tree_impl(self, queries: Any) -> Any:
        self.trees.append(len(queries))
        return (yield)


class WatchingChoices(Watching):
    @hookimpl(wrapper=True)
    def choose(self, request: Any) -> Any:
        self.chosen += 1
        return (yield)


def test_many_choices_are_one_call_of_the_tree_primitive() -> None:
    watching = Watching()
    model = Model(RandomLM(), wrappers=[watching])
    model.choose_many(["a", "b", "c"], ["x", "y"])
    assert watching.trees == [3]
    model.choose("a", ["x", "y"], norm="pmi")
    assert watching.trees == [3, 2]


def test_a_wrapper_of_choose_sees_each_of_many_choices() -> None:
    watching = WatchingChoices()
    wrapped = Model(RandomLM(), wrappers=[watching])
    many = wrapped.choose_many(["a", "b", "c"], ["x", "y"])
    assert watching.chosen == 3
    assert many == random_model().choose_many(["a", "b", "c"], ["x", "y"])


def test_one_list_of_choices_serves_all_prompts_also_as_an_iterator() -> None:
    prompts = ["a", "b"]
    expected = MERGES.choose_many(prompts, ["x", "y"])
    assert MERGES.choose_many(iter(prompts), iter(["x", "y"])) == expected  # type: ignore[arg-type]
    assert MERGES.choose_many(prompts, [["x", "y"]] * 2) == expected
    assert MERGES.choose_many([], ["x"]) == []


@pytest.mark.parametrize("choices", [[["a"]], [["a"], "b"], [["a"], ["b"], ["c"]], [1, 2]])
def test_choices_that_do_not_match_the_prompts_are_rejected(choices: Any) -> None:
    with pytest.raises(InputError, match="choices"):
        MERGES.choose_many(["p", "q"], choices)


def test_no_array_of_nodes_times_vocabulary_is_ever_made() -> None:
    size = 50_000

    class Wide(Plain):
        pass

    Wide.size = size
    row = np.full(size, -LN(size), dtype=np.float32)
    model = Model(Wide(lambda tokens: row))
    choices = [f"{i:04d}" for i in range(1000)]
    model.choose("x", choices[:2])
    tracemalloc.start()
    model.choose("x", choices)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    nodes_times_vocabulary = 1000 * size * 4
    assert peak < nodes_times_vocabulary / 20


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"norm": "product"}, InputError, "norm"),
        ({"norm": []}, InputError, "norm"),
        ({"boundary": "loose"}, InputError, "boundary"),
        ({"method": "magic"}, CapabilityError, "magic"),
        ({"norm": "pmi", "unconditional_prompt": 5}, InputError, "unconditional"),
        ({"norm": "pmi", "unconditional_prompt": "\ud800"}, InputError, "unconditional"),
    ],
    ids=repr,
)
def test_invalid_arguments_are_rejected(
    arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        MERGES.choose("x", ["a", "b"], **arguments)


def test_pmi_without_bos_names_the_argument_it_needs() -> None:
    model = random_model(bos=False)
    with pytest.raises(InputError, match="unconditional"):
        model.choose("x", ["a", "b"], norm="pmi")
    assert model.choose("x", ["a", "b"], norm="pmi", unconditional_prompt="A").best.pmi is not None


def test_unconditional_text_that_does_not_fit_the_context_is_refused_before_the_call() -> None:
    model = random_model(context_length=10)
    with pytest.raises(ContextOverflowError):
        model.choose("x", ["ab", "a"], norm="pmi", unconditional_prompt="123456789")


def test_eos_as_the_end_needs_a_model_that_has_one() -> None:
    with pytest.raises(CapabilityError, match="end-of-sequence"):
        Model(Plain()).choose("x", ["a"], suffix=EOS)


def test_choices_of_600_tokens_keep_their_ratio_where_probabilities_underflow() -> None:
    model = random_model(scale=3.0)
    long = "abcdefghij" * 60
    result = model.choose("x", [long + "a", long + "b"])
    assert max(score.logprob for score in result.scores) < -1500
    difference = result.scores[0].logprob - result.scores[1].logprob
    assert result.scores[0].prob / result.scores[1].prob == pytest.approx(math.exp(difference))


def test_the_result_says_how_many_tokens_were_evaluated() -> None:
    result = random_model().choose("x", ["ab", "ac"])
    # BOS and x, and the same with a.
    assert result.tokens_evaluated == 2 + 3


def test_a_result_becomes_json_without_infinities() -> None:
    import json

    result = table_model({"Q": {"a": 1.0}}).choose("Q", ["a", "b"], norm="pmi")
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["scores"][1]["logprob"] is None
    assert data["choice"] == "a"


@given(texts, choice_texts)
def test_open_logprobs_of_unrelated_choices_never_sum_above_one(
    prompt: str, choices: list[str]
) -> None:
    result = SHARP.choose(prompt, choices)
    assume(result.boundary == "clean")
    assert sum(math.exp(score.exclusive_logprob) for score in result.scores) <= 1 + 1e-6
