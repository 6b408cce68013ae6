"""Compare choices through autocog-openai on a llama-server with the same requests sent directly.

The ratio shows the overhead beside the server's time. Each round scores all choices from as many
threads, and then sends the same requests again without autocog, at the same concurrency.

    python benchmarks/servers.py [--rounds 3] [--concurrency 8]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2

from autocog_core import Automaton, Model, load

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

LABELS = ["billing", "delivery", "refund", "login", "technical fault", "praise", "spam", "other"]


def main() -> None:
    """Measure, and print ratios."""
    from tests.support.engines import float32_weights
    from tests.support.real_servers import llama_server

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=8)
    arguments = parser.parse_args()
    routing = Automaton.from_file(ROOT / "examples" / "routing" / "routing.yaml")
    intents = list(routing.inputs["intents"].default)
    rows = (ROOT / "examples" / "routing" / "messages.jsonl").read_text(encoding="utf-8")
    messages = [str(next(iter(json.loads(row).values()))) for row in rows.splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        weights = float32_weights(Path(folder) / "f32.gguf")
        with llama_server(weights, slots=4, context=8192) as url:
            options = {
                "model": "smol",
                "base_url": url + "/v1",
                "max_concurrency": arguments.concurrency,
            }
            with load(backend="openai", options=options) as model:
                # The first use probes the server.
                print(model.info.name)
                measure(
                    f"{arguments.prompts} chooses, 8 labels",
                    model,
                    prompts(messages, arguments.prompts),
                    LABELS,
                    arguments,
                )
                measure("3 chooses, 77 intents", model, prompts(messages, 3), intents, arguments)


def prompts(messages: Sequence[str], count: int) -> list[str]:
    """Return `count` different prompts."""
    return [
        f"Message {number}: {messages[number % len(messages)]}\nSubject:" for number in range(count)
    ]


def measure(
    name: str,
    model: Model,
    texts: Sequence[str],
    choices: Sequence[str],
    arguments: argparse.Namespace,
) -> None:
    """Time both in each round, and print the median ratio."""
    choices = [" " + choice for choice in choices]
    ratios, requests = [], 0
    autocog_seconds = []
    # One more round, to warm up.
    for number in range(arguments.rounds + 1):
        with RequestRecorder(model) as recorded:
            start = time.perf_counter()
            with ThreadPoolExecutor(len(texts)) as pool:
                results = list(pool.map(lambda text: model.choose(text, choices), texts))
            through_autocog = time.perf_counter() - start
        assert len(results) == len(texts)
        assert all(result.exact for result in results)
        start = time.perf_counter()
        replay(recorded.sent, arguments.concurrency)
        direct = time.perf_counter() - start
        if number:
            ratios.append(through_autocog / direct)
            autocog_seconds.append(through_autocog)
        requests = len(recorded.sent)
        max_in_flight = recorded.max_in_flight
    print(
        f"{name}: {statistics.median(autocog_seconds):.1f} s, {requests} requests, "
        f"at most {max_in_flight} at once; through autocog / sent directly: "
        f"{statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )


class RequestRecorder:
    """A context manager that records the requests of a model.

    :ivar sent: address and body of each request.
    :ivar max_in_flight: largest number of requests at the same time.
    """

    def __init__(self, model: Model) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.max_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._client: httpx2.Client = model._backend._engine.connection._client._client  # type: ignore[attr-defined]

    def __enter__(self) -> RequestRecorder:
        self._send = self._client.send

        def send(request: httpx2.Request, **options: Any) -> httpx2.Response:
            with self._lock:
                self._in_flight += 1
                self.max_in_flight = max(self.max_in_flight, self._in_flight)
                self.sent.append((str(request.url), json.loads(request.content)))
            try:
                return self._send(request, **options)
            finally:
                with self._lock:
                    self._in_flight -= 1

        self._client.send = send  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self._client.send = self._send  # type: ignore[method-assign]


def replay(sent: Sequence[tuple[str, dict[str, Any]]], concurrency: int) -> None:
    """Send the same requests, and parse the answers."""
    with httpx2.Client(timeout=600) as client, ThreadPoolExecutor(concurrency) as pool:
        for _ in pool.map(
            lambda item: json.loads(client.post(item[0], json=item[1]).content), sent
        ):
            pass


if __name__ == "__main__":
    main()
