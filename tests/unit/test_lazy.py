"""Attributes that are computed once, without blocking other objects."""

from __future__ import annotations

import threading

import pytest

from autocog_core.lazy import lazy


class Slow:
    """Waits while it computes."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.times = 0

    @lazy
    def value(self) -> int:
        """A slow value."""
        self.times += 1
        self.begun.set()
        assert self.go_on.wait(10)
        return 7


def test_one_object_does_not_wait_for_another() -> None:
    first, second = Slow(), Slow()
    thread = threading.Thread(target=lambda: first.value)
    thread.start()
    assert first.begun.wait(10)
    second.go_on.set()
    assert second.value == 7
    first.go_on.set()
    thread.join(10)
    assert first.value == 7


def test_threads_compute_it_once() -> None:
    slow = Slow()
    threads = [threading.Thread(target=lambda: slow.value) for _ in range(8)]
    for thread in threads:
        thread.start()
    slow.go_on.set()
    for thread in threads:
        thread.join(10)
    assert slow.times == 1
    assert Slow.value.__doc__ == "A slow value."


def test_an_error_is_not_stored() -> None:
    class Failing:
        tries = 0

        @lazy
        def value(self) -> int:
            self.tries += 1
            if self.tries == 1:
                raise ValueError("not yet")
            return 1

    failing = Failing()
    with pytest.raises(ValueError, match="not yet"):
        print(failing.value)
    assert failing.value == 1
