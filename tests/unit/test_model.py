from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from autocog_core import (
    BackendInfo,
    CapabilityError,
    ClosedError,
    Completion,
    CompletionRequest,
    ContractError,
    EngineError,
    InputError,
    Model,
    NumericsError,
    PluginBrokenError,
    hookimpl,
)
from autocog_core.backends.random import RandomLM
from tests.support.small_backends import Plain, random_model, table_model, uniform

CALLS: dict[str, Callable[[Model], Any]] = {
    "greedy": lambda m: m.greedy("x"),
    "next_tokens": lambda m: m.next_tokens("x"),
    "complete": lambda m: m.complete("x"),
    "choose": lambda m: m.choose("x", ["a"]),
    "choose_many": lambda m: m.choose_many(["x"], ["a"]),
    "tokenize": lambda m: m.tokenize("x"),
    "detokenize": lambda m: m.detokenize([1]),
    "encode": lambda m: m.encode("x"),
    "chat_prompt": lambda m: m.chat_prompt([{"role": "user", "content": "x"}]),
    "stream": lambda m: list(m.stream("x")),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_closed_model_refuses_every_call(name: str) -> None:
    model = random_model()
    CALLS[name](model)
    model.close()
    with pytest.raises(ClosedError):
        CALLS[name](model)


def test_closing_twice_closes_once() -> None:
    backend, closed = Plain(), []
    model = Model(backend, on_close=lambda: closed.append(1))
    with model:
        model.greedy("x")
    model.close()
    assert (backend.closed, closed) == (1, [1])
    assert "closed" in repr(model)


def test_what_was_shared_is_given_back_also_if_closing_fails() -> None:
    class Failing(Plain):
        @hookimpl
        def close(self) -> None:
            raise EngineError("stuck")

    given_back: list[int] = []
    model = Model(Failing(), on_close=lambda: given_back.append(1))
    with pytest.raises(EngineError, match="stuck"):
        model.close()
    assert given_back == [1]
    model.close()
    assert given_back == [1]


def test_closing_asks_nothing_of_a_backend_that_was_never_described() -> None:
    class Gone(Plain):
        @hookimpl
        def describe(self) -> BackendInfo:
            raise EngineError("the server is gone")

    backend = Gone()
    Model(backend).close()
    assert backend.closed == 1


def test_with_options_changes_the_defaults_of_a_copy_only() -> None:
    model = random_model()
    short = model.with_options(max_tokens=2)
    assert len(short.complete("x").tokens) == 2
    assert len(short.complete("x", max_tokens=3).tokens) == 3
    assert len(model.complete("x", max_tokens=None).tokens) > 3
    assert len(short.with_options(max_tokens=None, seed=1).complete("x").tokens) > 3


def test_the_backends_completion_defaults_are_the_models() -> None:
    model = Model(RandomLM(completion_kwargs={"max_tokens": 3}))
    assert len(model.complete("x").tokens) == 3


def test_defaults_that_are_wrong_are_refused_at_the_call() -> None:
    with pytest.raises(InputError, match="max_tokens"):
        random_model().with_options(max_tokens=-1).complete("x")


@pytest.mark.parametrize("stop", [None, "e", "th"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_streamed_pieces_join_to_the_completions_text(stop: Any, temperature: float) -> None:
    model = random_model(vocabulary="merges", seed=4, scale=0.5)
    arguments = {"stop": stop, "temperature": temperature, "seed": 5, "max_tokens": 40}
    pieces = list(model.stream("x", **arguments))
    assert "".join(pieces) == model.complete("x", **arguments).text
    assert all(pieces)


def test_closing_the_iterator_ends_the_completion() -> None:
    backend = Plain()
    pieces = Model(backend).stream("x", max_tokens=100_000)
    assert isinstance(pieces, Iterator)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    calls = len(backend.calls)
    time.sleep(0.02)
    assert len(backend.calls) == calls < 100_000
    assert not [t for t in threading.enumerate() if t.name == "autocog-stream"]


def test_an_error_after_the_first_piece_arrives_after_that_piece() -> None:
    def answer(tokens: Any) -> Any:
        if len(tokens) > 3:
            raise EngineError("power cut")
        row = np.full(256, -np.inf, dtype=np.float32)
        row[97] = 0
        return row

    pieces = Model(Plain(answer)).stream("x")
    assert [next(pieces), next(pieces), next(pieces)] == ["a", "a", "a"]
    with pytest.raises(EngineError, match="power cut"):
        next(pieces)


def test_an_error_in_the_callers_callback_ends_the_completion() -> None:
    class EnoughError(Exception):
        pass

    def on_text(piece: str) -> None:
        raise EnoughError

    backend = Plain()
    with pytest.raises(EnoughError):
        Model(backend).complete("x", on_text=on_text)
    assert len(backend.calls) < 5


def test_messages_are_the_chat_templates_prompt() -> None:
    model = random_model()
    messages = [{"role": "user", "content": "Hi"}]
    prompt = model.chat_prompt(messages)
    np.testing.assert_array_equal(model.greedy(messages=messages), model.greedy(prompt))
    assert model.complete(messages=messages) == model.complete(prompt)
    assert model.choose(messages=messages, choices=["a", "b"]) == model.choose(prompt, ["a", "b"])
    assert list(model.stream(messages=messages)) == list(model.stream(prompt))


@pytest.mark.parametrize("arguments", [{}, {"prompt": "x", "messages": []}])
def test_a_call_takes_a_prompt_or_messages_not_both_or_none(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="either"):
        random_model().greedy(**arguments)


def test_greedy_takes_text_or_its_ids() -> None:
    model = random_model()
    np.testing.assert_array_equal(model.greedy("abc"), model.greedy(model.encode("abc")))


def test_next_tokens_are_the_likeliest_in_order_ties_by_lower_id() -> None:
    model = table_model({"Q": {"b": 0.3, "a": 0.3, "c": 0.4}})
    found = model.next_tokens("Q", 3)
    assert [token.text for token in found] == ["c", "a", "b"]
    assert [token.logprob for token in found] == pytest.approx(np.log([0.4, 0.3, 0.3]).tolist())
    assert len(model.next_tokens("Q", 9999)) == 3
    assert len(model.next_tokens("Q", 0)) == 1


def test_completions_are_numbered_by_the_seed_and_each_is_reproducible() -> None:
    model = random_model(scale=0.1)
    first = model.complete("x", n=3, temperature=1.0, seed=3, max_tokens=8)
    again = model.complete("x", n=3, temperature=1.0, seed=3, max_tokens=8)
    assert first == again
    assert len({first.tokens, *(other.tokens for other in first.alternatives)}) == 3
    assert model.complete("x", temperature=1.0, seed=3, max_tokens=8).tokens == first.tokens


def test_eos_ends_a_completion_and_counts_as_a_token_without_text() -> None:
    model = table_model({"Q": {"a": 1.0}, "Qa": {"<|eos|>": 1.0}})
    completion = model.complete("Q")
    assert (completion.text, completion.finish_reason, len(completion.tokens)) == ("a", "eos", 2)
    assert completion.logprob == pytest.approx(0)


def test_reported_logprobs_are_the_models_own_whatever_the_temperature() -> None:
    model = table_model({"Q": {"a": 0.5, "b": 0.25, "c": 0.25}})
    hot = model.complete("Q", temperature=3.0, top_k=2, seed=1, max_tokens=1)
    assert hot.logprobs is not None
    assert hot.logprobs[0] == pytest.approx(np.log({"a": 0.5, "b": 0.25}[hot.text]))


def test_an_option_that_the_engine_does_not_know_is_refused_not_ignored() -> None:
    with pytest.raises(CapabilityError, match="logit_bias"):
        random_model().complete("x", logit_bias={})


class OnlyCompletes:
    @hookimpl
    def describe(self) -> BackendInfo:
        return BackendInfo(name="text", vocabulary_size=256)

    @hookimpl
    def complete(self, request: CompletionRequest) -> Completion:
        return Completion(text="said", tokens=(), logprobs=None, finish_reason="length")


@pytest.mark.parametrize(
    ("call", "hook"),
    [("greedy", "tokenize"), ("choose", "tokenize"), ("tokenize", "tokenize")],
)
def test_what_a_backend_lacks_is_a_capability_error_that_names_hook_and_model(
    call: str, hook: str
) -> None:
    model = Model(OnlyCompletes(), name="mute")
    with pytest.raises(CapabilityError, match=hook) as caught:
        CALLS[call](model)
    assert caught.value.where == "mute"
    assert caught.value.hook == hook
    assert model.complete("x").text == "said"
    assert model.capabilities == ("complete", "describe")


def test_no_greedy_is_named_also_where_core_builds_on_it() -> None:
    class NoGreedy(Plain):
        @hookimpl
        def greedy_impl(self, tokens: Any) -> Any:
            return None

    for name in ("greedy", "complete", "choose", "next_tokens"):
        with pytest.raises(CapabilityError, match="greedy_impl"):
            CALLS[name](Model(NoGreedy()))


class Tagging:
    def __init__(self, tag: str, log: list[str]) -> None:
        self.tag, self.log = tag, log

    @hookimpl(wrapper=True)
    def greedy_impl(self, tokens: Any) -> Any:
        self.log.append(f"{self.tag} in")
        row = yield
        self.log.append(f"{self.tag} out")
        return row


def test_wrappers_are_called_outermost_first() -> None:
    log: list[str] = []
    backend = Plain(lambda tokens: log.append("engine") or uniform(256))  # type: ignore[func-returns-value]
    Model(backend, wrappers=[Tagging("outer", log), Tagging("inner", log)]).greedy("x")
    assert log == ["outer in", "inner in", "engine", "inner out", "outer out"]


def test_a_lookup_inside_the_wrappers_can_answer_for_the_engine() -> None:
    class Cache:
        @hookimpl(tryfirst=True)
        def greedy_impl(self, tokens: Any) -> Any:
            return uniform(256)

    backend, log = Plain(), []  # type: ignore[var-annotated]
    Model(backend, wrappers=[Cache(), Tagging("watch", log)]).choose("x", ["ab", "cd"])
    assert backend.calls == []
    assert log


@pytest.mark.parametrize("name", ["greedy", "complete", "choose", "next_tokens"])
def test_a_bad_row_is_a_numerics_error_and_the_next_call_works(name: str) -> None:
    bad = [np.full(256, np.nan, dtype=np.float32)]
    model = Model(Plain(lambda tokens: bad.pop() if bad else uniform(256)))
    with pytest.raises(NumericsError, match="NaN"):
        CALLS[name](model)
    CALLS[name](model)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (np.full(256, 0.5, dtype=np.float32), NumericsError),
        (np.full(256, np.inf, dtype=np.float32), NumericsError),
        (np.zeros((1, 256), dtype=np.float32), ContractError),
        (np.zeros(255, dtype=np.float32), ContractError),
        ([0.0] * 256, ContractError),
    ],
    ids=["above 0", "inf", "shape", "short", "list"],
)
def test_a_row_that_breaks_the_contract_is_named(row: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="greedy_impl"):
        Model(Plain(lambda tokens: row)).greedy("x")


def test_completions_with_log_probabilities_above_zero_are_refused() -> None:
    class Positive(OnlyCompletes):
        @hookimpl
        def complete(self, request: CompletionRequest) -> Completion:
            return Completion(text="a", tokens=(97,), logprobs=(0.7,), finish_reason="length")

    with pytest.raises(NumericsError, match="complete"):
        Model(Positive()).complete("x")


class Overlap(Plain):
    """Notices whether two calls are inside at once; `lock` is the engine's."""

    def __init__(self, engine: dict[str, Any], concurrency: int) -> None:
        super().__init__()
        self.engine, self.lock, self.concurrency = engine, engine["lock"], concurrency

    @hookimpl
    def describe(self) -> BackendInfo:
        return replace(super().describe(), max_concurrency=self.concurrency)

    @hookimpl
    def greedy_impl(self, tokens: Any) -> Any:
        self.engine["inside"] += 1
        self.engine["most"] = max(self.engine["most"], self.engine["inside"])
        time.sleep(0.005)
        self.engine["inside"] -= 1
        return uniform(256)


@pytest.mark.parametrize(("concurrency", "overlaps"), [(1, False), (4, True)])
def test_an_engine_of_concurrency_1_serves_one_call_at_a_time_over_all_its_models(
    concurrency: int, overlaps: bool
) -> None:
    engine = {"inside": 0, "most": 0, "lock": threading.RLock()}
    models = [Model(Overlap(engine, concurrency)) for _ in range(2)]

    def work(model: Model) -> None:
        for _ in range(4):
            model.greedy("x")

    threads = [threading.Thread(target=work, args=(model,)) for model in models * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (engine["most"] > 1) is overlaps


def test_a_hook_that_no_specification_knows_is_refused_with_the_nearest() -> None:
    class Misspelt(Plain):
        @hookimpl
        def gready_impl(self, tokens: Any) -> Any:
            return uniform(256)

    with pytest.raises(PluginBrokenError, match="gready_impl") as caught:
        Model(Misspelt())
    assert 'did you mean "greedy_impl"' in caught.value.hint


def test_a_hook_with_a_parameter_that_its_specification_lacks_is_refused() -> None:
    class Extra(Plain):
        @hookimpl
        def greedy_impl(self, tokens: Any, temperature: float) -> Any:  # type: ignore[override]
            return uniform(256)

    with pytest.raises(PluginBrokenError, match="temperature"):
        Model(Extra())


@pytest.mark.parametrize("token", [-1, 258 + 1, 10**9])
def test_detokenize_refuses_ids_outside_the_vocabulary(token: int) -> None:
    with pytest.raises(InputError, match="outside"):
        random_model().detokenize([token])


def test_bytes_that_are_no_utf8_are_shown_as_replacements() -> None:
    model = random_model()
    assert model.detokenize([0xC3]) == "\ufffd"
    assert model.detokenize_bytes([0xC3]) == b"\xc3"


def test_closing_waits_for_the_call_that_the_engine_serves() -> None:
    inside, go_on, order = threading.Event(), threading.Event(), []

    class Slow(Plain):
        @hookimpl
        def close(self) -> None:
            order.append("closed")

    def answer(tokens: Any) -> Any:
        inside.set()
        go_on.wait(5)
        order.append("answered")
        return uniform(256)

    model = Model(Slow(answer))
    calling = threading.Thread(target=model.greedy, args=("x",))
    calling.start()
    assert inside.wait(5)
    closing = threading.Thread(target=model.close)
    closing.start()
    time.sleep(0.02)
    go_on.set()
    calling.join()
    closing.join()
    assert order == ["answered", "closed"]
