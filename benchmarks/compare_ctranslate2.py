"""A choice of 77 labels through examples/ctranslate2 beside autocog-tf, on the same weights.

Both answer the same rows in one process, in turns, and nothing is cached between calls.

    python benchmarks/compare_ctranslate2.py banking77_test.csv [--rows 5] [--types float32 int8]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[1] / "examples" / "ctranslate2"
sys.path[:0] = [str(EXAMPLE / "src"), str(EXAMPLE / "tests")]

# First, because it sets how the threads of all engines wait.
from autocog_tf import TfLM  # noqa: E402, I001
from autocog_tf.gguf import converted_folder  # noqa: E402
from autocog_ctranslate2.backend import CTranslate2LM  # noqa: E402
from ctranslate2.converters import TransformersConverter  # noqa: E402
from methods import SMOL, banking77_items  # noqa: E402
from tiny_model import FILES  # noqa: E402

from autocog_core.toolkit import package_file  # noqa: E402


def main() -> None:
    """Measure, and print ratios and differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="CSV with columns text, category")
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--types", nargs="+", default=["float32"])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    source = converted_folder(package_file(SMOL))
    with tempfile.TemporaryDirectory() as folder:
        converted = f"{folder}/smollm2"
        TransformersConverter(str(source), copy_files=FILES).convert(converted)
        options = {"model_path": converted, "intra_threads": arguments.threads}
        models: dict[str, Any] = {
            name: CTranslate2LM(**CTranslate2LM.create(**options, compute_type=name))
            for name in arguments.types
        }
        tf_options = {"model_path": SMOL, "device": "cpu", "n_threads": arguments.threads}
        by_tf = TfLM(**TfLM.create(**tf_options))
        ratios: dict[str, list[float]] = {name: [] for name in models}
        differences: dict[str, float] = dict.fromkeys(models, 0.0)
        for index, (prompt, labels) in enumerate(
            banking77_items(arguments.file, arguments.rows + 1)
        ):
            by_tf.engine.clear_caches()
            seconds, expected = timed(by_tf, prompt, labels)
            print(
                f"{'autocog-tf':12} {seconds:.2f} s, {expected.tokens_evaluated} tokens", flush=True
            )
            for name, model in models.items():
                taken, result = timed(model, prompt, labels)
                print(f"{name:12} {taken:.2f} s, {result.tokens_evaluated} tokens", flush=True)
                # The first row warms both up.
                if index:
                    ratios[name].append(taken / seconds)
                for ours, theirs in zip(result.scores, expected.scores, strict=True):
                    pairs = zip(ours.token_logprobs, theirs.token_logprobs, strict=True)
                    largest = max(abs(left - right) for left, right in pairs)
                    differences[name] = max(differences[name], largest)
        for name, values in ratios.items():
            ratio = statistics.median(values)
            print(
                f"{name}: {ratio:.2f} times the time of autocog-tf (median of {len(values)} rows),"
            )
            print(f"    largest difference {differences[name]:.1e} nats a token")


def timed(model: Any, prompt: str, labels: list[str]) -> tuple[float, Any]:
    """Return the seconds of a choice, and its result."""
    start = time.perf_counter()
    result = model.choose(prompt, labels)
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
