"""Requests of open paths and of rows run in parallel, within limits and independently."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import pytest

from autocog_core import (
    Automaton,
    Budget,
    CapabilityError,
    Choose,
    Complete,
    EngineError,
    Input,
    Model,
    Template,
    Text,
    ThoughtTree,
)
from autocog_core.errors import AutocogError
from tests.support.automata.side_by_side import Server, threads_at_work
from tests.support.small_backends import random_model

LETTERS = tuple("abcdefghijklmnopqrst")
WIDE = Automaton(
    [
        Text(uid="t", text="Say:", successors="c"),
        Choose(uid="c", choices=LETTERS, width=None, successors="d"),
        Choose(uid="d", choices=("y", "n"), successors="w"),
        Complete(uid="w", length=2),
    ]
)
ROW = Automaton(
    [
        Text(uid="q", text=Template("{{ q }}: "), successors="c"),
        Choose(uid="c", choices=("yes", "no"), width=None, successors="w"),
        Complete(uid="w", length=3, successors="d"),
        Choose(uid="d", choices=("up", "down")),
    ],
    inputs={"q": Input()},
)
ROWS: list[Mapping[str, Any]] = [{"q": f"row {number}"} for number in range(24)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    # A Ctrl-C while a pool starts a thread keeps the pool from waiting for it: it ends by itself.
    deadline = time.monotonic() + 10
    while threads_at_work() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads_at_work() == []


def plain(result: ThoughtTree | AutocogError) -> Any:
    """Return the nodes or the error, without cost and provenance."""
    if isinstance(result, AutocogError):
        return str(result)
    return result.to_dict()["nodes"]


def test_requests_of_open_paths_run_in_parallel_and_return_in_order() -> None:
    server = Server(seconds=0.02)
    tree = WIDE.run(Model(server))
    assert plain(tree) == plain(WIDE.run(random_model(seed=1), strategy="text"))
    assert server.requests == tree.stats["model_calls"] == 1 + 20 + 20
    assert 4 <= server.busiest <= 8


def test_an_engine_with_one_call_at_a_time_needs_no_threads() -> None:
    seen: set[str] = set()
    server = Server(most=1, watch=lambda text: seen.add(threading.current_thread().name))
    list(WIDE.run_many(Model(server), [{}] * 3, concurrency=3))
    assert server.requests == 3 * 41
    assert server.busiest == 1
    assert seen == {threading.current_thread().name}


@pytest.mark.parametrize("concurrency", [1, 5, 24])
def test_rows_run_in_parallel_and_return_in_order(concurrency: int) -> None:
    server = Server(seconds=0.005)
    found = list(ROW.run_many(Model(server), ROWS, concurrency=concurrency))
    alone = [ROW.run(random_model(seed=1), row, strategy="text") for row in ROWS]
    assert [plain(each) for each in found] == [plain(each) for each in alone]
    assert 2 <= server.busiest <= 8


def test_a_slow_row_delays_no_other() -> None:
    """The slow row's first answer comes after all answers of the other rows."""
    rest = threading.Event()
    others = count(1)

    def watch(text: str) -> None:
        if text == "row 0: ":
            assert rest.wait(20), "the others waited for it"
        elif "row 0" not in text and next(others) == 3 * 5:
            rest.set()

    found = list(ROW.run_many(Model(Server(watch=watch)), ROWS[:4], concurrency=4))
    assert all(isinstance(each, ThoughtTree) for each in found)


def fails_at(part: str, error: Exception) -> Callable[[str], None]:
    def watch(text: str) -> None:
        if part in text:
            raise error

    return watch


@pytest.mark.parametrize("most", [1, 8])
@pytest.mark.parametrize("error", [EngineError("it broke"), RuntimeError("it broke")])
def test_an_error_ends_only_its_row(error: Exception, most: int) -> None:
    server = Server(most=most, watch=fails_at("row 3: yes", error))
    found = list(ROW.run_many(Model(server), ROWS[:8], concurrency=4))
    assert [isinstance(each, ThoughtTree) for each in found] == [n != 3 for n in range(8)]
    assert isinstance(found[3], EngineError)
    assert "it broke" in str(found[3])


@pytest.mark.parametrize("most", [1, 8])
def test_an_error_ends_a_run_after_its_running_requests(most: int) -> None:
    server = Server(most=most, seconds=0.02, watch=fails_at("Say:b", EngineError("it broke")))
    with pytest.raises(EngineError, match="it broke"):
        WIDE.run(Model(server))
    # Those after it that had not begun never do.
    assert server.requests < 1 + 20


@pytest.mark.parametrize("most", [1, 8])
def test_a_fatal_error_ends_all_rows(most: int) -> None:
    error = CapabilityError("it cannot choose")
    server = Server(most=most, watch=fails_at("row 2", error))
    coming = ROW.run_many(Model(server), iter(ROWS), concurrency=4)
    with pytest.raises(CapabilityError, match="cannot choose"):
        list(coming)
    assert server.requests < 24 * 5


