"""What wrappers must not do: keep another's answers, lose files, show secrets, fail what works."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import BackendInfo, Completion, CompletionRequest, Model, hookimpl
from autocog_core.backends.random import RandomLM
from autocog_core.errors import ContextOverflowError, InputError
from autocog_core.types import TreeQuery
from autocog_core.wrappers.cache import Cache
from autocog_core.wrappers.record import Record
from autocog_core.wrappers.store import NOTED_EVERY, Store
from autocog_core.wrappers.trace import Trace
from autocog_core.wrappers.wrapper import Wrapper


class SameName(RandomLM):
    """Its fingerprint tells of the weights alone."""

    def describe_impl(self) -> BackendInfo:
        return dataclasses.replace(super().describe_impl(), identify=lambda: "weights")


class Steer(Wrapper):
    """Answers in place of the backend."""

    @hookimpl(tryfirst=True)
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = np.full(self.place().info.vocabulary_size, -np.inf, dtype=np.float32)
        row[65] = 0
        return row


def test_what_another_lookup_answers_is_not_kept_as_the_backends(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    own = RandomLM(seed=1).greedy("x")
    with Model(RandomLM(seed=1), wrappers=[Cache(path=path), Steer()]) as steered:
        assert steered.greedy("x")[65] == 0
    with Model(RandomLM(seed=1), wrappers=[Cache(path=path)]) as model:
        np.testing.assert_array_equal(model.greedy("x"), own)


def test_a_file_that_is_no_cache_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "precious.jsonl"
    path.write_text('{"precious": 1}\n' * 100)
    with Model(RandomLM(), wrappers=[Cache(path=path)]) as model:
        model.greedy("x")
        model.greedy("x")
    assert '"precious"' in Path(f"{path}.damaged").read_text()


def test_a_shorter_context_is_not_answered_from_a_longer_one(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with Model(SameName(context_length=50), wrappers=[Cache(path=path)]) as longer:
        longer.complete("abc", max_tokens=20)
    shorter = Model(SameName(context_length=5), wrappers=[Cache(path=path)])
    with pytest.raises(ContextOverflowError):
        shorter.complete("abc", max_tokens=20)
    shorter.close()


class Nameless(RandomLM):
    def describe_impl(self) -> BackendInfo:
        return dataclasses.replace(super().describe_impl(), identify=None)


class Unreadable(RandomLM):
    def describe_impl(self) -> BackendInfo:
        def fails() -> str:
            raise PermissionError("no")

        return dataclasses.replace(super().describe_impl(), identify=fails)


def test_recordings_are_of_one_model(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    with Model(SameName(context_length=5), wrappers=[Record(path=path)]) as model:
        model.greedy("x")
    with pytest.raises(InputError, match="another context_length: 5, now 50"):
        Model(SameName(context_length=50), wrappers=[Record(path=path)]).greedy("x")
    path.unlink()
    with Model(Nameless(seed=1), wrappers=[Record(path=path)]) as model:
        model.greedy("x")
    with pytest.raises(InputError, match="no fingerprint"):
        Model(Nameless(seed=2), wrappers=[Record(path=path)]).greedy("x")


def test_a_model_without_a_readable_fingerprint_works_uncached(tmp_path: Path) -> None:
    with Model(Unreadable(), wrappers=[Cache(path=tmp_path / "cache.sqlite")]) as model:
        np.testing.assert_array_equal(model.greedy("x"), RandomLM().greedy("x"))


def test_a_tree_asked_twice_gives_each_its_own_answer(tmp_path: Path) -> None:
    class Trees(RandomLM):
        def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> Any:
            return [RandomLM().as_model().caller.greedy_tree([query])[0] for query in queries]

    query = TreeQuery([97], np.array([98], dtype=np.int32), np.array([-1], dtype=np.int32))
    with Model(Trees(), wrappers=[Cache(path=tmp_path / "cache.sqlite")]) as model:
        one, other = model.caller.greedy_tree([query, query])
        before = other.values.copy()
        one.values[:] = 0
        np.testing.assert_array_equal(other.values, before)


class Writes(RandomLM):
    """Takes any option, and counts with numpy."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        return Completion("a", (97,), (-1.0,), "length", evaluated=np.int64(3))  # type: ignore[arg-type]


def test_secrets_by_their_names_are_in_no_trace_and_no_recording(tmp_path: Path) -> None:
    paths = [tmp_path / "trace.jsonl", tmp_path / "recording.jsonl"]
    with Model(Writes(), wrappers=[Trace(path=paths[0]), Record(path=paths[1])]) as model:
        found = model.complete("x", extra_headers={"Authorization": "Bearer sk-openly-given"})
    assert found.text == "a"
    for path in paths:
        assert "sk-openly" not in path.read_text()
        assert "***" in path.read_text()


def test_a_hit_is_read_while_another_process_writes(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite", 10**6)
    store.put(b"key", b"value")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("UPDATE kept SET used = used - ?", (2 * NOTED_EVERY,))
    other.execute("BEGIN IMMEDIATE")
    assert store.get(b"key") == b"value"
    other.execute("ROLLBACK")
    other.close()
    store.close()
