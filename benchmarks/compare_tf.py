"""Compare autocog-tf with other methods to score choices, on one model in one process.

The methods are timed in interleaved rounds; results are medians of ratios.

    python benchmarks/compare_tf.py [--rounds 7] [--banking77 banking77_test.csv] [--markdown]
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from methods import SMOL, Counter, Method, banking77_items, long_item, measure, report
from rich.console import Console

from autocog_core import ChoiceScores
from autocog_tf import TfLM


class ForwardCounter:
    """A counter of the model's forwards, and of the tokens that it evaluates."""

    def __init__(self, model: Any) -> None:
        self.calls = self.tokens = 0
        model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: Any, arguments: Any, named: dict[str, Any]) -> None:
        tokens = named["input_ids"] if "input_ids" in named else arguments[0]
        self.calls += 1
        self.tokens += tokens.numel()


def make_methods(model: TfLM, *, by_row: bool) -> dict[str, Method]:
    """Return all methods, on the network that `model` has loaded.

    :param by_row: whether the prompts differ and share a header; otherwise they are the same.
    """
    engine = model.engine
    facade = model.as_model()
    network, tokenizer = engine.model, engine.tokenizer.tokenizer

    def autocog(prompt: str, choices: Sequence[str]) -> list[float]:
        result: ChoiceScores = model.choose(prompt, choices)
        return [score.logprob for score in result.scores]

    def whole_prompt_per_node(prompt: str, choices: Sequence[str]) -> list[float]:
        """Evaluate the whole sequence again for each node of the choice tree."""
        base = facade.encode(prompt)
        continuations = [facade.encode(prompt + choice)[len(base) :] for choice in choices]
        rows: dict[tuple[int, ...], torch.Tensor] = {}
        with torch.inference_mode():
            for tokens in continuations:
                for end in range(len(tokens)):
                    path = tuple(tokens[:end])
                    if path not in rows:
                        ids = torch.tensor([[*base, *path]], device=network.device)
                        logits = network(input_ids=ids, logits_to_keep=1).logits[0, -1]
                        rows[path] = torch.log_softmax(logits.float(), -1)
        return [
            sum(float(rows[tuple(tokens[:i])][token]) for i, token in enumerate(tokens))
            for tokens in continuations
        ]

    def plain_forward(prompt: str, choices: Sequence[str]) -> None:
        """Evaluate the same number of tokens as autocog in one causal forward."""
        count = (methods["cached"].tokens if by_row else methods["cold"].tokens)[-1]
        ids = torch.arange(10, 10 + count, device=network.device)[None]
        with torch.inference_mode():
            network(input_ids=ids, use_cache=False)

    methods = {
        "whole": Method("whole prompt per tree node", whole_prompt_per_node),
        "cold": Method("autocog, cold", autocog, before=engine.clear_caches),
        "cached": Method("autocog, header cached" if by_row else "autocog, prompt cached", autocog),
        "floor": Method("plain forward, same tokens", plain_forward),
    }
    return methods | lm_eval_methods(network, tokenizer)


def lm_eval_methods(network: Any, tokenizer: Any) -> dict[str, Method]:
    """Return lm-eval's HFLM on the same network, at several batch sizes."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    def method(batch: int) -> Method:
        harness = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=batch)

        def run(prompt: str, choices: Sequence[str]) -> list[float]:
            requests = [
                Instance("loglikelihood", {}, (prompt, choice), number)
                for number, choice in enumerate(choices)
            ]
            answers = harness.loglikelihood(requests, disable_tqdm=True)
            return [logprob for logprob, _ in answers]

        return Method(f"lm-eval HFLM, batch {batch}", run)

    return {f"lm-eval {batch}": method(batch) for batch in (1, 8, 16, 32, 77)}


def best_batch(methods: dict[str, Method], item: tuple[str, Sequence[str]]) -> str:
    """Return the key of the batch size with the shortest time on one item."""
    times = {}
    for name, method in methods.items():
        if name.startswith("lm-eval"):
            method.run(*item)
            start = time.perf_counter()
            method.run(*item)
            times[name] = time.perf_counter() - start
    return min(times, key=times.__getitem__)


def long_prompt(model: TfLM, rounds: int, counter: Counter, source: str) -> dict[str, Any]:
    """Compare the methods on one long prompt with 8 choices."""
    methods = make_methods(model, by_row=False)
    prompt, choices = long_item(source)
    peer = methods[best_batch(methods, (prompt, choices))]
    selected = [methods["whole"], peer, methods["cold"], methods["cached"], methods["floor"]]
    measure(selected, [(prompt, choices)] * rounds, counter)
    tokens = len(model.as_model().encode(prompt))
    title = (
        f"{tokens} prompt tokens, {len(choices)} choices ({rounds} rounds; ratio to {peer.name})"
    )
    return report(Console(), title, selected, peer)


def banking77(model: TfLM, rounds: int, counter: Counter, path: Path) -> dict[str, Any]:
    """Compare the methods on rows with the same header and 77 intents."""
    methods = make_methods(model, by_row=True)
    items = banking77_items(path, rounds + 1)
    peer = methods[best_batch(methods, items[0])]
    model.engine.clear_caches()
    methods["cached"].run(*items[0])
    selected = [methods["whole"], peer, methods["cached"], methods["floor"]]
    measure(selected, items[1:], counter)
    title = f"banking77, {len(items[0][1])} intents ({rounds} rows; ratio to {peer.name})"
    results = report(Console(), title, selected, peer)
    over_floor = statistics.median(
        cached / floor
        for cached, floor in zip(methods["cached"].seconds, methods["floor"].seconds, strict=True)
    )
    print(f"autocog takes {over_floor:.2f} times a plain forward over the same tokens")
    results["over floor"] = over_floor
    return results


def main() -> None:
    """Run the workloads of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default=SMOL, help="folder, hub name, .gguf or package: file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--prompt", default="", help='JSON with "prompt" and "choices"')
    parser.add_argument("--banking77", type=Path, help="CSV with columns text, category")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    print("loading the model (converted once, if it is a .gguf file) ...", flush=True)
    created = TfLM.create(
        model_path=arguments.model, device=arguments.device, dtype=arguments.dtype
    )
    model = TfLM(**created)
    print(f"{model.engine.info.name}: {dict(model.engine.info.details)}")
    counter = ForwardCounter(model.engine.model)
    results = {"long prompt": long_prompt(model, arguments.rounds, counter, arguments.prompt)}
    if arguments.banking77:
        results["banking77"] = banking77(model, arguments.rounds, counter, arguments.banking77)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
