"""The proven best choice against the pick of guidance's `select`, row by row.

`select` follows the likeliest token at each fork of the choices. So it evaluates little, and its
pick may have a lower probability than another choice. This script counts how often, and compares
the times. guidance 0.3.1 needs another llguidance than autocog, so it runs in a process with a
Python of its own (`--guidance`). Without it, the same pick is found token by token.

    python benchmarks/guidance_picks.py --file banking77_test.csv --guidance ENV/bin/python
    python benchmarks/guidance_picks.py --places 1000
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from methods import SMOL, Item, banking77_items, names_of_places

from autocog_core import Model, TopChoices, load
from autocog_core.config.options import package_file
from autocog_core.toolkit.waiting_threads import SPIN_COUNT

#: Countries, whose cities are the choices.
COUNTRIES = [
    "Norway",
    "Kenya",
    "Japan",
    "Peru",
    "India",
    "Spain",
    "Egypt",
    "Canada",
    "Poland",
    "Chile",
    "Turkey",
    "Ghana",
    "Vietnam",
    "Italy",
    "Iran",
    "Cuba",
    "Nepal",
    "Germany",
    "Brazil",
    "Morocco",
    "Greece",
    "Mexico",
    "Senegal",
    "France",
    "China",
    "Ireland",
    "Bolivia",
    "Finland",
    "Thailand",
    "Portugal",
]


class Guidance:
    """A process that answers prompts with guidance's picks.

    :param python: the Python of an environment with guidance and llama-cpp-python.
    :param path: the model's file.
    :param choices: the choices of all prompts.
    """

    def __init__(self, python: str, path: Path, choices: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [python, str(Path(__file__).with_name("guidance_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            # Its threads wait as those of autocog do.
            env={**os.environ, "GOMP_SPINCOUNT": str(SPIN_COUNT)},
        )
        self._send({"model_path": str(path), "choices": list(choices)})

    def _send(self, message: Any) -> None:
        assert self._process.stdin
        print(json.dumps(message), file=self._process.stdin, flush=True)

    def pick(self, prompt: str) -> tuple[str, float]:
        """Return the pick after a prompt, and its seconds."""
        self._send(prompt)
        assert self._process.stdout
        text, seconds = json.loads(self._process.stdout.readline())
        return text, seconds

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=60)


class GreedyPick:
    """Follows the likeliest token at each fork, like guidance: any token that begins a choice.

    So a choice may be spelled with other tokens than the tokenizer's. At the end of a choice that
    begins others, the tokens that end a text compete.

    :param model: the model.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._ids: dict[bytes, int] = {}
        for number, spelling in enumerate(model.client.vocabulary()):
            if spelling:
                self._ids.setdefault(spelling, number)

    def __call__(self, prompt: str, choices: Sequence[str]) -> int:
        """Return the index of the pick."""
        spellings = [choice.encode() for choice in choices]
        tokens = list(self._model.encode(prompt))
        done = b""
        while True:
            left = [number for number, text in enumerate(spellings) if text.startswith(done)]
            if len(left) == 1:
                return left[0]
            ids = self._next_tokens({spellings[number][len(done) :] for number in left})
            if done in spellings:
                ids |= dict.fromkeys(self._model.info.eos, b"")
            row = self._model.greedy(tokens)
            best = max(ids, key=lambda token: row[token])
            if not ids[best]:
                return spellings.index(done)
            tokens.append(best)
            done += ids[best]

    def _next_tokens(self, rests: set[bytes]) -> dict[int, bytes]:
        """Return the tokens that begin one of the texts, with their bytes."""
        starts = {rest[:end] for rest in rests for end in range(1, len(rest) + 1)}
        return {self._ids[start]: start for start in starts if start in self._ids}


def measure(
    model: Model, items: Sequence[Item], guidance: Guidance | None, *, whole: bool
) -> list[dict[str, Any]]:
    """Return the picks and times of each row; the first one warms up."""
    pick_greedily = GreedyPick(model)
    rows: list[dict[str, Any]] = []
    for number, (prompt, choices) in enumerate(items):
        start = time.perf_counter()
        part = model.choose(prompt, choices, top=1)
        seconds = time.perf_counter() - start
        assert isinstance(part, TopChoices)
        row: dict[str, Any] = {"seconds": seconds, "proven": part.choice}
        if guidance is not None:
            row["guidance"], row["guidance seconds"] = guidance.pick(prompt)
        greedy = choices[pick_greedily(prompt, choices)]
        pick = row.get("guidance", greedy)
        row |= {"greedy": greedy, "loss": 0.0}
        if pick != part.choice:
            proven, other = model.choose(prompt, [part.choice, pick]).scores
            row["loss"] = proven.exclusive_logprob - other.exclusive_logprob
        if whole:
            row["whole"] = model.choose(prompt, choices).choice
        if number:
            rows.append(row)
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the counts and the ratio of times."""
    count = len(rows)
    name = "guidance" if "guidance" in rows[0] else "greedy"
    missed = [row for row in rows if row[name] != row["proven"]]
    print(f"{count} rows: the pick of {name} is not the proven best choice in {len(missed)}")
    if missed:
        loss = statistics.median(row["loss"] for row in missed)
        print(f"there, it is {loss:.2f} nats less likely at the median")
    if "whole" in rows[0]:
        same = sum(row["proven"] == row["whole"] for row in rows)
        print(f"the proven choice is the best one of the whole tree in {same} of {count}")
    print(f"seconds of top=1: {statistics.median(row['seconds'] for row in rows):.3f}")
    if name == "guidance":
        agree = sum(row["guidance"] == row["greedy"] for row in rows)
        print(f"guidance picks the likeliest token at each fork in {agree} of {count} rows")
        ratio = statistics.median(row["seconds"] / row["guidance seconds"] for row in rows)
        seconds = statistics.median(row["guidance seconds"] for row in rows)
        print(f"seconds of guidance: {seconds:.3f}; top=1 takes {ratio:.2f} times as long")


def main() -> None:
    """Compare both on each row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default=SMOL, help=".gguf file, or package: file")
    parser.add_argument("--file", type=Path, help="CSV with columns text, category")
    parser.add_argument("--places", type=int, default=1000, help="names of cities as choices")
    parser.add_argument("--rows", type=int, default=30)
    parser.add_argument("--guidance", metavar="PYTHON", help="a Python with guidance 0.3.1")
    parser.add_argument("--whole", action="store_true", help="also score the whole tree")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    if arguments.file:
        items = banking77_items(arguments.file, arguments.rows + 1)
    else:
        choices = names_of_places(arguments.places)
        prompts = [f"In {country}, they went to see" for country in COUNTRIES]
        items = [(prompt, choices) for prompt in ["They went to see", *prompts[: arguments.rows]]]
    warnings.simplefilter("ignore")
    guidance = None
    if arguments.guidance:
        path = package_file(arguments.model) if ":" in arguments.model else Path(arguments.model)
        guidance = Guidance(arguments.guidance, path, items[0][1])
    with load(backend="llamacpp", options={"model_path": arguments.model, "n_ctx": 2048}) as model:
        rows = measure(model, items, guidance, whole=arguments.whole)
    if guidance is not None:
        guidance.close()
    show(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
