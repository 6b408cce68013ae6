"""Waiting calls: clients take turns, and calls of one group leave together."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from autocog_core.async_calls.call import Call, current_client
from autocog_core.async_calls.waiting_calls import WaitingCalls


class Named(Call):
    def __init__(self, name: str, group: Hashable) -> None:
        super().__init__()
        self.name = name
        self.__dict__["key"] = group

    def make(self) -> object:
        return self.name


def calls(client: str, count: int, group: Hashable = "g") -> Sequence[Named]:
    token = current_client.set(client)
    try:
        return [Named(f"{client}{number}", group) for number in range(count)]
    finally:
        current_client.reset(token)


def take(waiting: WaitingCalls, count: int) -> list[str]:
    return [call.make() for call in waiting.take(count)]  # type: ignore[misc]


def test_a_client_with_1000_calls_delays_another_by_one_engine_call() -> None:
    for group in ("g", "another", None):
        for size in (1, 64):
            waiting = WaitingCalls()
            waiting.add(calls("many", 1000))
            take(waiting, size)
            waiting.add(calls("one", 1, group))

            # One engine call is under way; at most one more comes before it.
            following = take(waiting, size) + take(waiting, size)

            assert "one0" in following, (group, size)


def test_calls_of_one_group_are_taken_one_of_each_client_in_turn() -> None:
    waiting = WaitingCalls()
    waiting.add([*calls("a", 5), *calls("b", 2), *calls("c", 1)])

    assert take(waiting, 6) == ["a0", "b0", "c0", "a1", "b1", "a2"]
    assert take(waiting, 6) == ["a3", "a4"]
    assert not waiting


def test_calls_of_other_groups_keep_their_turns() -> None:
    waiting = WaitingCalls()
    waiting.add([*calls("a", 2, "x"), *calls("b", 2, "y"), *calls("c", 2, None)])

    taken = [take(waiting, 8) for _ in range(4)]

    assert taken == [["a0", "a1"], ["b0", "b1"], ["c0"], ["c1"]]


def test_a_hundred_clients_have_a_turn_each_before_the_first_has_its_second() -> None:
    waiting = WaitingCalls()
    for client in range(100):
        waiting.add(calls(f"{client}-", 3, None))

    first = [take(waiting, 64)[0] for _ in range(100)]

    assert first == [f"{client}-0" for client in range(100)]


def test_nothing_waits_in_vain() -> None:
    waiting = WaitingCalls()
    everything = [c for n in range(7) for c in calls(f"{n}-", n, n % 2 or None)]
    waiting.add(everything)

    taken = []
    while waiting:
        taken += waiting.take(4)

    assert sorted(map(id, taken)) == sorted(map(id, everything))
    assert waiting.take(4) == []
