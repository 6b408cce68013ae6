"""SmolLM2-135M: exact in float32, within the declared tolerance otherwise, and small in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import Automaton
from autocog_core.config.options import package_file
from autocog_llamacpp import LLaMa
from autocog_llamacpp.extension.load import load_extension
from autocog_llamacpp.gguf.quantize import quantize
from tests.recordings.rows import EXAMPLES, ROWS
from tests.support.llamacpp.drawn_automata import check_equal, result_of
from tests.support.llamacpp.gguf_models import SMOL
from tests.support.llamacpp.plain_llama import Plain
from tests.support.soak import SOAK, count

pytestmark = pytest.mark.slow

REPEATED = "Answer with one word, and be brief. " * count(2, 8)
PROMPT = REPEATED + "Which river flows through Paris?\nAnswer:"
CHOICES = [" The Seine", " The Rhine", " The Thames", " Seine", " The river Seine of Paris", " No"]


@pytest.fixture(scope="module")
def files(smol_f32: Path) -> dict[str, Path]:
    """The same model with weights of several types."""
    found = {"F32": smol_f32, "Q4_1": package_file(SMOL)}
    for kind in ("F16", "Q8_0") if SOAK else ():
        found[kind] = smol_f32.with_name(f"smol-{kind}.gguf")
        quantize(smol_f32, found[kind], kind)
    return found


def one_by_one(model: LLaMa, tokens: list[int], begin: int) -> list[float]:
    """The log-probabilities of tokens[begin:], each token decoded alone, from nothing."""
    model.engine.clear_caches()
    rows = [model.greedy(tokens[:end]) for end in range(1, len(tokens))]
    return [float(rows[end - 1][tokens[end]]) for end in range(begin, len(tokens))]


def cell(weights: str, *, exact: bool) -> Any:
    """Weights and mode; the two that are used most are always tested."""
    marks = [] if (weights, exact) in {("Q4_1", False), ("F32", True)} else [pytest.mark.soak]
    return pytest.param(
        weights, exact, marks=marks, id=f"{weights}-{'exact' if exact else 'default'}"
    )


@pytest.mark.parametrize(
    ("weights", "exact"),
    [cell(kind, exact=e) for kind in ("Q4_1", "Q8_0", "F16", "F32") for e in (False, True)],
)
def test_a_tree_is_within_the_tolerance(files: dict[str, Path], weights: str, exact: bool) -> None:
    # Threads that wait for one another take several times as long on a busy machine.
    options = {"n_ctx": 512, "exact": exact, "n_threads": count(1, 0)}
    created = LLaMa.create(model_path=str(files[weights]), **options)
    model = LLaMa(**created)
    info = model.as_model().info
    assert info.details["weights"] == weights
    base = model.as_model().encode(PROMPT)
    apart: list[float] = []
    for score in model.choose(PROMPT, CHOICES).scores[: count(2, len(CHOICES))]:
        slow = one_by_one(model, [*base, *score.tokens], len(base))
        apart += np.abs(np.subtract(slow, score.token_logprobs)).tolist()
    print(f"{weights}: {max(apart):.2g} nats, allowed {info.tolerance}")
    assert max(apart) <= info.tolerance
    if weights == "F16":
        assert np.quantile(apart, 0.99) < 0.04
    model.close()


def test_exact_mode_equals_the_reference_in_float32(smol_f32: Path) -> None:
    model = LLaMa(**LLaMa.create(model_path=str(smol_f32), n_ctx=512, exact=True))
    plain = Plain(smol_f32)
    base = model.as_model().encode(PROMPT)
    for score in model.choose(PROMPT, CHOICES).scores:
        rows = plain.rows([*base, *score.tokens])[len(base) - 1 : -1]
        expected = rows[np.arange(len(score.tokens)), list(score.tokens)]
        assert np.abs(expected - np.array(score.token_logprobs)).max() < 1e-4
    model.close()


def test_the_model_gives_sensible_answers(smol: Any) -> None:
    result = smol.choose("The capital of France is", [" Paris", " Lyon", " Rome"])
    assert result.choice == " Paris"
    assert result.best.logprob == pytest.approx(-0.26, abs=0.2)
    assert smol.complete("The capital of France is", max_tokens=3).text.startswith(" Paris")


MEMORY = """
import re, sys
import llama_cpp
import autocog_llamacpp.loading

def anonymous():
    return int(re.search(r"RssAnon:\\\\s+(\\\\d+)", open("/proc/self/status").read())[1]) / 1024

before = anonymous()
from autocog_llamacpp import LLaMa
model = LLaMa(**LLaMa.create(model_path=sys.argv[1], n_ctx=2048, n_threads=1)).as_model()
model.choose("word " * 300, [" a", " b c"])
model.complete("word " * 300, max_tokens=20, n=3, temperature=1.0)
model.choose("Number", [f" {n} and" for n in range(1000, 1400)])
# Keys and values of 30 layers and 3 heads of 64, in half precision.
cache = 2048 * 30 * 3 * 64 * 2 * 2 / 2**20
grown = anonymous() - before - cache
print(f"{grown:.0f} MB beyond the cache of {cache:.0f} MB")
assert grown < 120, grown
""".replace("\\\\", "\\")


@pytest.mark.soak
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_beyond_the_cache_is_small() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, SMOL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    print(done.stdout)


@pytest.mark.skipif(load_extension().module is None, reason="there is no extension")
@pytest.mark.parametrize(
    "example",
    [
        pytest.param(e, marks=[pytest.mark.soak] * (e != "triage"))
        # It uses fields, which core alone evaluates.
        for e in sorted(ROWS.keys() - {"second_opinion"})
    ],
)
def test_examples_in_cpp_equal_core(smol_f32: Path, example: str) -> None:
    program = Automaton.from_file(EXAMPLES / example / f"{example}.yaml").bind(ROWS[example])
    found = []
    for way in (True, False):
        options = {"n_ctx": 2048, "exact": True, "n_threads": count(1, 0), "use_extension": way}
        created = LLaMa.create(model_path=str(smol_f32), **options)
        model = LLaMa(**created)
        found.append(result_of(program, model.as_model()))
        model.close()
    check_equal(*found)
    assert found[0].provenance["evaluator"] == "engine"