@pytest.fixture
def sigint_enabled() -> Iterator[None]:
    """Enable SIGINT, which background processes ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint_enabled")
@pytest.mark.parametrize("most", [1, 8])
def test_ctrl_c_ends_a_run(most: int) -> None:
    server = Server(most=most, seconds=0.01, watch=interrupt_at("Say:c"))
    with pytest.raises(KeyboardInterrupt):
        WIDE.run(Model(server))
    assert server.requests < 1 + 20


@pytest.mark.usefixtures("sigint_enabled")
@pytest.mark.parametrize("most", [1, 8])
def test_ctrl_c_ends_many_runs(most: int) -> None:
    server = Server(most=most, seconds=0.01, watch=interrupt_at("row 5"))
    with pytest.raises(KeyboardInterrupt):
        list(ROW.run_many(Model(server), ROWS * 20, concurrency=6))
    # Of 480 rows.
    assert server.requests < 24 * 5


def interrupt_at(part: str) -> Callable[[str], None]:
    """Send SIGINT once, as the terminal does."""
    sent = threading.Event()

    def watch(text: str) -> None:
        if part in text and not sent.is_set():
            sent.set()
            os.kill(os.getpid(), signal.SIGINT)

    return watch


def test_rows_are_read_only_as_they_start() -> None:
    taken = 0

    def rows() -> Iterator[Mapping[str, Any]]:
        nonlocal taken
        for row in ROWS:
            taken += 1
            yield row

    coming = ROW.run_many(Model(Server(seconds=0.001)), rows(), concurrency=3)
    for number in range(5):
        next(coming)
        assert taken <= number + 1 + 3
    # Whoever wants no more of them says so, or forgets about them.
    coming.close()  # type: ignore[attr-defined]
    assert threads_at_work() == []


def test_a_budget_ends_requests() -> None:
    model = Model(Server())
    whole = WIDE.run(model)
    decided = sum(len(node.tokens) for node in whole.nodes if node.uid == "w")
    chosen = sum(
        model.choose("Say:" + before, choices).tokens_evaluated or 0
        for before, choices in [("", LETTERS), *((letter, ("y", "n")) for letter in LETTERS)]
    )
    # The backend counts all that its choices needed, and nothing for what it writes.
    assert whole.stats["tokens_evaluated"] == chosen + decided
    tree = WIDE.run(model, budget=Budget(tokens=5))
    assert tree.stopped_by == "tokens"
    assert tree.stats["model_calls"] == 1
    assert {node.uid for node in tree.nodes} == {"t", "c"}


def test_provenance_has_the_strategy_of_each_model() -> None:
    server = Server(seconds=0.005)
    mixed = Automaton(
        [
            Text(uid="t", text="Say:", successors="c"),
            Choose(uid="c", choices=LETTERS, width=None, successors="d"),
            Choose(uid="d", choices=("y", "n"), model="judge", successors="w"),
            Complete(uid="w", length=2, beams=2),
        ]
    )
    main, judge = random_model(seed=2), Model(server)
    tree = mixed.run(main, models={"judge": judge})
    assert tree.provenance["strategy"] == "token_tree"
    assert tree.provenance["models"]["judge"]["strategy"] == "text"
    assert 2 <= server.busiest <= 8
    exact = mixed.run(main, models={"judge": random_model(seed=1)})
    assert plain(tree) == plain(exact)
    rows = list(mixed.run_many(main, [{}] * 3, models={"judge": judge}, concurrency=3))
    assert [plain(each) for each in rows] == [plain(exact)] * 3
    both = mixed.run(judge, models={"judge": main})
    assert both.provenance["strategy"] == "text"
    assert both.provenance["models"]["judge"]["strategy"] == "token_tree"
    assert {node.reason for node in both.nodes if node.uid == "w"} == {
        "2 samples in place of beams: a search needs token distributions"
    }


FORK = Automaton(
    [
        Text(uid="q", text=Template("{{ q }}: "), successors="c"),
        Choose(uid="c", choices=("left", "right"), width=None, successors=("l", "r")),
        Complete(uid="l", length=1, model="one"),
        Complete(uid="r", length=1, model="other"),
    ],
    inputs={"q": Input()},
)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("most", [2, 1])
def test_models_run_in_parallel(rows: int, most: int) -> None:
    """Each of two models waits for the other. With `most=1`, it runs in this thread."""
    meet = threading.Barrier(2)

    def watch(text: str) -> None:
        if "row 0" in text:
            meet.wait(20)

    main = Server(seed=1)
    models = {
        "one": Model(Server(most=most, watch=watch, seed=2)),
        "other": Model(Server(watch=watch, seed=3)),
    }
    found = list(FORK.run_many(Model(main), ROWS[:rows], models=models, concurrency=rows))
    plainly = {"one": random_model(seed=2), "other": random_model(seed=3)}
    for row, tree in zip(ROWS, found, strict=False):
        alone = FORK.run(random_model(seed=1), row, models=plainly, strategy="text")
        assert plain(tree) == plain(alone)
        assert isinstance(tree, ThoughtTree)
        assert tree.stats["seconds_other"] >= 0


@pytest.mark.parametrize("most", [2, 1])
@pytest.mark.parametrize("failing", ["one", "other"])
def test_an_error_of_one_model_ends_only_its_row(failing: str, most: int) -> None:
    watch = fails_at("row 1", EngineError("it broke"))
    models = {
        name: Model(Server(most=most, **({"watch": watch} if name == failing else {})))
        for name in ("one", "other")
    }
    found = list(FORK.run_many(Model(Server()), ROWS[:4], models=models, concurrency=4))
    assert [isinstance(each, ThoughtTree) for each in found] == [True, False, True, True]
    assert "it broke" in str(found[1])
