"""200 `choose` by `asyncio.gather` against one `choose_many`, on llama.cpp; 50 of them cancelled.

Both ways alternate in one process on prompts that nothing has seen before; the ratio is that of the
medians.

    python benchmarks/async_calls.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
import warnings
from typing import Any

from methods import SMOL

from autocog_core import AsyncModel, load

CHOICES = [" card", " transfer", " login", " refund"]
CALLS = 200
CANCELLED = 50


def prompts(draw: random.Random) -> list[str]:
    """Return prompts with a common beginning."""
    return [
        f"Customer: I have a {draw.choice(['lost', 'new', 'old'])} card since {draw.random()} days."
        "\nThe customer has a question about a"
        for _ in range(CALLS)
    ]


async def measure(rounds: int) -> None:
    """Time both ways and print their numbers."""
    draw = random.Random(3)  # noqa: S311
    seconds: dict[str, list[float]] = {"choose_many": [], "gather": [], "150 of 200": []}
    options = {"model_path": SMOL, "n_ctx": 2048}
    async with AsyncModel(load(backend="llamacpp", options=options)) as model:
        model.model.choose_many(prompts(draw)[:20], CHOICES)
        for _ in range(rounds):
            texts = prompts(draw)
            start = time.perf_counter()
            model.model.choose_many(texts, CHOICES)
            seconds["choose_many"].append(time.perf_counter() - start)
            texts = prompts(draw)
            start = time.perf_counter()
            results = await asyncio.gather(*(model.choose(text, CHOICES) for text in texts))
            seconds["gather"].append(time.perf_counter() - start)
            seconds["150 of 200"].append(await cancel_some(model, prompts(draw)))
            expected = model.model.choose_many(texts, CHOICES)
            pairs = zip(results, expected, strict=True)
            apart = max(abs(one.best.logprob - other.best.logprob) for one, other in pairs)
            print(f"largest difference {apart:.2g} nats, allowed {model.info.tolerance:g}")
    for way, times in seconds.items():
        ratio = statistics.median(times) / statistics.median(seconds["choose_many"])
        print(f"{way:12} {statistics.median(times):6.2f} s  {ratio:.2f} times choose_many")


async def cancel_some(model: AsyncModel, texts: list[str]) -> float:
    """Cancel some of the calls before they are made; return the time of the others."""
    tasks: list[Any] = [asyncio.create_task(model.choose(text, CHOICES)) for text in texts]
    for task in tasks[:: CALLS // CANCELLED]:
        task.cancel()
    start = time.perf_counter()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    seconds = time.perf_counter() - start
    cancelled = sum(isinstance(result, asyncio.CancelledError) for result in results)
    assert cancelled == CANCELLED
    return seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    warnings.simplefilter("ignore")
    asyncio.run(measure(parser.parse_args().rounds))
