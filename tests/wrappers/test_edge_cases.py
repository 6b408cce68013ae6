"""Edge cases of wrappers: lookups, wrong files, secrets, `describe`, keys, links and forks."""

from __future__ import annotations

import dataclasses
import math
import os
import sqlite3
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import BackendInfo, Completion, CompletionRequest, Model, hookimpl
from autocog_core.backends.random import RandomLM
from autocog_core.errors import ContextOverflowError, ContractError, InputError
from autocog_core.types.prompt import Prompt, TextPiece
from autocog_core.types.token_tree import TreeQuery
from autocog_core.wrappers.cache import Cache
from autocog_core.wrappers.call_key import make_key
from autocog_core.wrappers.record import Record
from autocog_core.wrappers.replay import Replay
from autocog_core.wrappers.store import ACCESS_NOTE_INTERVAL_SECONDS, ByteStore, _inherited
from autocog_core.wrappers.trace import Trace
from autocog_core.wrappers.wrapper import Wrapper


class SameName(RandomLM):
    """A model whose fingerprint covers only the weights."""

    def describe_impl(self) -> BackendInfo:
        return dataclasses.replace(super().describe_impl(), compute_fingerprint=lambda: "weights")


class Steer(Wrapper):
    """Answers in context of the backend."""

    @hookimpl(tryfirst=True)
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = np.full(self.context().info.vocabulary_size, -np.inf, dtype=np.float32)
        row[65] = 0
        return row


def test_answers_of_another_lookup_are_not_cached(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    expected = RandomLM(seed=1).greedy("x")
    with Model(RandomLM(seed=1), wrappers=[Cache(path=path), Steer()]) as steered:
        assert steered.greedy("x")[65] == 0
    with Model(RandomLM(seed=1), wrappers=[Cache(path=path)]) as model:
        np.testing.assert_array_equal(model.greedy("x"), expected)


def test_a_file_that_is_not_a_cache_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "precious.jsonl"
    path.write_text('{"precious": 1}\n' * 100)
    with Model(RandomLM(), wrappers=[Cache(path=path)]) as model:
        model.greedy("x")
        model.greedy("x")
    assert '"precious"' in Path(f"{path}.damaged").read_text()


def test_models_with_different_context_lengths_share_no_entries(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with Model(SameName(context_length=50), wrappers=[Cache(path=path)]) as longer:
        longer.complete("abc", max_tokens=20)
    shorter = Model(SameName(context_length=5), wrappers=[Cache(path=path)])
    with pytest.raises(ContextOverflowError):
        shorter.complete("abc", max_tokens=20)
    shorter.close()


class NeedsDescription(Wrapper):
    """A wrapper whose `describe` needs the description itself."""

    def __init__(self, asked: str) -> None:
        super().__init__()
        self.asked = asked

    @hookimpl(wrapper=True)
    def describe(self) -> Generator[None, Any, Any]:
        info = yield
        context = self.context()
        if self.asked == "info":
            return dataclasses.replace(info, name=context.info.name)
        if self.asked == "model":
            return dataclasses.replace(
                info, bos_id=len(context.client.tokenize(["x"], at_start=True)[0])
            )
        (tokens,) = context.client.hooks.tokenize(texts=["x"], at_start=True, parse_special=0)
        return dataclasses.replace(info, name=f"of {len(tokens)}")


@pytest.mark.parametrize("asked", ["info", "model"])
def test_a_describe_that_needs_the_description_is_a_clear_error(asked: str) -> None:
    with Model(RandomLM(), wrappers=[NeedsDescription(asked)], name="mine") as model:
        for _ in range(2):
            with pytest.raises(ContractError, match="describe: it needs its own result") as caught:
                model.greedy("x")
            assert caught.value.where == "mine"


def test_a_describe_may_call_the_hooks_without_checks() -> None:
    with Model(RandomLM(), wrappers=[NeedsDescription("hooks")]) as model:
        assert model.info.name == "of 1"


class Nameless(RandomLM):
    def describe_impl(self) -> BackendInfo:
        return dataclasses.replace(super().describe_impl(), compute_fingerprint=None)


class Unreadable(RandomLM):
    def describe_impl(self) -> BackendInfo:
        def fails() -> str:
            raise PermissionError("no")

        return dataclasses.replace(super().describe_impl(), compute_fingerprint=fails)


def test_a_recording_has_one_model(tmp_path: Path) -> None:
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


def test_a_repeated_tree_has_two_independent_answers(tmp_path: Path) -> None:
    class Trees(RandomLM):
        def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> Any:
            return [RandomLM().as_model().client.greedy_tree([query])[0] for query in queries]

    query = TreeQuery(
        prefix=[97], tokens=np.array([98], dtype=np.int32), parents=np.array([-1], dtype=np.int32)
    )
    with Model(Trees(), wrappers=[Cache(path=tmp_path / "cache.sqlite")]) as model:
        first, second = model.client.greedy_tree([query, query])
        before = second.values.copy()
        first.values[:] = 0
        np.testing.assert_array_equal(second.values, before)


class Writes(RandomLM):
    """A backend that accepts any option, and returns a numpy integer."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        return Completion(
            text="a",
            tokens=(97,),
            logprobs=(-1.0,),
            finish_reason="length",
            tokens_evaluated=np.int64(3),
        )  # type: ignore[arg-type]


def test_values_with_secret_names_are_in_no_trace_and_no_recording(tmp_path: Path) -> None:
    paths = [tmp_path / "trace.jsonl", tmp_path / "recording.jsonl"]
    with Model(Writes(), wrappers=[Trace(path=paths[0]), Record(path=paths[1])]) as model:
        completion = model.complete("x", extra_headers={"Authorization": "Bearer sk-openly-given"})
    assert completion.text == "a"
    for path in paths:
        assert "sk-openly" not in path.read_text()
        assert "***" in path.read_text()


def test_a_hit_does_not_wait_for_another_writer(tmp_path: Path) -> None:
    store = ByteStore(tmp_path / "store.sqlite", 10**6)
    store.put(b"key", b"value")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("UPDATE kept SET used = used - ?", (2 * ACCESS_NOTE_INTERVAL_SECONDS,))
    other.execute("BEGIN IMMEDIATE")
    assert store.get(b"key") == b"value"
    other.execute("ROLLBACK")
    other.close()
    store.close()


class CallsInDescribe(Wrapper):
    """A wrapper that calls the model's hooks in its own `describe`."""

    @hookimpl(wrapper=True)
    def describe(self) -> Generator[None, BackendInfo, BackendInfo]:
        hooks = self.context().client.hooks
        (before,) = hooks.tokenize(texts=["before"], at_start=True, parse_special=False)
        info = yield
        after = hooks.greedy_impl(tokens=before)
        return dataclasses.replace(info, details={"asked": float(after[0])})


@pytest.mark.parametrize("first", ["info", "greedy"])
def test_a_wrapper_may_call_hooks_in_describe(tmp_path: Path, first: str) -> None:
    def described(model: Model) -> Any:
        if first == "greedy":
            model.greedy("x")
        return model.info.details["asked"]

    expected = described(Model(RandomLM(), wrappers=[CallsInDescribe()]))
    path = tmp_path / "recording.jsonl"
    wrappers = [Cache(path=tmp_path / "cache.sqlite"), Record(path=path)]
    with Model(RandomLM(), wrappers=[CallsInDescribe(), *wrappers]) as model:
        assert described(model) == expected
        row = model.greedy("x")
    # The recording has the calls of `describe`; otherwise this would fail.
    replay = Replay(**Replay.create(path))
    with Model(replay, wrappers=[CallsInDescribe()]) as model:
        assert model.info.details["asked"] == expected
        np.testing.assert_array_equal(model.greedy("x"), row)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (math.nan, "nan"),
        (math.inf, "inf"),
        (math.inf, -math.inf),
        ({1: "a"}, {"1": "a"}),
        ({1: "a"}, {1.0: "a"}),
        ({None: "a"}, {"None": "a"}),
        ({True: "a"}, {"True": "a"}),
        ({1: "a"}, {"\0" + "1": "a"}),
        ({"\0" + "1": "a"}, {"\0" + '"\\u00001"': "a"}),
        ({math.nan: 1}, {"nan": 1}),
        ([{"deep": {2: math.nan}}], [{"deep": {2: "nan"}}]),
        ({1: 1, "1": 1}, {1: 1}),
    ],
)
def test_different_arguments_have_different_keys(first: Any, second: Any) -> None:
    keys = [make_key("complete", value) for value in (first, second, first)]
    assert None not in keys
    assert keys[0] == keys[2] != keys[1]


