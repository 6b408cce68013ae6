"""Measure the time of core for one `choose`: the total minus the time in the backend's hooks.

python benchmarks/core_overhead.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from autocog_core import Model
from autocog_core.backends.table import TableLM

PROMPT = "Which category does this message belong to?\n" * 3 + "Category:"


class TimedTableLM(TableLM):
    """The backend `table`, with the CPU seconds spent in its hooks."""

    seconds = 0.0

    def _timed(self, call: Callable[[], Any]) -> Any:
        start = time.process_time()
        try:
            return call()
        finally:
            self.seconds += time.process_time() - start

    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Time the call."""
        return self._timed(lambda: super(TimedTableLM, self).tokenize_impl(texts, at_start, False))

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        """Time the call."""
        return self._timed(lambda: super(TimedTableLM, self).detokenize_impl(tokens))

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        """Time the call."""
        return self._timed(lambda: super(TimedTableLM, self).greedy_impl(tokens))


def measure(count: int, repeats: int) -> tuple[float, float]:
    """Return the smallest CPU seconds of a `choose` of `count` choices: in total, and in hooks."""
    backend = TimedTableLM()
    model = Model(backend)
    choices = [f" category {number:05d}" for number in range(count)]
    totals, inside = [], []
    for _ in range(repeats):
        backend.seconds = 0.0
        start = time.process_time()
        model.choose(PROMPT, choices)
        totals.append(time.process_time() - start)
        inside.append(backend.seconds)
    return min(totals), min(inside)


def main() -> None:
    """Print one line for each number of choices, in milliseconds."""
    print("choices  total ms  in backend  core")
    for count, repeats in ((8, 300), (1000, 30)):
        total, inside = (1000 * seconds for seconds in measure(count, repeats))
        print(f"{count:7}  {total:8.2f}  {inside:10.2f}  {total - inside:4.2f}")


if __name__ == "__main__":
    main()
