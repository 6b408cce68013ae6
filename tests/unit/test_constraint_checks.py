"""Constrained texts that a backend writes by itself: core believes none of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autocog_core import (
    Automaton,
    BackendInfo,
    CapabilityError,
    Complete,
    Completion,
    CompletionRequest,
    EngineError,
    InputError,
    Model,
)
from autocog_core.backends.random import RandomLM


class Writes(RandomLM):
    """Serves regular expressions and JSON Schemas by itself, and writes a given text.

    :ivar answer: what it writes.
    :ivar requests: what it was asked for.
    """

    answer = Completion(text="ab", tokens=(), logprobs=None, finish_reason="eos")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.requests: list[CompletionRequest] = []

    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), constraints=("regex", "json_schema"))

    def complete_impl(self, request: CompletionRequest) -> Completion:
        self.requests.append(request)
        others = (replace(self.answer, alternatives=()),) * (request.n - 1)
        return replace(self.answer, alternatives=others)


def written(text: str, finish_reason: Any = "eos") -> tuple[Writes, Model]:
    backend = Writes()
    backend.answer = replace(backend.answer, text=text, finish_reason=finish_reason)
    return backend, Model(backend)


def test_a_text_that_meets_its_constraint_is_passed_on() -> None:
    backend, model = written("ab")
    assert model.complete("x", regex="a[bc]", n=2, temperature=1).text == "ab"
    (request,) = backend.requests
    assert request.constraint is not None
    assert request.constraint.source == "a[bc]"
    # Blanks of JSON are up to the backend.
    for text in ('{"a": 1}', '{"a":1}', '{ "a" :\n1 }'):
        _, model = written(text)
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
        assert model.complete("x", json_schema=schema).text == text


@pytest.mark.parametrize("finish_reason", ["eos", "complete"])
def test_another_text_is_an_error_that_names_the_model(finish_reason: str) -> None:
    _, model = written("ad", finish_reason)
    with pytest.raises(EngineError, match=rf"{model.info.name}: .*'ad' does not meet its regex"):
        model.complete("x", regex="a[bc]")
    assert model.complete("x").text == "ad"


@pytest.mark.parametrize("finish_reason", ["length", "unknown"])
def test_a_text_that_was_cut_is_incomplete(finish_reason: str) -> None:
    _, model = written("a", finish_reason)
    assert model.complete("x", regex="a[bc]").finish_reason == "incomplete"
    assert model.complete("x", regex="a[bc]?").finish_reason == finish_reason
    tree = Automaton([Complete(uid="c", length=3, regex="a[bc]")]).run(model, strategy="text")
    assert tree.nodes[0].pruned_by == "incomplete"


def test_what_no_text_can_meet_does_not_reach_the_backend() -> None:
    backend, model = written("ab")
    for wrong in ({"regex": "(?=a)b"}, {"regex": "(a"}, {"json_schema": False}):
        with pytest.raises(InputError):
            model.complete("x", **wrong)
    assert not backend.requests


def test_core_writes_by_itself_what_the_backend_does_not_serve() -> None:
    backend, model = written("ab")
    assert model.complete("x", grammar='start: "yes"').text == "yes"
    assert not backend.requests
    for options in ({"followed_by": "c"}, {"importance_weights": True, "samples": 2}):
        action = Complete(uid="c", length=3, regex="a", width=None, **options)  # type: ignore[arg-type]
        with pytest.raises(CapabilityError, match=next(iter(options))):
            Automaton([action]).run(model, strategy="text")
