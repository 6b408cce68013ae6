"""Models on one engine take turns: no two calls are inside it at once."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from autocog_core import BackendInfo, ChoiceLM, Model, load
from autocog_core.hooks.engine_lock import engine_lock_of
from tests.support.small_backends import Plain, forget, install, uniform


class Watched:
    """An engine that notes how many calls are inside at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0

    def row(self) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.002)
        self.inside -= 1
        return uniform(256)


class EnginePlain(Plain):
    """A backend without a base class, over an engine."""

    def __init__(self, engine: Watched) -> None:
        super().__init__(lambda tokens: engine.row())
        self.engine = engine


class EngineBytes(ChoiceLM):
    """A backend with a base class, over an engine that it keeps privately."""

    def __init__(self, *, engine: Watched, **options: Any) -> None:
        super().__init__(**options)
        self._engine = engine

    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        return [list(text.encode()) for text in texts]

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        return bytes(tokens)

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return self._engine.row()

    def describe_impl(self) -> BackendInfo:
        return BackendInfo(name="bytes", vocabulary_size=256)


class OwnLock(EngineBytes):
    """Has a lock that it shares with backends of other engines, on purpose."""

    shared: ClassVar[Any] = threading.RLock()

    def __init__(self, *, engine: Watched, **options: Any) -> None:
        super().__init__(engine=engine, **options)
        self.lock = OwnLock.shared


class Undescribed(EnginePlain):
    """Core learns the size of the vocabulary from a row."""

    def describe(self) -> Any:
        return None


