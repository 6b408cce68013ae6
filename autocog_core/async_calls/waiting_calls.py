"""Calls that wait for a model: clients take turns, and calls of one group leave together."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from itertools import chain, islice, zip_longest

from autocog_core.async_calls.call import Call

#: Cancelled calls are dropped when at least so many calls wait.
MANY_CALLS = 1000


class WaitingCalls:
    """Calls in the order in which their clients have their turns.

    The calls of one client stay in their order, except that calls of one group leave together.
    """

    def __init__(self) -> None:
        #: By client, the one whose turn is next first; no client without calls.
        self._by_client: dict[Hashable, deque[Call]] = {}
        self._count = 0
        self._next_drop = MANY_CALLS

    def __bool__(self) -> bool:
        return bool(self._by_client)

    def add(self, calls: Sequence[Call]) -> None:
        """Add calls behind those of their clients."""
        for call in calls:
            self._by_client.setdefault(call.client, deque()).append(call)
        self._count += len(calls)
        # The engine may be busy for long: what nobody waits for must not fill the memory.
        if self._count >= self._next_drop:
            self._drop_cancelled()

    def take(self, count: int) -> list[Call]:
        """Take the next call and the others of its group, one of each client in turn.

        :param count: how many calls at most.
        :returns: the calls; none if none waits.
        """
        if not self._by_client:
            return []
        client, waiting = next(iter(self._by_client.items()))
        if count == 1 or waiting[0].key is None:
            taken = [waiting.popleft()]
            self._count -= 1
            self._put_behind(client, waiting)
            return taken
        taken = self._of_group(waiting[0].key, count)
        self._count -= len(taken)
        gone = set(taken)
        for client in dict.fromkeys(call.client for call in taken):
            rest = deque(call for call in self._by_client[client] if call not in gone)
            self._put_behind(client, rest)
        return taken

    def calls(self) -> list[Call]:
        """Return the calls, client by client."""
        return list(chain.from_iterable(self._by_client.values()))

    def take_all(self) -> list[Call]:
        """Take all calls."""
        calls = self.calls()
        self._by_client.clear()
        self._count = 0
        return calls

    def _of_group(self, key: Hashable, count: int) -> list[Call]:
        of_clients = [
            [call for call in waiting if call.key == key] for waiting in self._by_client.values()
        ]
        rounds = chain.from_iterable(zip_longest(*of_clients))
        return list(islice((call for call in rounds if call is not None), count))

    def _drop_cancelled(self) -> None:
        by_client = {
            client: deque(call for call in waiting if not call.future.cancelled())
            for client, waiting in self._by_client.items()
        }
        self._by_client = {client: waiting for client, waiting in by_client.items() if waiting}
        self._count = sum(map(len, self._by_client.values()))
        # Not at every call, if most of many are wanted.
        self._next_drop = max(MANY_CALLS, 2 * self._count)

    def _put_behind(self, client: Hashable, waiting: deque[Call]) -> None:
        """Let a client have its next turn after the others."""
        del self._by_client[client]
        if waiting:
            self._by_client[client] = waiting
