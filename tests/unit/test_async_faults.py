"""AsyncModel when things go wrong: an error is that of its call, and the next call is made."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from typing import Any

import pytest

from autocog_core import AsyncModel, ClosedError, InputError
from autocog_core.async_calls.call import Call, PlainCall, StoppedError, make_calls
from autocog_core.async_calls.waiting_calls import MANY_CALLS
from tests.support.small_backends import random_model

CHOICES = [" a", " bc", " bcd"]
SECONDS = 20
pytestmark = pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning")


class Panic(BaseException):
    """What extensions in Rust raise is no `Exception`."""


class Unwritable:
    """An argument without a text."""

    def __repr__(self) -> str:
        raise Panic


@pytest.mark.parametrize("error", [ValueError("v"), StopIteration(3), Panic("p"), GeneratorExit()])
def test_after_any_error_of_a_call_the_next_one_is_made(error: BaseException) -> None:
    def fail(piece: str) -> None:
        raise error

    async def check() -> None:
        async with asyncio.timeout(SECONDS), AsyncModel(random_model(seed=3)) as model:
            # Nothing can raise a StopIteration into a coroutine.
            kind = RuntimeError if isinstance(error, StopIteration) else type(error)
            with pytest.raises(kind):
                await model.complete("It is", max_tokens=5, on_text=fail)
            assert (await model.choose("It is", CHOICES)).choice in CHOICES

    asyncio.run(check())


def test_an_argument_without_a_text_is_no_matter_of_the_other_calls() -> None:
    async def check() -> None:
        async with asyncio.timeout(SECONDS), AsyncModel(random_model(seed=3)) as model:
            odd: Any = {"template_arguments": {"a": Unwritable()}}
            results = await asyncio.gather(
                model.choose("It is", CHOICES, **odd),
                model.choose("It is", CHOICES),
                return_exceptions=True,
            )
            assert getattr(results[1], "choice", None) in CHOICES

    asyncio.run(check())


def test_choices_of_a_generator_are_there_after_an_error_of_another_call() -> None:
    async def check() -> None:
        async with AsyncModel(random_model(seed=3)) as model:
            once: Any = [iter(CHOICES) for _ in range(2)]
            wrong: Any = 3
            *results, error = await asyncio.gather(
                *(model.choose("It is", choices) for choices in once),
                model.choose(wrong, CHOICES),
                return_exceptions=True,
            )
            assert [getattr(result, "choice", result) in CHOICES for result in results] == [
                True,
                True,
            ]
            assert isinstance(error, InputError)

    asyncio.run(check())


def test_calls_that_are_cancelled_while_the_engine_is_busy_are_not_kept() -> None:
    alive: weakref.WeakSet[Call] = weakref.WeakSet()
    begun, gate = threading.Event(), threading.Event()

    def wait(piece: str) -> None:
        begun.set()
        assert gate.wait(SECONDS)

    async def check() -> None:
        async with AsyncModel(random_model(seed=3)) as model:
            busy = asyncio.create_task(model.complete("It is", max_tokens=2, on_text=wait))
            await asyncio.to_thread(begun.wait, SECONDS)
            wanted = asyncio.create_task(model.choose("It was", CHOICES))
            for _ in range(30):
                tasks = [asyncio.create_task(model.choose("It is", CHOICES)) for _ in range(100)]
                # A turn of the loop for the tasks, and one in which the thread gets their calls.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                alive.update(model._threads._waiting.calls())
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            del task, tasks
            gc.collect()
            assert len(alive) <= MANY_CALLS
            gate.set()
            await busy
            assert (await wanted).choice in CHOICES

    asyncio.run(check())


def test_a_close_that_is_cancelled_closes() -> None:
    begun, gate = threading.Event(), threading.Event()

    def wait(piece: str) -> None:
        begun.set()
        assert gate.wait(SECONDS)

    async def check() -> None:
        model = AsyncModel(random_model(seed=3))
        call = asyncio.create_task(model.complete("It is", max_tokens=2, on_text=wait))
        await asyncio.to_thread(begun.wait, SECONDS)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await model.close()
        gate.set()
        assert (await call).text
        deadline = time.monotonic() + SECONDS
        while not repr(model.model).endswith(": closed>") and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        with pytest.raises(ClosedError):
            model.model.choose("It is", CHOICES)

    asyncio.run(check())


def test_a_model_that_nobody_closes_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    model = AsyncModel(random_model(seed=3))
    assert asyncio.run(model.choose("It is", CHOICES)).choice in CHOICES
    (thread,) = set(threading.enumerate()) - before
    del model
    gc.collect()
    thread.join(SECONDS)
    assert not thread.is_alive()


@pytest.mark.parametrize("error", [StopIteration(), Panic(), StoppedError()])
def test_any_error_is_the_result_of_its_call(error: BaseException) -> None:
    def fail(check: object) -> None:
        raise error

    (result,) = make_calls([PlainCall(fail)])
    if isinstance(error, StopIteration):
        assert isinstance(result, RuntimeError)
        assert result.__cause__ is error
    else:
        assert result is error
