"""Measure masks of constraints against outlines-core and xgrammar, token by token.

All engines replay the same text in one process, in interleaved rounds; results are medians. Their
masks are compared at each token.

    python benchmarks/constraints.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from constraint_engines import ENGINES, Case, Engine, Mask
from methods import SMOL
from rich.console import Console
from rich.table import Table

from autocog_core.constraints.tokenizers import make_tokenizer
from autocog_core.types.constraint import Constraint

#: The size of Qwen2.5's vocabulary.
LARGE = 151_936

PERSON = """{"type": "object", "properties": {
 "name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}},
 "required": ["name", "age", "city"], "additionalProperties": false}"""
INVOICE = """{"type": "object", "properties": {
 "number": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
 "currency": {"enum": ["EUR", "USD", "GBP"]},
 "total": {"type": "number"},
 "paid": {"type": "boolean"},
 "items": {"type": "array", "minItems": 1, "maxItems": 5, "items": {
   "type": "object", "properties": {
     "description": {"type": "string", "maxLength": 30}, "count": {"type": "integer"}},
   "required": ["description", "count"], "additionalProperties": false}}},
 "required": ["number", "currency", "total", "paid", "items"], "additionalProperties": false}"""
QUOTED = r'[^"\\\x00-\x1f]{1,40}'

CASES = (
    Case(
        "regex: a date",
        Constraint(kind="regex", source=r" 20\d{2}-[01]\d-[0-3]\d"),
        " 2024-07-19",
    ),
    Case(
        "regex: a sentence",
        Constraint(kind="regex", source=r" [A-Z][a-z]+( [a-z]+){3,30}\."),
        " The ship has an old mast that a crew of ten people lifts out of the hull.",
    ),
    Case(
        "regex: an address",
        Constraint(kind="regex", source=r"[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,6}"),
        "jane.doe+orders@mail.example.com",
    ),
    Case(
        "regex with followed_by: a text in quotes",
        Constraint(kind="regex", source=QUOTED),
        'a box of 12 brass screws", "',
        followed_by='", "',
    ),
    Case(
        "schema: a person",
        Constraint(kind="json_schema", source=PERSON),
        '{"name": "Grace Hopper", "age": 85, "city": "New York"}',
    ),
    Case(
        "schema: an invoice",
        Constraint(kind="json_schema", source=INVOICE),
        '{"number": "AB-1024", "currency": "EUR", "total": 129.5, "paid": false, "items": '
        '[{"description": "brass screws", "count": 12}, {"description": "rope", "count": 1}]}',
    ),
)


def small_vocabulary() -> list[bytes]:
    """Return SmolLM2's vocabulary: the bytes of each token, empty for special tokens."""
    from autocog_llamacpp import LLaMa

    model = LLaMa(**LLaMa.create(model_path=SMOL, n_ctx=64))
    vocabulary = list(model.as_model().client.vocabulary())
    model.close()
    return vocabulary


def large_vocabulary(small: list[bytes]) -> list[bytes]:
    """Return a vocabulary with words joined from pairs of tokens: a word, and an ending.

    As in real vocabularies, most tokens are words with a blank before them. Pairs of frequent
    tokens, which have low ids, come first.
    """
    known = set(small)
    words = [raw for raw in small if raw[:1] == b" " and raw[1:].isalpha()][:2000]
    endings = [raw for raw in small if raw.isalpha() and raw.islower()][:2000]
    pairs = (
        words[rank - ending] + endings[ending]
        for rank in range(len(words))
        for ending in range(min(rank + 1, len(endings)))
    )
    vocabulary = list(small)
    for raw in pairs:
        if len(vocabulary) == LARGE:
            break
        if raw not in known:
            known.add(raw)
            vocabulary.append(raw)
    assert len(vocabulary) == LARGE
    return vocabulary


@dataclass
class Times:
    """The measurements of an engine on one case.

    :ivar compile: seconds.
    :ivar first: seconds a token of the first replay, when nothing is cached.
    :ivar mask: seconds a token of each later replay, in masks.
    :ivar advance: seconds a token of each later replay, in the steps from token to token.
    :ivar masks: bool (V,) before each token, and after the last one.
    :ivar error: why the engine does not serve the case; empty if it does.
    """

    compile: float = 0.0
    first: float = 0.0
    mask: list[float] = field(default_factory=list)
    advance: list[float] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    error: str = ""

    @property
    def total(self) -> list[float]:
        """Seconds a token of each replay."""
        return [mask + advance for mask, advance in zip(self.mask, self.advance, strict=True)]


def replay(engine: Engine, compiled: Any, tokens: list[int]) -> tuple[float, float, list[Any]]:
    """Return the seconds a token in masks and in steps, and the masks as the engine has them."""
    in_masks = in_steps = 0.0
    masks = []
    state = engine.start(compiled)
    for token in tokens:
        start = time.perf_counter()
        mask = engine.mask(state)
        middle = time.perf_counter()
        state = engine.after(state, token)
        in_steps += time.perf_counter() - middle
        in_masks += middle - start
        masks.append(mask)
    return in_masks / len(tokens), in_steps / len(tokens), masks


def measure(engines: list[Engine], case: Case, tokens: list[int], rounds: int) -> dict[str, Times]:
    """Compile a case with all engines, replay its text, and keep the masks."""
    times = {engine.name: Times() for engine in engines}
    compiled = {}
    for engine in engines:
        gc.collect()
        start = time.perf_counter()
        result = times[engine.name]
        try:
            grammar = engine.compile(case)
            result.compile = time.perf_counter() - start
            mask, advance, masks = replay(engine, grammar, tokens)
        except Exception as error:  # noqa: BLE001 - peers have no common error
            result.error = str(error).strip().splitlines()[-1][:80]
            continue
        compiled[engine.name] = grammar
        result.first = mask + advance
        result.masks = [engine.to_bool(each) for each in masks]
    for _ in range(rounds):
        for engine in engines:
            if engine.name in compiled:
                mask, advance, _ = replay(engine, compiled[engine.name], tokens)
                times[engine.name].mask.append(mask)
                times[engine.name].advance.append(advance)
    return times


def add_rows(table: Table, case: Case, tokens: list[int], times: dict[str, Times]) -> None:
    """Add the rows of a case: autocog first, which the ratios refer to."""
    ours = next(iter(times.values()))
    for name, each in times.items():
        if each.error:
            table.add_row(name, each.error)
            continue
        ratio = statistics.median(a / b for a, b in zip(each.total, ours.total, strict=True))
        equal = sum(bool((a == b).all()) for a, b in zip(each.masks, ours.masks, strict=True))
        table.add_row(
            name,
            f"{each.compile * 1e3:.2f}",
            f"{each.first * 1e6:.0f}",
            *(f"{statistics.median(row) * 1e6:.0f}" for row in (each.mask, each.advance)),
            f"{ratio:.2f}",
            f"{equal} of {len(tokens)}",
        )


def describe_differences(
    case: Case, tokens: list[int], times: dict[str, Times], vocabulary: list[bytes]
) -> list[str]:
    """Return one line for each engine whose masks differ, with the first difference."""
    ours, *others = times.items()
    lines = []
    for name, each in others:
        for index, (theirs, mask) in enumerate(zip(each.masks, ours[1].masks, strict=False)):
            if (theirs == mask).all():
                continue
            before = b"".join(vocabulary[token] for token in tokens[:index])
            more, fewer = np.flatnonzero(theirs & ~mask), np.flatnonzero(mask & ~theirs)
            shown = [[vocabulary[i] for i in ids[:4]] for ids in (more, fewer)]
            lines.append(
                f"{case.name}, {name}, first after {before!r}: "
                f"{len(more)} tokens more {shown[0]}, {len(fewer)} fewer {shown[1]}"
            )
            break
    return lines


def main() -> None:
    """Print one table for each vocabulary, and the differences of masks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    console = Console(width=110)
    small = small_vocabulary()
    for vocabulary in (small, large_vocabulary(small)):
        console.rule(f"{len(vocabulary):,} tokens")
        tokenizer = make_tokenizer(vocabulary)
        engines: list[Engine] = []
        for kind in ENGINES:
            start = time.perf_counter()
            engines.append(kind(vocabulary))
            console.print(f"{kind.name}: vocabulary read in {time.perf_counter() - start:.2f} s")
        differences = []
        for case in CASES:
            tokens = tokenizer.greedy_tokenize(case.text)
            columns = ("compile, ms", "first, us", "mask, us", "step, us", "ratio", "equal masks")
            table = Table("engine", title=f"{case.name}, {len(tokens)} tokens")
            for column in columns:
                table.add_column(column, justify="right")
            times = measure(engines, case, tokens, rounds)
            add_rows(table, case, tokens, times)
            console.print(table)
            differences += describe_differences(case, tokens, times, vocabulary)
        for line in differences:
            print(line)


if __name__ == "__main__":
    main()
