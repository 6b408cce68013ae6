"""Wrappers with `around` see every call and change nothing; the law finds those that do."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from autocog_core import EngineError, HookError, Model, hookimpl
from autocog_core.backends.random import RandomLM
from autocog_core.hooks import specs
from autocog_core.hooks.manager import hook_names, hooks_of
from autocog_core.testing import LawViolation, WrapperContractTests, require_unchanged
from autocog_core.testing.wrapper_laws import CALLS
from autocog_core.wrappers import HookWrapper, Watching, Wrapper
from autocog_core.wrappers.record import Record
from autocog_core.wrappers.trace import Trace
from autocog_core.wrappers.watching import UNWATCHED_HOOKS
from tests.wrappers.counting import CountingLM


class Watcher(Wrapper):
    """Counts the calls of each hook, and their errors."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.seen: list[tuple[Mapping[str, Any], Any]] = []

    def around(self, hook: str, arguments: Mapping[str, Any]) -> Watching:
        self.calls[hook] += 1
        try:
            answer = yield
        except EngineError:
            self.errors[hook] += 1
            return  # swallowing it has no effect
        self.seen.append((arguments, answer))


class TestWatcher(WrapperContractTests):
    def make_wrapper(self) -> Wrapper:
        return Watcher()


class TestWatcherOfAnEngine(TestWatcher):
    def make_backend(self) -> RandomLM:
        return CountingLM(seed=3)


def test_a_watcher_has_every_hook_with_its_parameters() -> None:
    assert set(hooks_of(Watcher)) == hook_names() - UNWATCHED_HOOKS
    for name in hooks_of(Watcher):
        _, *parameters = inspect.signature(getattr(Watcher, name)).parameters
        assert parameters == list(inspect.signature(getattr(specs, name)).parameters), name
    assert hooks_of(Wrapper) == []


def test_the_wrappers_of_core_that_watch_change_nothing(tmp_path: Path) -> None:
    require_unchanged(lambda: CountingLM(seed=1), lambda: Trace(path=tmp_path / "trace.jsonl"))
    require_unchanged(lambda: CountingLM(seed=1), lambda: Record(path=tmp_path / "record.jsonl"))


def test_it_sees_arguments_answers_and_errors() -> None:
    class Failing(RandomLM):
        def greedy_impl(self, tokens: Sequence[int]) -> Any:
            raise EngineError("out of order")

    watcher = Watcher()
    with Model(RandomLM(), wrappers=[watcher]) as model:
        row = model.greedy([1, 2])
        ((arguments, answer),) = [seen for seen in watcher.seen if "tokens" in seen[0]]
        assert (arguments, answer is row) == ({"tokens": [1, 2]}, True)
    assert watcher.calls["close"] == 1
    failing = Watcher()
    with pytest.raises(EngineError, match="out of order"):
        Model(Failing(), wrappers=[failing]).greedy([1])
    assert failing.errors == {"greedy_impl": 1}


def test_choose_many_stays_one_call() -> None:
    watcher = Watcher()
    Model(CountingLM(), wrappers=[watcher]).choose_many(["One", "Two"], [" a", " b"])
    assert (watcher.calls["greedy_tree_impl"], watcher.calls["choose"]) == (1, 0)


def test_a_hook_of_its_own_stays() -> None:
    class Own(Watcher):
        rows = 0

        @hookimpl(wrapper=True)
        def greedy_impl(self, tokens: Sequence[int]) -> HookWrapper:
            self.rows += 1
            return (yield)

    class Below(Own):
        pass

    for kind in (Own, Below):
        wrapper = kind()
        Model(RandomLM(), wrappers=[wrapper]).greedy("x")
        assert (wrapper.rows, wrapper.calls["greedy_impl"], wrapper.calls["tokenize"]) == (1, 0, 1)


class YieldsTwice(Wrapper):
    def around(self, hook: str, arguments: Mapping[str, Any]) -> Watching:
        yield
        yield


class YieldsNever(Wrapper):
    def around(self, hook: str, arguments: Mapping[str, Any]) -> Watching:
        yield from ()


class FailsAfter(Wrapper):
    def around(self, hook: str, arguments: Mapping[str, Any]) -> Watching:
        yield
        raise KeyError(hook)


@pytest.mark.parametrize("wrapper", [YieldsTwice, YieldsNever, FailsAfter])
def test_a_mistake_in_around_names_the_wrapper(wrapper: Callable[[], Any]) -> None:
    model = Model(RandomLM(), wrappers=[Watcher(), wrapper(), Watcher()])
    with pytest.raises(HookError, match=f" of {wrapper.__name__} "):  # type: ignore[attr-defined]
        model.choose("x", [" a", " b"])


class ChangesRow(Wrapper):
    """Changes the array that the caller gets."""

    def around(self, hook: str, arguments: Mapping[str, Any]) -> Watching:
        answer = yield
        if hook == "greedy_impl":
            answer[:2] = answer[1::-1].copy()


class ReturnsAnother(Wrapper):
    @hookimpl(wrapper=True)
    def detokenize(self, tokens: Sequence[int]) -> Generator[None, Any, Any]:
        answer = yield
        return answer.strip()


class ReordersTrees(Wrapper):
    """Changes an argument of the call."""

    def around(self, hook: str, arguments: Mapping[str, Any]) -> Watching:
        if hook == "greedy_tree_impl" and len(arguments["queries"]) > 1:
            arguments["queries"].reverse()
        yield


class FailsOften(Wrapper):
    def around(self, hook: str, arguments: Mapping[str, Any]) -> Watching:
        if hook == "complete":
            raise EngineError("the log is full")
        yield


@pytest.mark.parametrize(
    ("mutant", "call", "cause"),
    [
        (ChangesRow, "greedy", "in place"),
        (ReturnsAnother, "next_tokens", "other than the answer"),
        (ReordersTrees, "choose the best", "changes what a call gets"),
        (FailsOften, "complete", "an error of its own"),
    ],
)
def test_the_law_finds_a_wrapper_that_changes_something(
    mutant: Callable[[], Wrapper], call: str, cause: str
) -> None:
    with pytest.raises(LawViolation) as caught:
        require_unchanged(lambda: RandomLM(seed=7, vocabulary="merges"), mutant)
    assert caught.value.law == "watching_changes_nothing"
    assert caught.value.given.startswith(f"'{call}")
    assert cause in caught.value.cause
    assert call in CALLS
