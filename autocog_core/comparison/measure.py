"""Both models on each item, in turns, with the time that each takes alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from autocog_core.comparison.item_result import ItemResult
from autocog_core.comparison.works import AnyWork
from autocog_core.errors import AutocogError, CapabilityError, ClosedError
from autocog_core.hooks.client import BackendClient


@dataclass
class Measurement:
    """What one model made of all items, and what it took.

    :ivar results: the results by item; those of items on which one model failed are missing.
    :ivar calls: number of calls that count for the speed.
    :ivar seconds: their time.
    :ivar tokens: their evaluated tokens; None if the model does not say.
    """

    results: dict[int, ItemResult] = field(default_factory=dict)
    calls: int = 0
    seconds: float = 0.0
    tokens: int | None = 0


def measure(
    work: AnyWork,
    first: BackendClient,
    second: BackendClient,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Measurement, Measurement, dict[int, str]]:
    """Run both models on each item, one after the other, and the other one first the next time.

    The first item does not count for the speed, unless it is the only one: engines prepare
    themselves for it.

    :param on_progress: called with the number of finished items, and of all.
    :returns: the measurements of both, and the messages of items with an error.
    :raises AutocogError: if no item succeeds, the first error; and at once for a model that cannot
        do the work, or is closed.
    """
    both = (Measurement(), Measurement())
    clients = (first, second)
    errors: dict[int, AutocogError] = {}
    for item in range(len(work)):
        order = (0, 1) if item % 2 == 0 else (1, 0)
        timed = []
        try:
            for side in order:
                start = time.perf_counter()
                answer = work.run(clients[side], item)
                timed.append((side, answer, time.perf_counter() - start))
            results = [(side, work.read(clients[side], item, answer)) for side, answer, _ in timed]
        except (CapabilityError, ClosedError):
            raise
        except AutocogError as error:
            errors[item] = error
            continue
        for side, result in results:
            both[side].results[item] = result
        for side, answer, seconds in timed:
            if item > 0 or len(work) == 1:
                _count(both[side], seconds, work.count_tokens(answer))
        if on_progress is not None:
            on_progress(item + 1, len(work))
    if errors and not both[0].results:
        raise next(iter(errors.values()))
    return *both, {item: str(error) for item, error in errors.items()}


def _count(measurement: Measurement, seconds: float, tokens: int | None) -> None:
    measurement.calls += 1
    measurement.seconds += seconds
    if tokens is None or measurement.tokens is None:
        measurement.tokens = None
    else:
        measurement.tokens += tokens
