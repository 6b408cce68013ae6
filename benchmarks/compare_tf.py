"""autocog-tf against other ways to score choices: one process, the same model, prompts and choices.

Ways are timed in interleaved rounds and compared by medians, as ratios: machines are noisy.

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
from rich.console import Console
from ways import SMOL, Counter, Way, banking77_items, long_item, measure, report

from autocog_core import ChoiceScores
from autocog_tf import TfLM


class ForwardCounter:
    """Counts the tokens that the model itself is given."""

    def __init__(self, model: Any) -> None:
        self.tokens = 0
        model.register_forward_pre_hook(self._see, with_kwargs=True)

    def _see(self, module: Any, arguments: Any, named: dict[str, Any]) -> None:
        tokens = named["input_ids"] if "input_ids" in named else arguments[0]
        self.tokens += tokens.numel()


def ways_of(model: TfLM, *, by_row: bool) -> dict[str, Way]:
    """All ways, over the one model that `model` has loaded.

    :param by_row: whether rows differ and share a header, instead of one prompt again and again.
    """
    engine = model.engine
    facade = model.as_model()
    network, tokenizer = engine.model, engine.tokenizer.tokenizer

    def autocog(prompt: str, choices: Sequence[str]) -> list[float]:
        result: ChoiceScores = model.choose(prompt, choices)
        return [score.logprob for score in result.scores]

    def whole_prompt_per_node(prompt: str, choices: Sequence[str]) -> list[float]:
        """As the ancestors did: the whole sequence again for every node of the choice tree."""
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
        """The floor: as many tokens as autocog has just evaluated, in one causal forward."""
        count = (ways["cached"].tokens if by_row else ways["cold"].tokens)[-1]
        ids = torch.arange(10, 10 + count, device=network.device)[None]
        with torch.inference_mode():
            network(input_ids=ids, use_cache=False)

    ways = {
        "ancestors": Way("whole prompt per tree node", whole_prompt_per_node),
        "cold": Way("autocog, cold", autocog, before=engine.forget),
        "cached": Way("autocog, header cached" if by_row else "autocog, prompt cached", autocog),
        "floor": Way("plain forward, same tokens", plain_forward),
    }
    return ways | lm_eval_ways(network, tokenizer)


def lm_eval_ways(network: Any, tokenizer: Any) -> dict[str, Way]:
    """lm-eval's HFLM on the same model object, at several batch sizes."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    def way(batch: int) -> Way:
        harness = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=batch)

        def run(prompt: str, choices: Sequence[str]) -> list[float]:
            requests = [
                Instance("loglikelihood", {}, (prompt, choice), number)
                for number, choice in enumerate(choices)
            ]
            found = harness.loglikelihood(requests, disable_tqdm=True)
            return [logprob for logprob, _ in found]

        return Way(f"lm-eval HFLM, batch {batch}", run)

    return {f"lm-eval {batch}": way(batch) for batch in (1, 8, 16, 32, 77)}


def best_batch(ways: dict[str, Way], item: tuple[str, Sequence[str]]) -> str:
    """The peer at its best setting: the batch size with the shortest time on one item."""
    times = {}
    for name, way in ways.items():
        if name.startswith("lm-eval"):
            way.run(*item)
            start = time.perf_counter()
            way.run(*item)
            times[name] = time.perf_counter() - start
    return min(times, key=times.__getitem__)


def long_prompt(model: TfLM, rounds: int, counter: Counter, source: str) -> dict[str, Any]:
    """One long prompt, 8 choices."""
    ways = ways_of(model, by_row=False)
    prompt, choices = long_item(source)
    peer = ways[best_batch(ways, (prompt, choices))]
    picked = [ways["ancestors"], peer, ways["cold"], ways["cached"], ways["floor"]]
    measure(picked, [(prompt, choices)] * rounds, counter)
    tokens = len(model.as_model().encode(prompt))
    title = (
        f"{tokens} prompt tokens, {len(choices)} choices ({rounds} rounds; ratio to {peer.name})"
    )
    return report(Console(), title, picked, peer)


def banking77(model: TfLM, rounds: int, counter: Counter, path: Path) -> dict[str, Any]:
    """77 intents a row; the header is the same for all rows."""
    ways = ways_of(model, by_row=True)
    items = banking77_items(path, rounds + 1)
    peer = ways[best_batch(ways, items[0])]
    model.engine.forget()
    ways["cached"].run(*items[0])
    picked = [ways["ancestors"], peer, ways["cached"], ways["floor"]]
    measure(picked, items[1:], counter)
    title = f"banking77, {len(items[0][1])} intents ({rounds} rows; ratio to {peer.name})"
    figures = report(Console(), title, picked, peer)
    over_floor = statistics.median(
        own / floor
        for own, floor in zip(ways["cached"].seconds, ways["floor"].seconds, strict=True)
    )
    print(f"autocog takes {over_floor:.2f} times a plain forward over the same tokens")
    figures["over floor"] = over_floor
    return figures


def main() -> None:
    """Run the workloads asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default=SMOL, help="folder, hub name, .gguf or package: file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--prompt", default="", help='JSON with "prompt" and "choices"')
    parser.add_argument("--banking77", type=Path, help="CSV with columns text, category")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    print("loading the model (converted once, if it is a .gguf file) ...", flush=True)
    created = TfLM.create(
        model_path=arguments.model, device=arguments.device, dtype=arguments.dtype
    )
    model = TfLM(**created)
    print(f"{model.engine.info.name}: {dict(model.engine.info.details)}")
    counter = ForwardCounter(model.engine.model)
    figures = {"long prompt": long_prompt(model, arguments.rounds, counter, arguments.prompt)}
    if arguments.banking77:
        figures["banking77"] = banking77(model, arguments.rounds, counter, arguments.banking77)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
