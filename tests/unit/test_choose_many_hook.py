"""The hook `choose_many`: the scores of a `choose` for each request, through wrappers too."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from autocog_core import (
    BackendInfo,
    Choice,
    ChoiceRequest,
    ChoiceScores,
    ContractError,
    InputError,
    Model,
    hookimpl,
    load,
)
from autocog_core.wrappers import Wrapper
from autocog_core.wrappers.cache import Cache
from autocog_core.wrappers.record import Record
from autocog_core.wrappers.trace import Trace

PROMPTS = ["Is it", "Was it", "Is it"]
CHOICES = [[" red", " blue"], [" yes", " no", " maybe so"], [" here", " there"]]


class Classifier:
    """Long choices are likelier. It counts its calls.

    :ivar calls: for each call, the hook and the number of requests.
    :ivar answers: how many answers `choose_many` gives: all, fewer, or none.
    """

    contract = 1

    def __init__(self, answers: str = "all") -> None:
        self.calls: list[tuple[str, int]] = []
        self.answers = answers

    @hookimpl
    def describe(self) -> BackendInfo:
        return BackendInfo(
            name="classifier", vocabulary_size=2, compute_fingerprint=lambda: "lengths"
        )

    @hookimpl
    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        self.calls.append(("choose", 1))
        return _scores(request)

    @hookimpl
    def choose_many(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceScores] | None:
        if self.answers == "none":
            return None
        self.calls.append(("choose_many", len(requests)))
        scores = list(map(_scores, requests))
        return scores if self.answers == "all" else scores[1:]


def _scores(request: ChoiceRequest) -> ChoiceScores:
    return ChoiceScores.from_logprobs(request, [-1 / len(choice) for choice in request.choices])


def one_by_one() -> list[ChoiceScores]:
    model = Model(Classifier())
    return [model.choose(*pair) for pair in zip(PROMPTS, CHOICES, strict=True)]


def test_many_requests_are_one_call_with_the_scores_of_many() -> None:
    backend = Classifier()
    assert Model(backend).choose_many(PROMPTS, CHOICES) == one_by_one()
    assert backend.calls == [("choose_many", 3)]


def test_a_backend_may_decline() -> None:
    backend = Classifier("none")
    assert Model(backend).choose_many(PROMPTS, CHOICES) == one_by_one()
    assert backend.calls == [("choose", 1)] * 3


def test_one_request_is_a_choose() -> None:
    backend = Classifier()
    Model(backend).choose_many(PROMPTS[:1], CHOICES[:1])
    assert backend.calls == [("choose", 1)]


def test_choices_with_several_texts_are_merged() -> None:
    choices = [Choice(texts=[" Yes", " yes"], value=True), Choice(" No", value=False)]
    expected = [Model(Classifier()).choose(prompt, choices) for prompt in PROMPTS]
    assert Model(Classifier()).choose_many(PROMPTS, choices) == expected


def test_a_missing_answer_is_an_error_of_the_plugin() -> None:
    with pytest.raises(ContractError, match="2 answers for 3 requests"):
        Model(Classifier("fewer")).choose_many(PROMPTS, CHOICES)


def test_equal_choices_are_refused_before_the_call() -> None:
    backend = Classifier()
    with pytest.raises(InputError):
        Model(backend).choose_many(PROMPTS[:2], [[" a", " b"], [" a", " a"]])
    assert backend.calls == []


def test_a_wrapper_that_changes_each_choose_sees_each() -> None:
    seen: list[tuple[str, ...]] = []

    class Watcher(Wrapper):
        @hookimpl(wrapper=True)
        def choose(self, request: ChoiceRequest) -> Generator[None, Any, Any]:
            seen.append(request.choices)
            return (yield)

    backend = Classifier()
    assert Model(backend, wrappers=[Watcher()]).choose_many(PROMPTS, CHOICES) == one_by_one()
    assert seen == list(map(tuple, CHOICES))
    assert backend.calls == [("choose", 1)] * 3


def test_the_cache_asks_for_what_is_missing(tmp_path: Path) -> None:
    backend = Classifier()
    with Model(backend, wrappers=[Cache(path=tmp_path / "answers.sqlite")]) as model:
        model.choose(PROMPTS[1], CHOICES[1])
        assert model.choose_many(PROMPTS, CHOICES) == one_by_one()
        assert model.choose_many(PROMPTS, CHOICES) == one_by_one()
        assert model.choose(PROMPTS[0], CHOICES[0]) == one_by_one()[0]
    assert backend.calls == [("choose", 1), ("choose_many", 2)]


def test_a_recording_has_each_request(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    with Model(Classifier(), wrappers=[Record(path=path)]) as model:
        model.choose_many(PROMPTS, CHOICES)
    with load(backend="replay", options={"path": str(path)}) as replay:
        assert replay.choose_many(PROMPTS, CHOICES) == one_by_one()
        assert replay.choose(PROMPTS[2], CHOICES[2]) == one_by_one()[2]


def test_a_trace_has_the_call(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    backend = Classifier()
    with Model(backend, wrappers=[Trace(path=path)]) as model:
        model.choose_many(PROMPTS, CHOICES)
    assert backend.calls == [("choose_many", 3)]
    assert path.read_text().count('"hook": "choose_many"') == 1
