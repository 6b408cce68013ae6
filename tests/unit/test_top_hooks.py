"""The best choices from a backend's own `choose`: what core takes, checks and stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autocog_core import (
    BackendInfo,
    Choice,
    ChoiceRequest,
    ContractError,
    Model,
    NumericsError,
    TopChoices,
    hookimpl,
    load,
)
from autocog_core.hooks import CONTRACT_VERSION
from autocog_core.scoring.top_choices import best_of_scores
from autocog_core.types.search_goal import SearchGoal
from autocog_core.wrappers.cache import Cache
from autocog_core.wrappers.record import Record
from autocog_core.wrappers.trace import Trace
from tests.support.small_backends import random_model

CHOICES = [" a", " b", " ab", " c"]
Change = Callable[[TopChoices], Any]


class TopChooser:
    """A backend without token distributions that returns the best choices."""

    contract = CONTRACT_VERSION

    def __init__(self, change: Change = lambda answer: answer) -> None:
        self._truth = random_model()
        self._change = change
        self.requests: list[ChoiceRequest] = []

    @hookimpl
    def describe(self) -> BackendInfo:
        names = ("choose", "describe", "tokenize", "detokenize")
        return replace(self._truth.info, capabilities=names, compute_fingerprint=lambda: "top")

    @hookimpl
    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        client = self._truth.client
        return client.tokenize(texts, at_start=at_start, parse_special=parse_special)

    @hookimpl
    def detokenize(self, tokens: Sequence[int]) -> bytes:
        return self._truth.client.detokenize(tokens)

    @hookimpl
    def choose(self, request: ChoiceRequest) -> Any:
        self.requests.append(request)
        scores = self._truth.client.choose(replace(request, top=None))
        if request.top is None:
            return scores
        return self._change(best_of_scores(scores, request.top))


def with_best(**fields: Any) -> Change:
    """Return a change of the first of the best choices."""
    return lambda answer: replace(answer, top=(replace(answer.best, **fields), *answer.top[1:]))


def test_the_request_says_how_many_are_wanted_and_values_are_kept() -> None:
    backend = TopChooser(lambda answer: replace(answer, method="own", nodes_read=2, nodes=3))
    model = Model(backend)
    expected = random_model().choose("Q", CHOICES)
    result = model.choose("Q", [Choice(text, value=text * 2) for text in CHOICES], top=2)
    assert (result.method, result.nodes_read, result.index) == ("own", 2, expected.index)
    assert result.value == expected.choice * 2
    assert backend.requests[-1].top is not None
    assert backend.requests[-1].top.top == 2
    # Several texts of a choice count together: the scores of all of them are needed.
    several = model.choose("Q", [Choice(texts=[" a", " b"]), " c"], top=1)
    assert backend.requests[-1].top is None
    assert several.method == "tree"


def test_a_backend_that_scores_all_choices_is_asked_too() -> None:
    scored = random_model().choose("Q", CHOICES)
    model = Model(TopChooser(lambda answer: scored))
    result = model.choose("Q", CHOICES, top=1, at_least=0.9)
    assert (result.index, result.prob) == (scored.index, scored.best.prob)
    assert (result.proven, result.is_at_least) == (True, scored.best.prob >= 0.9)
    bounds = replace(scored, exact=False, reason="some are lower bounds")
    result = Model(TopChooser(lambda answer: bounds)).choose("Q", CHOICES, top=1, at_least=0.9)
    assert (result.proven, result.exact, result.is_at_least) == (False, False, None)
    assert result.prob_bounds == (0.0, 1.0)
    assert result.score_bounds == (0.0,) * 4
    assert result.reason == "some are lower bounds"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda answer: replace(answer, top=answer.top[:1]), "1 best choices in place of 2"),
        (lambda answer: replace(answer, top=answer.top[:1] * 2), "not different"),
        (lambda answer: replace(answer, top=answer.top[::-1]), "order of their scores"),
        (lambda answer: replace(answer, top=list(answer.top)), "top is not a tuple"),
        (lambda answer: replace(answer, score_bounds=(0.0,) * 4), "another choice is higher"),
        (lambda answer: replace(answer, score_bounds=answer.score_bounds[:3]), "score_bounds"),
        (lambda answer: replace(answer, score_bounds=(-90.0,) * 4), "above its bound"),
        (lambda answer: replace(answer, score_bounds=(float("nan"),) * 4), "NaN"),
        (lambda answer: replace(answer, proven="yes"), "proven is 'yes'"),
        (lambda answer: replace(answer, exact=None), "exact is None"),
        (lambda answer: replace(answer, norm="mean"), "norm"),
        (lambda answer: replace(answer, nodes=-1), "nodes is -1"),
        (lambda answer: replace(answer, steps=None), "steps is None"),
        (lambda answer: replace(answer, is_at_least=True), "not asked"),
        (with_best(index=9), "index is 9"),
        (with_best(choice="other"), "in place of"),
        (with_best(score=-1.0), "score is -1.0"),
        (with_best(prob_bounds=(0.5, 0.2)), "prob_bounds"),
        (with_best(prob=0.9, prob_bounds=(0.1, 0.2)), "outside"),
        (with_best(tokens=()), "no tokens of"),
        (with_best(token_logprobs=(-1.0, 0.5)), "positive|above 0|logprob"),
        (with_best(mean_logprob=-0.001), "per token"),
        (with_best(logprob_per_byte=-0.001), "per byte"),
        (lambda answer: 3, "int"),
    ],
)
def test_wrong_best_choices_are_refused(change: Change, message: str) -> None:
    model = Model(TopChooser(change), name="m")
    with pytest.raises((ContractError, NumericsError), match=message) as caught:
        model.choose("Q", CHOICES, top=2)
    assert caught.value.where == "m"


def test_best_choices_that_nobody_asked_for_are_refused() -> None:
    class Eager(TopChooser):
        @hookimpl
        def choose(self, request: ChoiceRequest) -> Any:
            return super().choose(replace(request, top=SearchGoal()))

    with pytest.raises(ContractError, match="TopChoices"):
        Model(Eager()).choose("Q", CHOICES)


def test_wrappers_keep_the_best_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOCOG_CACHE", str(tmp_path / "cache"))
    calls, trace = tmp_path / "calls.jsonl", tmp_path / "trace.jsonl"
    backend = TopChooser(with_best(prob=None))
    wrappers = [Trace(path=trace), Cache(), Record(path=calls)]
    with Model(backend, wrappers=wrappers) as model:
        best = model.choose("Q", CHOICES, top=2, within=0.5)
        assert model.choose("Q", CHOICES, top=2, within=0.5) == best
        whole = model.choose("Q", CHOICES)
    assert len(backend.requests) == 2
    assert '"output": ' in trace.read_text()
    with load(backend="replay", options={"path": calls}) as replayed:
        assert replayed.choose("Q", CHOICES, top=2, within=0.5) == best
        assert replayed.choose("Q", CHOICES) == whole
