"""AsyncModel: each call gives what the blocking call gives, and what waits together is one call."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from autocog_core import AsyncModel, Automaton, ClosedError, InputError, Model, hookimpl
from autocog_core.async_calls.call import Call
from autocog_core.async_calls.grouped_calls import ChooseCall
from autocog_core.types.backend_info import BackendInfo
from tests.support.small_backends import Plain, random_model, uniform

PROGRAM = {
    "inputs": {"question": "text"},
    "actions": [{"text": "{{ question }}:"}, {"name": "answer", "choices": [" a", " b"]}],
}
CHOICES = [" a", " bc", " bcd"]
pytestmark = pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning")


class Watched(Plain):
    """Uniform rows, with a gate before each evaluation, and how many are evaluated at once."""

    def __init__(self, concurrency: int = 1) -> None:
        super().__init__(self._wait)
        self.concurrency = concurrency
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.running = self.most_running = 0

    @hookimpl
    def describe(self) -> BackendInfo:
        return BackendInfo(
            name="watched", vocabulary_size=self.size, max_concurrency=self.concurrency
        )

    def _wait(self, tokens: Sequence[int]) -> Any:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.begun.set()
        assert self.gate.wait(20)
        self.running -= 1
        return uniform(self.size)


class CountedModel(Model):
    """Counts how calls reach the model."""

    def __init__(self, backend: object) -> None:
        super().__init__(backend)
        self.many: list[int] = []

    def choose_many(self, prompts: Any = None, *arguments: Any, **options: Any) -> Any:
        self.many.append(len(prompts if prompts is not None else options["messages"]))
        return super().choose_many(prompts, *arguments, **options)


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    # A server of other tests may have some.
    before = set(threading.enumerate())
    yield
    names = [thread.name for thread in set(threading.enumerate()) - before]
    assert not [name for name in names if name.startswith("autocog-async")]


def test_every_call_gives_what_the_blocking_call_gives() -> None:
    automaton = Automaton.from_dict(PROGRAM)
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}

    async def check() -> None:
        async with AsyncModel(random_model(seed=3)) as model:
            blocking = model.model
            assert await model.choose("It is", CHOICES) == blocking.choose("It is", CHOICES)
            found = await model.choose("It is", CHOICES, top=1, at_least=0.5, norm="mean")
            assert found == blocking.choose("It is", CHOICES, top=1, at_least=0.5, norm="mean")
            completed = await model.complete("It is", max_tokens=5)
            assert completed == blocking.complete("It is", max_tokens=5)
            both = await model.complete("It is", max_tokens=5, n=2, temperature=1.0, seed=1)
            assert len(both.alternatives) == 1
            pieces = [piece async for piece in model.stream("It is", max_tokens=5)]
            assert "".join(pieces) == completed.text
            *texts, last = [x async for x in model.stream_completion("It is", max_tokens=5)]
            assert (texts, last) == (pieces, completed)
            assert await model.score("It is.", words=True) == blocking.score("It is.", words=True)
            tree = await model.run(automaton, {"question": "One"}, order="best_first")
            assert tree.best().fields == automaton.run(blocking, {"question": "One"}).best().fields
            record = await model.record("It is ", schema)
            assert record.value == blocking.record("It is ", schema).value
            assert model.info is blocking.info

    asyncio.run(check())


def test_calls_that_wait_together_are_one_call() -> None:
    prompts = [f"{number} is" for number in range(40)]
    counted = CountedModel(Watched())

    async def check() -> None:
        async with AsyncModel(counted) as model:
            results = await asyncio.gather(
                *(model.choose(prompt, CHOICES) for prompt in prompts),
                *(model.choose(prompt, CHOICES, norm="mean") for prompt in prompts),
            )
            assert counted.many == [40, 40]
            expected = [counted.choose(prompt, CHOICES) for prompt in prompts]
            assert results[:40] == expected
            assert {result.norm for result in results[40:]} == {"mean"}

    asyncio.run(check())


def test_at_most_so_many_are_made_together() -> None:
    counted = CountedModel(Watched())

    async def check() -> None:
        async with AsyncModel(counted, max_together=16) as model:
            await asyncio.gather(*(model.choose(f"{n} is", CHOICES) for n in range(40)))

    asyncio.run(check())
    assert counted.many == [16, 16, 8]


def test_runs_and_scores_that_wait_together_are_equal_to_each_alone() -> None:
    automaton = Automaton.from_dict(PROGRAM)
    words = [f"Row {number}" for number in range(10)]

    async def check() -> None:
        async with AsyncModel(random_model(seed=3)) as model:
            trees = await asyncio.gather(
                *(model.run(automaton, {"question": word}) for word in words),
                model.run(automaton, {"other": "x"}),
                return_exceptions=True,
            )
            assert isinstance(trees[-1], InputError)
            for word, tree in zip(words, trees, strict=False):
                alone = automaton.run(model.model, {"question": word})
                assert not isinstance(tree, BaseException)
                assert tree.best().fields == alone.best().fields
                assert tree.best().logprob == pytest.approx(alone.best().logprob, abs=1e-9)
            scores = await asyncio.gather(*(model.score(word) for word in words))
            assert scores == [model.model.score(word) for word in words]

    asyncio.run(check())


def test_an_error_is_that_of_its_call_alone() -> None:
    calls: list[tuple[Any, ...]] = [
        ("It is", CHOICES),
        ("It is", []),
        (None, CHOICES),
        ("It is", [" a", " a"]),
        ("x" * 100_000, CHOICES),
        ("He is", CHOICES),
    ]

    async def check() -> list[Any]:
        async with AsyncModel(random_model(seed=3)) as model:
            made = (model.choose(prompt, choices) for prompt, choices in calls)
            results = await asyncio.gather(*made, return_exceptions=True)
            assert results[0] == model.model.choose(*calls[0])
            assert results[5] == model.model.choose(*calls[5])
            return results

    results = asyncio.run(check())
    assert [isinstance(result, Exception) for result in results] == [False, *4 * [True], False]


def test_one_wrong_call_does_not_make_the_others_run_alone() -> None:
    counted = CountedModel(Watched())
    alone: list[Any] = []
    choose = counted.choose
    counted.choose = lambda *a, **o: alone.append(a) or choose(*a, **o)  # type: ignore[method-assign]

    async def check() -> None:
        async with AsyncModel(counted) as model:
            made = (
                model.choose(f"{number} is", [] if number == 11 else CHOICES)
                for number in range(32)
            )
            results = await asyncio.gather(*made, return_exceptions=True)
            kinds = [isinstance(result, InputError) for result in results]
            assert kinds == [number == 11 for number in range(32)]

    asyncio.run(check())
    # By halves: 32, 16 + 16, 8 + 8, 4 + 4, 2 + 2, and the last two alone.
    assert len(counted.many) <= 9
    assert len(alone) == 2


def test_a_call_that_is_cancelled_while_it_waits_is_not_made() -> None:
    backend = Watched()

    async def check() -> None:
        async with AsyncModel(Model(backend)) as model:
            backend.gate.clear()
            first = asyncio.create_task(model.choose("A first is", CHOICES))
            await asyncio.to_thread(backend.begun.wait, 20)
            waiting = [asyncio.create_task(model.choose(f"{n} is", CHOICES)) for n in range(20)]
            await asyncio.sleep(0.01)
            for task in waiting[::2]:
                task.cancel()
            await asyncio.sleep(0)
            backend.gate.set()
            results = await asyncio.gather(first, *waiting, return_exceptions=True)
            kinds = [type(result).__name__ for result in results]
            assert kinds == ["ChoiceScores", *10 * ["CancelledError", "ChoiceScores"]]
            texts = {bytes(call).decode()[:2] for call in backend.calls}
            assert texts == {"A ", *(f"{n} "[:2] for n in range(1, 20, 2))}

    asyncio.run(check())


def test_a_completion_that_is_cancelled_ends_at_its_next_piece() -> None:
    backend = Watched()
    backend.answer = letter_by_letter(backend)

    async def check(how: str) -> None:
        backend.calls.clear()
        async with AsyncModel(Model(backend)) as model:
            if how == "task":
                task = asyncio.create_task(model.complete("It is", max_tokens=10_000))
                await asyncio.to_thread(backend.begun.wait, 20)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                pieces = model.stream("It is", max_tokens=10_000)
                assert await anext(pieces)
                await pieces.aclose()
            # The thread is free for the next call, long before all tokens.
            await model.choose("It is", CHOICES)
        assert len(backend.calls) < 5000

    for how in ("task", "stream"):
        asyncio.run(check(how))


def test_a_run_or_a_record_that_is_cancelled_ends_before_its_next_evaluation() -> None:
    endless = {
        "actions": [
            {"uid": "again", "text": "x", "max_visits": 50_000},
            {"choices": ["a", "b"], "next": "again"},
        ]
    }
    schema = {"type": "array", "items": {"type": "boolean"}, "minItems": 2000}

    async def main() -> None:
        async with AsyncModel(random_model(seed=1)) as model:
            automaton = Automaton.from_dict(endless)
            calls = [
                [model.run(automaton)],
                [model.run(automaton), model.run(automaton)],
                [model.record("x", schema, max_items=2000)],
            ]
            for together in calls:
                tasks = [asyncio.ensure_future(call) for call in together]
                await asyncio.sleep(0.2)
                for task in tasks:
                    assert not task.done()
                    task.cancel()
                begin = time.perf_counter()
                await model.choose("x", CHOICES)
                assert time.perf_counter() - begin < 5

    asyncio.run(main())


def letter_by_letter(backend: Watched) -> Any:
    row = np.full(backend.size, -np.inf, dtype=np.float32)
    row[ord("x")] = 0.0

    def answer(tokens: Sequence[int]) -> Any:
        backend.begun.set()
        time.sleep(1e-4)
        return row

    return answer


def test_a_model_that_takes_several_calls_gets_them_at_once() -> None:
    backend = Watched(concurrency=4)
    backend.gate.clear()

    async def check() -> None:
        async with AsyncModel(Model(backend)) as model:
            tasks = [asyncio.create_task(model.choose(f"{n} is", CHOICES)) for n in range(8)]
            deadline = time.monotonic() + 20
            while backend.running < 4 and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            backend.gate.set()
            await asyncio.gather(*tasks)

    asyncio.run(check())
    assert backend.most_running == 4


def test_after_close_calls_raise_and_nothing_waits() -> None:
    backend = Watched()

    async def check() -> None:
        model = AsyncModel(Model(backend))
        backend.gate.clear()
        first = asyncio.create_task(model.choose("A first is", CHOICES))
        await asyncio.to_thread(backend.begun.wait, 20)
        waiting = [asyncio.create_task(model.choose(f"{n} is", CHOICES)) for n in range(3)]
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(model.close())
        await asyncio.sleep(0.05)
        backend.gate.set()
        await closing
        assert (await first).choice in CHOICES
        for task in (*waiting, model.choose("It is", CHOICES), model.complete("It is")):
            with pytest.raises(ClosedError, match="the model is closed"):
                await task
        with pytest.raises(ClosedError):
            assert not [piece async for piece in model.stream("It is")]
        await model.close()

    asyncio.run(check())


def test_two_loops_may_use_one_model() -> None:
    model = AsyncModel(random_model(seed=3))
    results: list[Any] = []

    async def work(number: int) -> None:
        results.extend(
            await asyncio.gather(*(model.choose(f"{number} {n}", CHOICES) for n in range(5)))
        )

    threads = [threading.Thread(target=lambda n=n: asyncio.run(work(n))) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 15
    asyncio.run(model.close())


def test_nothing_of_a_call_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Call] = weakref.WeakSet()
    made = 0

    class Watching(ChooseCall):
        def __init__(self, *arguments: Any) -> None:
            nonlocal made
            super().__init__(*arguments)
            alive.add(self)
            made += 1

    monkeypatch.setattr("autocog_core.async_calls.async_model.ChooseCall", Watching)

    async def check() -> None:
        async with AsyncModel(random_model(seed=3)) as model:
            for _ in range(3):
                task = asyncio.create_task(model.choose("It is", CHOICES))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await model.choose("It was", CHOICES)
                del task
            # The thread has ended its last call a moment after the result.
            deadline = time.monotonic() + 20
            while alive and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
                gc.collect()
            assert made == 6
            assert not alive

    asyncio.run(check())
