"""Time small steps after a cached prefix, as the search for the best choices makes them.

A step reads the distributions after a few new tokens, each a branch of its own. In each round, the
prefix ends in another way. On autocog-tf, a plain forward of the same number of tokens, after the
same cached prefix, alternates with the step.

    python benchmarks/small_steps.py [--engine tf] [--rounds 9] [--prefix 150] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from methods import SMOL
from rich.console import Console
from rich.table import Table

from autocog_core import TreeQuery
from autocog_core.config.options import package_file

#: The last tokens of the prefix, which differ from round to round, as the rows of a data set do.
ROW_TOKENS = 20
NODES = (1, 2, 4, 8, 16, 32, 64)
LEAF = np.array([5], dtype=np.int32)
PREFIX_PARENT = np.array([-1], dtype=np.int32)


class NetworkClock:
    """The seconds that calls of a function take.

    :param function: the function; call `run` in its place.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def run(self, *arguments: Any, **named: Any) -> Any:
        """Call the function."""
        start = time.perf_counter()
        try:
            return self._function(*arguments, **named)
        finally:
            self.seconds += time.perf_counter() - start


class PlainForward:
    """A causal forward of some tokens after a cached prefix, as Transformers does it.

    :param network: a model of Transformers.
    """

    def __init__(self, network: Any) -> None:
        from autocog_tf.evaluators.evaluator import GENERATE_CACHE

        self._network = network
        self._cache_name = GENERATE_CACHE
        self._cache: Any = None

    def begin(self, prefix: Sequence[int]) -> None:
        """Evaluate the prefix."""
        from transformers import DynamicCache

        self._cache = DynamicCache(config=self._network.config)
        self._run(prefix)

    def step(self, tokens: Sequence[int]) -> float:
        """Return the seconds of one forward, which leaves the cache as it was."""
        start = time.perf_counter()
        self._run(tokens)
        seconds = time.perf_counter() - start
        self._cache.crop(-len(tokens))
        return seconds

    def _run(self, tokens: Sequence[int]) -> None:
        import torch

        with torch.inference_mode():
            ids = torch.tensor([list(tokens)], device=self._network.device)
            logits = self._network(input_ids=ids, **{self._cache_name: self._cache}).logits
            if logits.is_cuda:
                torch.cuda.synchronize()


def queries_after(prefix: Sequence[int], tokens: Sequence[int]) -> list[TreeQuery]:
    """Return one query for each token, which reads the distribution after it."""
    return [
        TreeQuery(prefix=[*prefix, token], tokens=LEAF, parents=PREFIX_PARENT) for token in tokens
    ]


def measure(
    title: str,
    engine: Any,
    clock: NetworkClock,
    plain: PlainForward | None,
    rounds: int,
    length: int,
) -> Table:
    """Return a table of the steps' times, by number of nodes."""
    steps: dict[int, list[float]] = {count: [] for count in NODES}
    outside: dict[int, list[float]] = {count: [] for count in NODES}
    plains: dict[int, list[float]] = {count: [] for count in NODES}
    generator = np.random.default_rng(0)
    header = generator.integers(1000, 30000, length - ROW_TOKENS).tolist()
    for _ in range(rounds + 1):
        prefix = [*header, *generator.integers(1000, 30000, ROW_TOKENS).tolist()]
        engine.score_trees(queries_after(prefix[:-1], prefix[-1:]))
        if plain is not None:
            plain.begin(prefix)
        tokens = iter(generator.permutation(np.arange(1000, 30000))[: 2 * sum(NODES)].tolist())
        for count in NODES:
            if plain is not None:
                plains[count].append(plain.step([next(tokens) for _ in range(count)]))
            queries = queries_after(prefix, [next(tokens) for _ in range(count)])
            clock.seconds = 0.0
            start = time.perf_counter()
            engine.score_trees(queries)
            steps[count].append(time.perf_counter() - start)
            outside[count].append(steps[count][-1] - clock.seconds)
    table = Table(title=f"{title}, {length} cached tokens, {rounds} rounds")
    for column in ("nodes", "step, ms", "outside the network, ms", "plain forward, ms", "ratio"):
        table.add_column(column, justify="right")
    for count in NODES:
        # The first round warms up.
        ours, beside, others = steps[count][1:], outside[count][1:], plains[count][1:]
        row = [str(count), _milliseconds(ours), _milliseconds(beside)]
        if others:
            ratio = statistics.median(a / b for a, b in zip(ours, others, strict=True))
            row += [_milliseconds(others), f"{ratio:.2f}"]
        table.add_row(*row)
    return table


def _milliseconds(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f}"


def measure_tf(arguments: argparse.Namespace, options: dict[str, Any]) -> Table:
    """Measure autocog-tf."""
    import torch

    from autocog_tf import TfLM

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    engine = TfLM.create(model_path=arguments.model, device=arguments.device, **options)["engine"]
    network = engine.model
    plain = PlainForward(network)
    forward = engine.forward
    clock = NetworkClock(forward.model)
    forward.model = _Clocked(network, clock)
    return measure("autocog-tf", engine, clock, plain, arguments.rounds, arguments.prefix)


class _Clocked:
    """A model whose calls are timed; everything else is the model's."""

    def __init__(self, network: Any, clock: NetworkClock) -> None:
        self._network = network
        self._clock = clock

    def __call__(self, **named: Any) -> Any:
        return self._clock.run(**named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


def measure_llamacpp(arguments: argparse.Namespace, options: dict[str, Any]) -> Table:
    """Measure autocog-llamacpp, with the evaluator in Python, whose decodes can be timed."""
    from autocog_llamacpp import LLaMa

    name = arguments.model
    path = package_file(name) if name.startswith("package:") else name
    options["use_extension"] = False
    if arguments.threads:
        options["n_threads"] = arguments.threads
    engine = LLaMa.create(model_path=str(path), n_ctx=2048, **options)["engine"]
    clock = NetworkClock(engine.context.decode)
    engine.context.decode = clock.run
    return measure("autocog-llamacpp", engine, clock, None, arguments.rounds, arguments.prefix)


def main() -> None:
    """Measure the engines of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--engine", choices=["tf", "llamacpp", "both"], default="both")
    parser.add_argument("--model", default=SMOL, help=".gguf file, or package: file")
    parser.add_argument("--device", default="cpu", help="of autocog-tf")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--prefix", type=int, default=150, help="tokens before the steps")
    parser.add_argument("--threads", type=int, default=0, help="default: the engine's")
    parser.add_argument("--option", action="append", default=[], metavar="NAME", help="set to true")
    arguments = parser.parse_args()
    options: dict[str, Any] = dict.fromkeys(arguments.option, True)
    console = Console(width=100)
    if arguments.engine != "llamacpp":
        console.print(measure_tf(arguments, dict(options)))
    if arguments.engine != "tf":
        console.print(measure_llamacpp(arguments, dict(options)))


if __name__ == "__main__":
    main()
