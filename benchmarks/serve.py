"""`autocog serve` on llama.cpp: what HTTP adds, many clients against one, and llama-server.

Each comparison prints times, and the ratio of their medians. The ways alternate within each round,
on prompts that nothing has seen before.

    python benchmarks/serve.py [--rounds 3] [--clients 16] [--rows 64]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from methods import SMOL

from autocog_core import Model, load
from autocog_core.config.options import package_file

sys.path.append(str(Path(__file__).parents[1]))

from tests.support.real_servers import llama_server
from tests.support.served import serve_process
from tests.support.server_load import Caller, LoadRequest, call_all

#: Labels of one token each: so llama-server can answer from one position.
LABELS = [" card", " transfer", " login", " order", " bill", " price", " app", " letter"]


def prompts(draw: random.Random, count: int) -> list[str]:
    """Return prompts with a common beginning."""
    return [
        f"Customer: I have a {draw.choice(['lost', 'new', 'old'])} card since {draw.random()} days."
        "\nThe customer has a question about a"
        for _ in range(count)
    ]


def timed(call: Callable[[], Any]) -> float:
    """Return how long a call takes, in seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def choose_requests(texts: Sequence[str]) -> list[LoadRequest]:
    """Return a request for each prompt."""
    return [LoadRequest("/v1/choose", {"prompt": text, "choices": LABELS}) for text in texts]


def measure_overhead(folder: Path) -> None:
    """Print what a request takes beyond the model, on the backend random."""
    request = LoadRequest("/v1/choose", {"prompt": "It is", "choices": [" a", " b"]})
    with serve_process("--backend", "random", folder=folder) as server:
        caller = Caller(server.url)
        times = sorted(timed(lambda: caller.call(request)) for _ in range(1000))
        caller.close()
    with load(backend="random") as model:
        alone = sorted(timed(lambda: model.choose("It is", [" a", " b"])) for _ in range(1000))
    print("one choice on the backend random, median of 1,000 in milliseconds")
    print(f"  over HTTP {times[500] * 1000:.2f}, in the process {alone[500] * 1000:.2f}")


def measure_clients(folder: Path, rounds: int, clients: int, rows: int) -> None:
    """Print many clients against one, `choose_many` and llama-server."""
    draw = random.Random(3)  # noqa: S311
    seconds: dict[str, list[float]] = {}
    option = f"model_path={SMOL}"
    with (
        serve_process("--backend", "llamacpp", "--option", option, folder=folder) as server,
        load(backend="llamacpp", options={"model_path": SMOL}) as model,
        llama_server(package_file(SMOL), slots=min(clients, 4)) as other,
    ):
        ways: dict[str, Callable[[list[str]], object]] = {
            "one client": lambda texts: call_all(server.url, choose_requests(texts), 1),
            f"{clients} clients": lambda texts: call_all(
                server.url, choose_requests(texts), clients
            ),
            "one request": lambda texts: _one_request(server.url, texts),
            "choose_many": lambda texts: model.choose_many(texts, LABELS),
            f"llama-server, {clients} clients": lambda texts: _n_probs(other, texts, clients),
        }
        for way in ways.values():
            way(prompts(draw, 4))
        for _ in range(rounds):
            for name, way in ways.items():
                texts = prompts(draw, rows)
                seconds.setdefault(name, []).append(timed(lambda w=way, t=texts: w(t)))
        _print(seconds, rows)
        _print_differences(server.url, model, prompts(draw, rows), clients)


def _one_request(url: str, texts: Sequence[str]) -> Any:
    caller = Caller(url)
    answer = caller.call(LoadRequest("/v1/choose", {"prompts": list(texts), "choices": LABELS}))
    caller.close()
    return answer


def _n_probs(url: str, texts: Sequence[str], clients: int) -> None:
    """Ask llama-server for the likeliest tokens after each prompt, with as many clients."""

    def work(first: int) -> None:
        caller = Caller(url)
        for text in texts[first::clients]:
            body = {"prompt": text, "max_tokens": 1, "n_probs": 50, "temperature": 0}
            caller.call(LoadRequest("/v1/completions", body))
        caller.close()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))


def _print(seconds: dict[str, list[float]], rows: int) -> None:
    baseline = statistics.median(seconds["choose_many"])
    print(f"{rows} choices of {len(LABELS)} labels on SmolLM2 (Q4_1); speed of choose_many = 1")
    for way, times in seconds.items():
        median = statistics.median(times)
        print(f"  {way:28} {median:6.2f} s  {baseline / median:.2f}")


def _print_differences(url: str, model: Model, texts: list[str], clients: int) -> None:
    answers = call_all(url, choose_requests(texts), clients)
    expected = model.choose_many(texts, LABELS)
    apart = max(
        abs(score["logprob"] - other.logprob)
        for answer, scores in zip(answers, expected, strict=True)
        for score, other in zip(answer["results"][0]["scores"], scores.scores, strict=True)
    )
    print(f"largest difference {apart:.2g} nats, allowed {model.info.tolerance:g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rows", type=int, default=64)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        measure_overhead(Path(name))
        measure_clients(Path(name), arguments.rounds, arguments.clients, arguments.rows)
