"""`trace`: all calls with their parents and errors, and no secrets."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import (
    ConfigError,
    ContextOverflowError,
    ContractError,
    EngineError,
    HookError,
    Model,
    hookimpl,
    load,
)
from autocog_core.backends.random import RandomLM
from autocog_core.redaction import register_secret
from autocog_core.wrappers.cache import Cache
from autocog_core.wrappers.trace import Trace
from tests.support.small_backends import Plain
from tests.wrappers.counting import CountingLM

CHOICES = ["yes", "no", "yes, of course"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def traced(path: Path, backend: object, *inside: object) -> Model:
    return Model(backend, wrappers=[Trace(path=path), *inside])


def test_each_call_has_its_parent(path: Path) -> None:
    with traced(path, RandomLM()) as model:
        model.choose("Sure?", CHOICES)
        # Each line is written when its call ends.
        events = lines(path)
    by_call = {line["call"]: line for line in events}
    assert events[-1]["hook"] == "choose"
    assert events[-1]["parent"] is None
    parents = {(line["hook"], by_call[line["parent"]]["hook"]) for line in events if line["parent"]}
    assert {
        ("tokenize", "choose"),
        ("greedy_tree_impl", "choose"),
        ("greedy_impl", "greedy_tree_impl"),
    } <= parents
    for line in events:
        if line["parent"] is not None:
            outer = by_call[line["parent"]]
            assert outer["time"] <= line["time"]
            assert line["seconds"] <= outer["seconds"]
    assert lines(path)[-1]["hook"] == "close"


def test_lines_have_tokens_arguments_and_answers(path: Path) -> None:
    with traced(path, CountingLM()) as model:
        model.greedy("x" * 50)
        model.complete("Once", max_tokens=4)
        model.complete([1, 2, 3], max_tokens=4, n=2, temperature=1.0, seed=1)
        model.choose("Sure?", CHOICES)
        model.tokenize("Hello")
        vocabulary_size = model.info.vocabulary_size
    by_hook: dict[str, list[dict[str, Any]]] = {}
    for line in lines(path):
        assert set(line) >= {"time", "seconds", "model", "hook", "arguments", "answer", "tokens"}
        assert line["model"] == "CountingLM"
        by_hook.setdefault(line["hook"], []).append(line)
    greedy = by_hook["greedy_impl"][0]
    assert greedy["tokens"] == {"input": 51}
    assert greedy["arguments"]["tokens"][-1] == "... 51 in all"
    assert greedy["answer"] == f"float32 ({vocabulary_size},)"
    first, second = by_hook["complete"]
    assert first["tokens"]["output"] <= 4
    assert "input" not in first["tokens"]
    assert second["tokens"]["input"] == 3
    assert second["arguments"]["request"]["seed"] == 1
    tree = by_hook["greedy_tree_impl"][0]
    assert tree["tokens"]["evaluated"] > tree["tokens"]["input"] - 20
    assert by_hook["tokenize"][-1]["tokens"] == {"output": 5}
    assert max(map(len, path.read_text().splitlines())) < 3000


def test_errors_are_traced_and_raised(path: Path) -> None:
    def fail(tokens: Sequence[int]) -> Any:
        raise EngineError("out of order") if tokens[-1] == 1 else ZeroDivisionError("by zero")

    with traced(path, Plain(fail)) as model:
        with pytest.raises(EngineError):
            model.greedy([1])
        with pytest.raises(HookError, match="ZeroDivisionError"):
            model.greedy([2])
        with pytest.raises(ContextOverflowError):
            traced(path, RandomLM(context_length=3)).complete("too long")
    failed = [line for line in lines(path) if "error" in line]
    assert [line["error"].partition(":")[0] for line in failed] == [
        "EngineError",
        "ZeroDivisionError",
        "ContextOverflowError",
    ]
    assert all("answer" not in line for line in failed)


def test_an_answer_of_a_wrong_type_is_traced_and_raises_in_the_caller(path: Path) -> None:
    class Odd(CountingLM):
        def greedy_tree_impl(self, queries: Any) -> Any:
            return [object()]

    with traced(path, Odd()) as model, pytest.raises(ContractError, match="object"):
        model.next_tokens("x")
    assert any(line["answer"] == ["object"] for line in lines(path) if "answer" in line)


def test_each_thread_has_separate_parents(path: Path) -> None:
    with traced(path, RandomLM()) as model:
        threads = [
            threading.Thread(target=model.choose, args=(f"{number}", CHOICES), name=f"T{number}")
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = [line for line in lines(path) if line["thread"].startswith("T")]
    thread_of = {line["call"]: line["thread"] for line in events}
    assert len(thread_of) == len(events)
    assert all(thread_of[line["parent"]] == line["thread"] for line in events if line["parent"])
    outermost = Counter(line["thread"] for line in events if line["hook"] == "choose")
    assert outermost == {f"T{number}": 1 for number in range(4)}


@pytest.mark.parametrize("trace_first", [True, False])
def test_a_trace_sees_what_a_cache_answers(path: Path, tmp_path: Path, trace_first: bool) -> None:
    seen = []
    for _ in range(2):
        path.unlink(missing_ok=True)
        backend = CountingLM()
        wrappers = [Trace(path=path), Cache(path=tmp_path / "kept.sqlite")]
        with Model(backend, wrappers=wrappers[:: 1 if trace_first else -1]) as model:
            model.choose_many(["One", "Two"], CHOICES)
            model.greedy("x")
            model.complete("x", max_tokens=3)
        seen.append([(line["hook"], line["answer"], line["parent"]) for line in lines(path)])
    assert backend.calls == []
    assert seen[0] == seen[1]


class Reversed:
    """A wrapper whose change shows whether the trace is inside or outside of it."""

    @hookimpl(wrapper=True)
    def detokenize(self, tokens: Sequence[int]) -> Generator[None, Any, Any]:
        answer: bytes = yield
        return answer[::-1]


@pytest.mark.parametrize("trace_first", [True, False])
def test_wrappers_are_outermost_first(path: Path, trace_first: bool) -> None:
    wrappers = [Trace(path=path), Reversed()][:: 1 if trace_first else -1]
    with Model(RandomLM(), wrappers=wrappers) as model:
        assert model.detokenize(list(b"abc")) == "cba"
    (line,) = (line for line in lines(path) if line["hook"] == "detokenize")
    assert line["answer"] == ("cba" if trace_first else "abc")


def test_choose_many_stays_batched(path: Path) -> None:
    backend = CountingLM()
    with traced(path, backend) as model:
        model.choose_many(["One", "Two", "Three"], CHOICES)
    assert backend.queries == [3]


def test_secrets_are_removed(path: Path) -> None:
    secret = "sk-very-secret-0123456789"
    register_secret(secret)

    class Telling(RandomLM):
        def greedy_impl(self, tokens: Sequence[int]) -> Any:
            raise RuntimeError(f"denied to {secret}")

    with traced(path, Telling()) as model:
        model.tokenize("x" * 30 + secret + "y" * 200)
        model.tokenize(f'"{secret}"')
        with pytest.raises(HookError, match="RuntimeError"):
            model.greedy("x")
    text = path.read_text()
    assert secret not in text
    assert secret[:8] not in text
    assert text.count("***") >= 3


def test_infinities_are_written_as_text(path: Path) -> None:
    def make_row(tokens: Sequence[int]) -> Any:
        row = np.full(256, -np.inf, dtype=np.float32)
        row[7] = 0.0
        return row

    with traced(path, Plain(make_row)) as model:
        model.choose([1], ["\x07", "\x08"])
    assert "-inf" in path.read_text()
    assert lines(path)


def test_the_config_names_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "there" / "autocog.toml"
    config.parent.mkdir()
    config.write_text(
        """
        [models.plain]
        backend = "random"
        wrappers = ["trace"]
        [models.named]
        backend = "random"
        wrappers = [{ name = "trace", options = { path = "named.jsonl" } }]
        [models.wrong]
        backend = "random"
        wrappers = [{ name = "trace", options = { file = "x" } }]
        [models.nowhere]
        backend = "random"
        wrappers = [{ name = "trace", options = { path = "no/folder" } }]
        """
    )
    monkeypatch.chdir(tmp_path)
    for name in ("plain", "named"):
        with load(name, config=config) as model:
            model.greedy("x")
    # The default is in the current folder; a path is relative to the config file.
    assert {line["model"] for line in lines(tmp_path / "trace.jsonl")} == {"plain"}
    assert {line["model"] for line in lines(config.parent / "named.jsonl")} == {"named"}
    with pytest.raises(ConfigError, match=r"wrappers\.trace\.file: unknown key"):
        load("wrong", config=config)
    with pytest.raises(ConfigError, match=r"no/folder: cannot be written"):
        load("nowhere", config=config)


def test_spans_need_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match="not installed") as caught:
        Trace(spans=True)
    assert caught.value.hint == "pip install opentelemetry-api"


def test_spans_nest_as_calls_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="needs opentelemetry-sdk")
    from opentelemetry import trace
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    monkeypatch.chdir(tmp_path)
    with Model(RandomLM(context_length=9), wrappers=[Trace(spans=True)]) as model:
        model.choose("x", ["a", "b"])
        with pytest.raises(ContextOverflowError):
            model.complete("much too long")
    spans: dict[str, Any] = {span.name: span for span in exporter.get_finished_spans()}
    tree, choose = spans["autocog.greedy_tree_impl"], spans["autocog.choose"]
    assert tree.parent.span_id == choose.context.span_id
    assert choose.parent is None
    assert choose.attributes["autocog.model"] == "RandomLM"
    assert tree.attributes["autocog.tokens.evaluated"] == 2
    failed = spans["autocog.complete"]
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert failed.attributes["autocog.error"].startswith("ContextOverflowError")
    # Spans alone write no file.
    assert list(tmp_path.iterdir()) == []
