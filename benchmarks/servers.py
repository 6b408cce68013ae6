"""Choices through autocog-openai on a real llama-server, against the same raw requests replayed.

What a program adds to the server's own time: each round asks all choices at once, from as many
threads, and then sends the very same requests again without autocog, at the same concurrency.

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
    given = parser.parse_args()
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
                "max_concurrency": given.concurrency,
            }
            with load(backend="openai", options=options) as model:
                # What the server offers is found out first.
                print(model.info.name)
                measure(
                    f"{given.prompts} chooses, 8 labels",
                    model,
                    prompts(messages, given.prompts),
                    LABELS,
                    given,
                )
                measure("3 chooses, 77 intents", model, prompts(messages, 3), intents, given)


def prompts(messages: Sequence[str], count: int) -> list[str]:
    """As many different prompts."""
    return [
        f"Message {number}: {messages[number % len(messages)]}\nSubject:" for number in range(count)
    ]


def measure(
    name: str, model: Model, texts: Sequence[str], choices: Sequence[str], given: argparse.Namespace
) -> None:
    """Both ways in turn, round by round."""
    offered = [" " + choice for choice in choices]
    ratios, requests = [], 0
    own_seconds = []
    # One more round, to warm up.
    for number in range(given.rounds + 1):
        with Recorded(model) as recorded:
            begun = time.perf_counter()
            with ThreadPoolExecutor(len(texts)) as pool:
                found = list(pool.map(lambda text: model.choose(text, offered), texts))
            own = time.perf_counter() - begun
        assert len(found) == len(texts)
        assert all(one.exact for one in found)
        begun = time.perf_counter()
        replay(recorded.sent, given.concurrency)
        raw = time.perf_counter() - begun
        if number:
            ratios.append(own / raw)
            own_seconds.append(own)
        requests = len(recorded.sent)
        most = recorded.most
    print(
        f"{name}: {statistics.median(own_seconds):.1f} s, {requests} requests, at most {most} at "
        f"once; ours / the same requests raw: {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )


class Recorded:
    """What a model sends, and how much of it at once, while it is open."""

    def __init__(self, model: Model) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.most = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._client: httpx2.Client = model._backend._engine.connection._client._client  # type: ignore[attr-defined]

    def __enter__(self) -> Recorded:
        self._send = self._client.send

        def send(request: httpx2.Request, **more: Any) -> httpx2.Response:
            with self._lock:
                self._in_flight += 1
                self.most = max(self.most, self._in_flight)
                self.sent.append((str(request.url), json.loads(request.content)))
            try:
                return self._send(request, **more)
            finally:
                with self._lock:
                    self._in_flight -= 1

        self._client.send = send  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self._client.send = self._send  # type: ignore[method-assign]


def replay(sent: Sequence[tuple[str, dict[str, Any]]], concurrency: int) -> None:
    """The same requests, whose answers are parsed and nothing else."""
    with httpx2.Client(timeout=600) as client, ThreadPoolExecutor(concurrency) as pool:
        for _ in pool.map(lambda one: json.loads(client.post(one[0], json=one[1]).content), sent):
            pass


if __name__ == "__main__":
    main()
