"""Rows a second on a GPU: autocog-tf against lm-eval's HFLM and vLLM's `prompt_logprobs`.

The rows are those of banking77, with 77 labels each, in bfloat16. autocog scores all labels
(`choose_many`), or searches the best one (`choose_many(top=1)`). The whole script takes at most
8 minutes: each method stops at its share of the time, and its rows so far count. It writes one
JSON file, after every method, so that nothing is lost.

    python benchmarks/gpu.py banking77_test.csv --json gpu.json [--model FOLDER]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from methods import SMOL, Item, banking77_items

from autocog_core import load

#: Rows that one call scores together.
BATCHES = (1, 8, 32, 128)
#: Seconds for the whole script, of which loading takes a part.
BUDGET = 450.0
#: The largest number of rows of one method at one batch size.
MAX_ROWS = 512

#: Scores rows, and returns the index of each row's best choice.
Method = Callable[[Sequence[Item]], list[int]]


def main() -> None:
    """Measure all methods, and write the JSON file."""
    begin = time.perf_counter()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", type=Path, help="CSV with columns text, category")
    parser.add_argument("--model", default=SMOL, help="folder, hub name, .gguf or package: file")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--rows", type=int, default=MAX_ROWS)
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for everything")
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    arguments = parser.parse_args()
    items = banking77_items(arguments.file, arguments.rows + 1)
    results: dict[str, Any] = {"device": device_name(arguments.device), "dtype": arguments.dtype}
    options = {
        "model_path": arguments.model,
        "device": arguments.device,
        "dtype": arguments.dtype,
    }
    with load(backend="tf", options=options) as model:
        results["details"] = {key: str(value) for key, value in model.info.details.items()}
        engine = model._backend.engine  # type: ignore[attr-defined]
        makers = dict(autocog_methods(model))
        makers |= lm_eval_methods(engine)
        if importlib.util.find_spec("vllm") and Path(arguments.model).is_dir():
            makers["vLLM, prompt_logprobs"] = vllm_method(arguments.model, arguments.dtype)
        else:
            results["vLLM"] = "not installed, or the model is no folder"
        share = arguments.budget / (len(makers) * len(arguments.batches))
        rows: list[dict[str, Any]] = []
        results["rows"] = rows
        for batch in arguments.batches:
            picks: dict[str, list[int]] = {}
            for name, make in makers.items():
                left = arguments.budget - (time.perf_counter() - begin)
                if left < share / 2:
                    results["stopped"] = f"the budget ended before {name} at batch {batch}"
                    break
                engine.clear_caches()
                row, picks[name] = measure(make(batch), items, batch, min(share, left))
                rows.append({"method": name, "batch": batch, **row})
                print(rows[-1], flush=True)
                arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            compare_picks(rows, picks, batch)
    results["seconds"] = time.perf_counter() - begin
    arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def autocog_methods(model: Any) -> dict[str, Callable[[int], Method]]:
    """Return both ways of autocog: the scores of all labels, and the best label."""

    def whole(items: Sequence[Item]) -> list[int]:
        results = model.choose_many([prompt for prompt, _ in items], items[0][1])
        return [result.index for result in results]

    def best(items: Sequence[Item]) -> list[int]:
        results = model.choose_many([prompt for prompt, _ in items], items[0][1], top=1)
        return [result.index for result in results]

    return {
        "autocog, all labels": lambda batch: whole,
        "autocog, best label": lambda batch: best,
    }


def lm_eval_methods(engine: Any) -> dict[str, Callable[[int], Method]]:
    """Return lm-eval's HFLM on the same network; it batches pairs of a row and a label."""
    if not importlib.util.find_spec("lm_eval"):
        return {}
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    def make(batch: int) -> Method:
        harness = HFLM(
            pretrained=engine.model, tokenizer=engine.tokenizer.tokenizer, batch_size=batch
        )

        def run(items: Sequence[Item]) -> list[int]:
            requests = [
                Instance("loglikelihood", {}, (prompt, choice), number)
                for prompt, choices in items
                for number, choice in enumerate(choices)
            ]
            answers = iter(harness.loglikelihood(requests, disable_tqdm=True))
            return [best_index([next(answers)[0] for _ in choices]) for _, choices in items]

        return run

    return {"lm-eval HFLM": make}


def vllm_method(folder: str, dtype: str) -> Callable[[int], Method]:
    """Return vLLM with its prefix cache: each label after its prompt, with `prompt_logprobs`."""
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found,unused-ignore]

    llm = LLM(folder, dtype=dtype, enable_prefix_caching=True, gpu_memory_utilization=0.4)
    tokenizer = llm.get_tokenizer()
    parameters = SamplingParams(max_tokens=1, prompt_logprobs=0, temperature=0)

    def run(items: Sequence[Item]) -> list[int]:
        texts = [prompt + choice for prompt, choices in items for choice in choices]
        answers = iter(llm.generate(texts, parameters, use_tqdm=False))
        picks = []
        for prompt, choices in items:
            start = len(tokenizer(prompt)["input_ids"])
            scores = []
            for _ in choices:
                answer = next(answers)
                pairs = zip(answer.prompt_token_ids, answer.prompt_logprobs, strict=True)
                scores.append(sum(row[token].logprob for token, row in list(pairs)[start:]))
            picks.append(best_index(scores))
        return picks

    return lambda batch: run


def measure(
    method: Method, items: Sequence[Item], batch: int, seconds: float
) -> tuple[dict[str, Any], list[int]]:
    """Run a method batch by batch until the time is over; return its speed and its picks."""
    method(items[-1:])
    picks: list[int] = []
    start = time.perf_counter()
    while len(picks) < len(items) - 1 and time.perf_counter() - start < seconds:
        picks += method(items[len(picks) : min(len(picks) + batch, len(items) - 1)])
    elapsed = time.perf_counter() - start
    row = {"rows": len(picks), "seconds": elapsed, "rows a second": len(picks) / elapsed}
    if torch.cuda.is_available():
        row["peak GiB"] = torch.cuda.max_memory_allocated() / 2**30
    return row, picks


def compare_picks(rows: list[dict[str, Any]], picks: dict[str, list[int]], batch: int) -> None:
    """Note how many picks of each method differ from those of autocog with all labels."""
    reference = picks.get("autocog, all labels", [])
    for row in rows:
        if row["batch"] == batch and row["method"] in picks:
            pairs = zip(picks[row["method"]], reference, strict=False)
            row["picks that differ"] = sum(own != other for own, other in pairs)


def best_index(scores: Sequence[float]) -> int:
    """Return the index of the highest score."""
    return max(range(len(scores)), key=scores.__getitem__)


def device_name(device: str) -> str:
    """Return the name of the device."""
    return torch.cuda.get_device_name() if device.startswith("cuda") else device


if __name__ == "__main__":
    main()