def run_together(*calls: Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def work(call: Callable[[], object]) -> None:
        try:
            for _ in range(3):
                call()
        except BaseException as error:  # noqa: BLE001 - the main thread looks at it
            errors.append(error)

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize("backend", [EnginePlain, EngineBytes, OwnLock, Undescribed])
def test_models_of_one_engine_object_take_turns(backend: Callable[..., Any]) -> None:
    engine = Watched()
    models = [Model(backend(engine=engine)) for _ in range(4)]
    run_together(*(lambda model=model: model.choose("x", ["a", "b"]) for model in models))  # type: ignore[misc]
    assert engine.most == 1


class Slots:
    """An object that allows no weak references."""

    __slots__ = ("name",)


class SlotsPlain(Plain):
    """A backend whose attribute `engine` is a handle, or anything else."""

    def __init__(self, watched: Watched, engine: object) -> None:
        super().__init__(lambda tokens: watched.row())
        self.engine = engine


@pytest.mark.parametrize("make", [Slots, lambda: {"handle": 1}, lambda: (object(), 1), list])
def test_models_of_one_engine_without_weak_references_take_turns(
    make: Callable[[], object],
) -> None:
    watched, engine = Watched(), make()
    models = [Model(SlotsPlain(watched, engine)) for _ in range(3)]
    run_together(*(lambda model=model: model.greedy("x") for model in models))  # type: ignore[misc]
    assert watched.most == 1


def test_the_lock_of_an_engine_without_weak_references_lives_as_long_as_its_models() -> None:
    engine = Slots()
    first = Model(SlotsPlain(Watched(), engine))
    gc.collect()
    lock = engine_lock_of(SlotsPlain(Watched(), engine))
    # A later engine may get the id of one that is gone.
    assert lock.kept is engine
    kept = weakref.ref(lock.lock)
    del lock
    gc.collect()
    assert kept() is not None
    del first
    gc.collect()
    assert kept() is None


class KeepsOnlyTheLock(SlotsPlain):
    """A backend that takes the lock once, and not what belongs to it."""

    def __init__(self, watched: Watched, engine: object) -> None:
        super().__init__(watched, engine)
        self.lock = engine_lock_of(self).lock


@pytest.mark.parametrize("make", [Slots, lambda: {"handle": 1}])
def test_a_lock_without_its_description_is_still_the_one_of_its_engine(
    make: Callable[[], object],
) -> None:
    watched, engine = Watched(), make()
    backends = []
    for _ in range(3):
        backends.append(KeepsOnlyTheLock(watched, engine))
        gc.collect()
    assert len({id(backend.lock) for backend in backends}) == 1
    models = [Model(backend) for backend in backends]
    run_together(*(lambda model=model: model.greedy("x") for model in models))  # type: ignore[misc]
    assert watched.most == 1


@pytest.mark.parametrize("engine", ["cuda", 7, b"x", 1.5, True])
def test_a_number_or_text_is_no_engine(engine: object) -> None:
    one, other = SlotsPlain(Watched(), engine), SlotsPlain(Watched(), engine)
    assert engine_lock_of(one) is not engine_lock_of(other)
    assert engine_lock_of(one) is engine_lock_of(one)


def test_two_models_over_one_backend_take_turns() -> None:
    engine = Watched()
    backend = Plain(lambda tokens: engine.row())
    models = [Model(backend), Model(backend)]
    run_together(*(lambda model=model: model.greedy("x") for model in models))  # type: ignore[misc]
    assert engine.most == 1


def test_models_of_two_engines_do_not_wait_for_each_other() -> None:
    meeting = threading.Barrier(2)

    class Meeting(Watched):
        def row(self) -> Any:
            meeting.wait(10)
            return uniform(256)

    models = [Model(EngineBytes(engine=Meeting())) for _ in range(2)]
    run_together(*(lambda model=model: model.greedy("x") for model in models))  # type: ignore[misc]


def test_a_lock_shared_by_several_engines_holds_for_all_of_them() -> None:
    watched = Watched()
    models = [Model(OwnLock(engine=engine)) for engine in (Watched(), Watched())]
    for model in models:
        model.backend._engine.row = watched.row  # type: ignore[attr-defined]
    run_together(*(lambda model=model: model.greedy("x") for model in models))  # type: ignore[misc]
    assert watched.most == 1


SHARED = """
import threading, time
import numpy as np
from autocog_core import BackendInfo, BackendOptions, ChoiceLM
class Engine:
    inside = most = 0
class Bytes(ChoiceLM):
    def __init__(self, *, state, **options):
        super().__init__(**options)
        self.state = state
        OWN_LOCK
    @classmethod
    def create(cls, **options):
        return {"state": {"engine": Engine()}}
    def tokenize_impl(self, texts, at_start, parse_special):
        return [list(text.encode()) for text in texts]
    def detokenize_impl(self, tokens):
        return bytes(tokens)
    def greedy_impl(self, tokens):
        engine = self.state["engine"]
        engine.inside += 1
        engine.most = max(engine.most, engine.inside)
        time.sleep(0.002)
        engine.inside -= 1
        return np.full(256, -np.log(256), dtype=np.float32)
    def describe_impl(self):
        return BackendInfo(name="bytes", vocabulary_size=256)
"""


@pytest.mark.parametrize("own_lock", ["pass", "self.lock = threading.RLock()"])
def test_models_of_one_engine_in_the_config_take_turns(
    own_lock: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    point = {"autocog": {"shared": "shared_plugin:Bytes"}}
    install(site, "autocog-shared", point, {"shared_plugin": SHARED.replace("OWN_LOCK", own_lock)})
    monkeypatch.syspath_prepend(str(site))
    forget("shared_plugin")
    text = "".join(f'[models.m{i}]\nbackend = "shared"\nengine = "one"\n' for i in range(3))
    (tmp_path / "autocog.toml").write_text(text, encoding="utf-8")
    models = [load(f"m{index}", config=tmp_path / "autocog.toml") for index in range(3)]
    states = [model.backend.state for model in models]  # type: ignore[attr-defined]
    assert states[0] is states[1]
    # The backends themselves may take the lock in `run_automata`: it is the same one.
    assert len({id(model.backend.lock) for model in models}) == 1  # type: ignore[attr-defined]
    run_together(*(lambda model=model: model.greedy("x") for model in models))  # type: ignore[misc]
    assert states[0]["engine"].most == 1
    for model in models:
        model.close()
