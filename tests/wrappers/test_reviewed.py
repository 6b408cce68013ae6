"""What wrappers must not do: keep another's answers, lose files, show secrets, fail what works."""

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
    """Its fingerprint tells of the weights alone."""

    def describe_impl(self) -> BackendInfo:
        return dataclasses.replace(super().describe_impl(), compute_fingerprint=lambda: "weights")


class Steer(Wrapper):
    """Answers in context of the backend."""

    @hookimpl(tryfirst=True)
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = np.full(self.context().info.vocabulary_size, -np.inf, dtype=np.float32)
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


class Curious(Wrapper):
    """Asks the model for its description, or for what needs it, to describe it."""

    def __init__(self, asked: str) -> None:
        super().__init__()
        self.asked = asked

    @hookimpl(wrapper=True)
    def describe(self) -> Generator[None, Any, Any]:
        found = yield
        context = self.context()
        if self.asked == "info":
            return dataclasses.replace(found, name=context.info.name)
        if self.asked == "model":
            return dataclasses.replace(
                found, bos_id=len(context.client.tokenize(["x"], at_start=True)[0])
            )
        (tokens,) = context.client.hooks.tokenize(texts=["x"], at_start=True, parse_special=0)
        return dataclasses.replace(found, name=f"of {len(tokens)}")


@pytest.mark.parametrize("asked", ["info", "model"])
def test_a_description_that_asks_for_itself_is_a_clear_error(asked: str) -> None:
    with Model(RandomLM(), wrappers=[Curious(asked)], name="mine") as model:
        for _ in range(2):
            with pytest.raises(ContractError, match="describe: it asks the model") as caught:
                model.greedy("x")
            assert caught.value.where == "mine"


def test_a_description_may_ask_the_bare_hooks() -> None:
    with Model(RandomLM(), wrappers=[Curious("hooks")]) as model:
        assert model.info.name == "of 1"


class Nameless(RandomLM):
    def describe_impl(self) -> BackendInfo:
        return dataclasses.replace(super().describe_impl(), compute_fingerprint=None)


class Unreadable(RandomLM):
    def describe_impl(self) -> BackendInfo:
        def fails() -> str:
            raise PermissionError("no")

        return dataclasses.replace(super().describe_impl(), compute_fingerprint=fails)


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
            return [RandomLM().as_model().client.greedy_tree([query])[0] for query in queries]

    query = TreeQuery([97], np.array([98], dtype=np.int32), np.array([-1], dtype=np.int32))
    with Model(Trees(), wrappers=[Cache(path=tmp_path / "cache.sqlite")]) as model:
        one, other = model.client.greedy_tree([query, query])
        before = other.values.copy()
        one.values[:] = 0
        np.testing.assert_array_equal(other.values, before)


class Writes(RandomLM):
    """Takes any option, and counts with numpy."""

    def complete_impl(self, request: CompletionRequest) -> Completion:
        return Completion("a", (97,), (-1.0,), "length", tokens_evaluated=np.int64(3))  # type: ignore[arg-type]


def test_secrets_by_their_names_are_in_no_trace_and_no_recording(tmp_path: Path) -> None:
    paths = [tmp_path / "trace.jsonl", tmp_path / "recording.jsonl"]
    with Model(Writes(), wrappers=[Trace(path=paths[0]), Record(path=paths[1])]) as model:
        found = model.complete("x", extra_headers={"Authorization": "Bearer sk-openly-given"})
    assert found.text == "a"
    for path in paths:
        assert "sk-openly" not in path.read_text()
        assert "***" in path.read_text()


def test_a_hit_is_read_while_another_process_writes(tmp_path: Path) -> None:
    store = ByteStore(tmp_path / "store.sqlite", 10**6)
    store.put(b"key", b"value")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("UPDATE kept SET used = used - ?", (2 * ACCESS_NOTE_INTERVAL_SECONDS,))
    other.execute("BEGIN IMMEDIATE")
    assert store.get(b"key") == b"value"
    other.execute("ROLLBACK")
    other.close()
    store.close()


class AsksItself(Wrapper):
    """Asks the model, of which it tells, inside of its own `describe`."""

    @hookimpl(wrapper=True)
    def describe(self) -> Generator[None, BackendInfo, BackendInfo]:
        hooks = self.context().client.hooks
        (before,) = hooks.tokenize(texts=["before"], at_start=True, parse_special=False)
        info = yield
        after = hooks.greedy_impl(tokens=before)
        return dataclasses.replace(info, details={"asked": float(after[0])})


@pytest.mark.parametrize("first", ["info", "greedy"])
def test_a_wrapper_may_ask_inside_of_describe(tmp_path: Path, first: str) -> None:
    def told(model: Model) -> Any:
        if first == "greedy":
            model.greedy("x")
        return model.info.details["asked"]

    expected = told(Model(RandomLM(), wrappers=[AsksItself()]))
    path = tmp_path / "recording.jsonl"
    wrappers = [Cache(path=tmp_path / "cache.sqlite"), Record(path=path)]
    with Model(RandomLM(), wrappers=[AsksItself(), *wrappers]) as model:
        assert told(model) == expected
        row = model.greedy("x")
    # What it asked is in the recording, or it could not ask it of the replay.
    replay = Replay(**Replay.create(path))
    with Model(replay, wrappers=[AsksItself()]) as model:
        assert model.info.details["asked"] == expected
        np.testing.assert_array_equal(model.greedy("x"), row)


@pytest.mark.parametrize(
    ("one", "other"),
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
def test_what_differs_has_keys_that_differ(one: Any, other: Any) -> None:
    keys = [make_key("complete", each) for each in (one, other, one)]
    assert None not in keys
    assert keys[0] == keys[2] != keys[1]


def test_keys_of_ordinary_requests_are_those_of_recordings_made_before() -> None:
    """Literally: recordings are kept for long, and answer only to the same keys."""
    request = CompletionRequest(
        Prompt((TextPiece("Hi"),)), max_tokens=5, stop=("\n",), extra={"logit_bias": {"5": -1.5}}
    )
    key = make_key("complete", request)
    assert key is not None
    assert key.hex() == "a193923f39c1a94341a1adc8e6621e91"


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_recording_goes_where_a_link_leads(tmp_path: Path, suffix: str, exists: bool) -> None:
    (tmp_path / "store").mkdir()
    # What stores files by their content gives them names without suffixes.
    target = tmp_path / "store" / "content"
    link = tmp_path / f"link.jsonl{suffix}"
    link.symlink_to(target)
    for prompt in ("One", "Two") if exists else ("One",):
        with Model(RandomLM(), wrappers=[Record(path=link)]) as model:
            row = model.greedy(prompt)
    assert link.is_symlink()
    with Model(Replay(**Replay.create(link))) as model:
        np.testing.assert_array_equal(model.greedy(prompt), row)
    assert sorted(each.name for each in tmp_path.rglob("*")) == [
        "content",
        f"link.jsonl{suffix}",
        "store",
    ]


def test_no_lock_is_left_and_each_way_to_a_file_is_locked(tmp_path: Path) -> None:
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_forked_process_lets_go_of_nothing_that_is_its_parents(tmp_path: Path) -> None:
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