def test_keys_are_stable() -> None:
    """Recordings answer only calls with the same keys."""
    request = CompletionRequest(
        prompt=Prompt((TextPiece("Hi"),)),
        max_tokens=5,
        stop=("\n",),
        extra={"logit_bias": {"5": -1.5}},
    )
    key = make_key("complete", request)
    assert key is not None
    assert key.hex() == "a193923f39c1a94341a1adc8e6621e91"


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_recording_is_written_to_the_target_of_a_link(
    tmp_path: Path, suffix: str, exists: bool
) -> None:
    (tmp_path / "store").mkdir()
    # Content-addressed stores use names without suffixes.
    target = tmp_path / "store" / "content"
    link = tmp_path / f"link.jsonl{suffix}"
    link.symlink_to(target)
    for prompt in ("One", "Two") if exists else ("One",):
        with Model(RandomLM(), wrappers=[Record(path=link)]) as model:
            row = model.greedy(prompt)
    assert link.is_symlink()
    with Model(Replay(**Replay.create(link))) as model:
        np.testing.assert_array_equal(model.greedy(prompt), row)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "content",
        f"link.jsonl{suffix}",
        "store",
    ]


def test_no_lock_file_is_left_and_links_share_the_lock(tmp_path: Path) -> None:
    path, link = tmp_path / "recording.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(path)
    with Model(RandomLM(), wrappers=[Record(path=path)]) as model:
        model.greedy("x")
        with pytest.raises(InputError, match="another model is recorded to it"):
            Model(RandomLM(), wrappers=[Record(path=link)]).greedy("x")
    with (
        Model(RandomLM(seed=1), wrappers=[Record(path=path)]) as other,
        pytest.raises(InputError, match="another model"),
    ):
        other.greedy("x")
    assert sorted(tmp_path.iterdir()) == [link, path]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_process_keeps_the_parents_locks(tmp_path: Path) -> None:
    path, store = tmp_path / "recording.jsonl", ByteStore(tmp_path / "store.sqlite", 10**6)
    store.put(b"key", b"value")
    with Model(RandomLM(), wrappers=[Record(path=path)]) as model:
        model.greedy("x")
        child = os.fork()
        if child == 0:
            store.close()
            model.close()
            aside = [connection for connection in _inherited if connection is not None]
            os._exit(0 if len(aside) == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(InputError, match="another model is recorded to it"):
            Model(RandomLM(), wrappers=[Record(path=path)]).greedy("x")
    assert store.get(b"key") == b"value"
