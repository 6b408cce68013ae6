"""Random automata: the extension against core's evaluator over ctypes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_core import (
    AutocogError,
    Automaton,
    Choose,
    Complete,
    ContextOverflowError,
    Input,
    Template,
    Text,
)
from autocog_llamacpp import LLaMa, loading
from autocog_llamacpp.extension.load import load_extension
from tests.support.llamacpp.drawn_automata import (
    COUNTS,
    MORE_MERGES,
    check_equal,
    compare_sessions,
    favour,
    result_of,
)

pytestmark = pytest.mark.skipif(load_extension().module is None, reason="there is no extension")

#: Architecture, file options and backend options. All but the first need several decodes.
ODD = {"merges": MORE_MERGES, "edit": favour}
KINDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "llama": ("llama", ODD, {}),
    "bos": ("llama", {**ODD, "adds_bos": True}, {"n_batch": 8, "n_seq_max": 3}),
    "sentencepiece": ("llama", {"sentencepiece": True}, {"n_batch": 16}),
    "gemma3": ("gemma3", {**ODD, "seed": 1}, {"n_batch": 16, "n_seq_max": 4}),
    "mamba": ("mamba", {**ODD, "adds_bos": True}, {"n_batch": 16, "n_seq_max": 4}),
}


@pytest.fixture(scope="module")
def pair(gguf_file: Callable[..., Path]) -> Iterator[Callable[[str], tuple[LLaMa, LLaMa]]]:
    """Two models over one file, in C++ and in Python."""
    made: dict[str, tuple[LLaMa, LLaMa]] = {}
    monkeypatch = pytest.MonkeyPatch()

    def of(kind: str) -> tuple[LLaMa, LLaMa]:
        if kind not in made:
            # The trees of these choices are small: larger steps would read them whole.
            monkeypatch.setattr(loading, "NODES_PER_STEP", 1 + len(made) % 2)
            architecture, file, options = KINDS[kind]
            path = str(gguf_file(architecture, **file))
            given = {"n_ctx": 96, "exact": True, "n_threads": 1, **options}
            one, other = (
                LLaMa(**LLaMa.create(model_path=path, use_extension=in_cpp, **given))
                for in_cpp in (True, False)
            )
            made[kind] = (one, other)
        return made[kind]

    yield of
    monkeypatch.undo()
    for models in made.values():
        for model in models:
            model.close()


def compared(pair: Any, examples: int, number: int = 0) -> Counter[str]:
    seen: Counter[str] = Counter()
    for place, kind in enumerate(KINDS):
        seen += compare_sessions(pair(kind), number + place, examples)
    return seen


#: Minimum number of the 300 cases in which each of these must happen, for a meaningful test.
MIN_CASES = {
    **dict.fromkeys(("a text, scored", "a text, given", "more than ASCII"), 20),
    "an empty text": 15,
    **dict.fromkeys(("norm: sum", "norm: mean", "norm: per_byte", "norm: pmi"), 15),
    **dict.fromkeys(("end: none", "end: text", "end: EOS"), 12),
    **dict.fromkeys((f"beams: {beams}" for beams in (1, 2, 3, 4)), 15),
    **dict.fromkeys((f"length_penalty: {p}" for p in (-0.7, 0.0, 0.5, 1.0, 2.0)), 6),
    **dict.fromkeys(("pruned: width", "pruned: threshold", "pruned: max_visits"), 30),
    **dict.fromkeys(("pruned: budget", "pruned: duplicate", "retokenized"), 12),
    **dict.fromkeys(("finish: stop", "finish: eos", "finish: length"), 25),
    **dict.fromkeys(("stopped: paths", "stopped: tokens", "a set of tokens"), 20),
    "a part of the choices": 12,
    "the best of all": 20,
    "successors of their own": 25,
    "pmi after BOS": 3,
    "back to a character's first token": 3,
    "ContextOverflowError": 5,
    "InputError": 3,
}

AUTOMATON = Automaton(
    [
        Text(uid="begin", text="A", successors="q"),
        Text(uid="q", text=Template("{{ q }}: "), evaluate=True, successors="c"),
        Choose(uid="c", choices=("in", "is", "é", "10"), width=2, successors="w", name="c"),
        Complete(uid="w", length=4, beams=3, width=2, stop=("a", "0"), successors="d"),
        Text(uid="d", text=" the", evaluate=True),
    ],
    inputs={"q": Input()},
)
ROWS: list[dict[str, Any]] = [
    {"q": "Paris is in"},
    {"q": "Paris is on"},
    {},
    {"q": "10 é"},
    {"q": "too long " * 40},
    {"q": "Paris is in"},
    {"q": "日" * 9},
    {"p": 1},
    {"q": "an"},
]


def test_some_automata_equal_core(pair: Any) -> None:
    seen = compared(pair, examples=12, number=1)
    assert seen["compared"] >= 60
    never = {case for case, count in MIN_CASES.items() if count >= 12 and not seen[case]}
    assert not never, f"never happened: {never}"


@pytest.mark.soak
def test_many_automata_equal_core(pair: Any) -> None:
    seen = compared(pair, examples=60, number=10)
    assert seen["compared"] >= 300
    seldom = {case: seen[case] for case, count in MIN_CASES.items() if seen[case] < count}
    assert not seldom, f"happened too seldom to say much: {seldom}"


@pytest.mark.parametrize("concurrency", [1, 3, 4])
@pytest.mark.parametrize("kind", ["llama", "gemma3", "mamba"])
def test_rows_equal_core(pair: Any, kind: str, concurrency: int) -> None:
    """Faulty rows do not stop the others, and the errors are those of core."""
    results: list[list[Any]] = []
    for model in pair(kind):
        model.engine.clear_caches()
        rows = AUTOMATON.run_many(model.as_model(), ROWS, concurrency=concurrency)
        results.append(list(rows))
    # How many rows are at work together differs then, and so does what they share.
    counts = COUNTS if concurrency == 1 else ("model_calls", "unique_tokens")
    for found, expected in zip(*results, strict=True):
        check_equal(found, expected, counts)
    errors = [type(found).__name__ for found in results[0] if isinstance(found, AutocogError)]
    assert errors == ["InputError", "ContextOverflowError", "InputError"]
    assert len(results[0]) == len(ROWS)


def test_the_error_names_the_first_path_that_does_not_fit(pair: Any) -> None:
    automaton = Automaton(
        [
            Text(uid="t", text="Paris:", successors="c"),
            Choose(uid="c", choices=("é", "日日日"), width=None, successors="w"),
            Complete(uid="w", length=95),
        ]
    )
    found, expected = (result_of(automaton, model.as_model()) for model in pair("llama"))
    assert isinstance(expected, ContextOverflowError)
    check_equal(found, expected)
