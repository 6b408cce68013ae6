"""The best of many choices: in C++ as in core, and no token is evaluated twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_core import EOS, Automaton, Choose, Text
from autocog_llamacpp import LLaMa, loading
from autocog_llamacpp.extension.load import load_extension
from tests.support.llamacpp.drawn_automata import check_equal
from tests.support.llamacpp.tree_calls import check_sequence_lengths
from tests.support.soak import count

pytestmark = [
    pytest.mark.skipif(load_extension().module is None, reason="there is no extension"),
    pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning"),
]
NORMS = ("sum", "mean", "per_byte", "pmi")
Load = Callable[..., LLaMa]


@pytest.fixture
def load(gguf_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Load a tiny model that reads so many nodes in one step."""
    models: list[LLaMa] = []

    def of(nodes_per_step: int, architecture: str = "llama", **options: Any) -> LLaMa:
        monkeypatch.setattr(loading, "NODES_PER_STEP", nodes_per_step)
        path = str(gguf_file(architecture, adds_bos=True))
        given = {"n_ctx": 1024, "n_seq_max": 64, "n_threads": 1, "exact": True, **options}
        models.append(LLaMa(**LLaMa.create(model_path=path, **given)))
        return models[-1]

    yield of
    for model in models:
        model.close()


def draw_choices(generator: random.Random, number: int) -> list[str]:
    """Return different texts with shared beginnings; some begin others."""
    texts = [""]
    while len(texts) <= number:
        text = generator.choice(texts) + "".join(generator.choices("abc.é", k=3))
        if text not in texts:
            texts.append(text)
    return texts[1:]


@pytest.mark.parametrize("nodes_per_step", [1, 5, 12])
def test_automata_in_cpp_equal_core(load: Load, nodes_per_step: int) -> None:
    models = [load(nodes_per_step, use_extension=in_cpp) for in_cpp in (True, False)]
    parts = 0
    for number in range(count(8, 100)):
        generator = random.Random(number)
        choices = draw_choices(generator, generator.choice([1, 7, 40]))
        top = generator.choice([1, 2, 5])
        choose = Choose(
            uid="c",
            choices=choices,
            norm=NORMS[number % len(NORMS)],
            top=top,
            width=generator.randint(1, top),
            suffix=generator.choice([None, "a", EOS]),
            successors="d",
        )
        texts = (
            Text(uid="a", text=f"Text {number % 3}", successors="b"),
            Text(uid="b", text=" ab", evaluate=number % 2 == 0, successors="c"),
        )
        automaton = Automaton(
            [*texts, choose, Choose(uid="d", choices=("b", "abc"), top=1, width=1)]
        )
        trees = [automaton.run(model.as_model()) for model in models]
        check_equal(*trees)
        parts += any(node.prob is None for node in trees[0].nodes)
    assert parts


@pytest.mark.parametrize("norm", ["mean", "pmi"])
@pytest.mark.parametrize("nodes_per_step", [1, 8, 32])
def test_no_token_is_evaluated_twice(load: Load, nodes_per_step: int, norm: str) -> None:
    backend = load(nodes_per_step)
    model, choices = backend.as_model(), draw_choices(random.Random(5), 77)
    # The unconditional prompt is read once, and the header is cached.
    header = "Header. " * 10
    options: dict[str, Any] = {"norm": norm}
    if norm == "pmi":
        options["unconditional_prompt"] = "Any"
    model.choose(header, choices, top=1, **options)
    for number in range(2):
        prompt = f"{header}{number} is the message"
        new = len(model.encode(prompt)) - len(model.encode(header))
        found = model.choose(prompt, choices, top=1, **options)
        assert found.nodes_read is not None
        # The first node is the last token of the prompt.
        assert found.tokens_evaluated == found.nodes_read - 1 + new
        check_sequence_lengths(backend)


@pytest.mark.parametrize("sequences", [1, 2, 5])
def test_few_sequences_change_no_result(load: Load, sequences: int) -> None:
    choices = draw_choices(random.Random(6), 40)
    expected, backend = load(8), load(8, n_seq_max=sequences)
    for norm in NORMS[:3]:
        results = [
            lm.as_model().choose("A text", choices, top=3, norm=norm) for lm in (expected, backend)
        ]
        check_sequence_lengths(backend)
        assert [best.index for best in results[0].top] == [best.index for best in results[1].top]
        for left, right in zip(*(result.top for result in results), strict=True):
            assert left.score == pytest.approx(right.score, abs=1e-4)
