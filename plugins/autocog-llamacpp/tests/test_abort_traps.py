"""Inputs that make llama.cpp abort the process: here they must be errors, in a child process.

For some inputs, a test shows that llama.cpp itself aborts.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

PREPARE = """
import sys
from autocog_core import AutocogError, ContextOverflowError, ModelLoadError
from autocog_llamacpp import LLaMa

def load(**options):
    given = {"model_path": sys.argv[1], "n_ctx": 256, "exact": True, "n_threads": 1, **options}
    return LLaMa(**LLaMa.create(**given)).as_model()

def works(model):
    assert model.choose("a b", ["c", "de"]).tokens_evaluated

def refused(kind, call):
    try:
        call()
    except kind as error:
        print("refused:", error)
    else:
        raise SystemExit("not refused")
"""

#: By name: the architecture of the file, and code that would make llama.cpp abort.
TRAPS = {
    "prompt longer than the context": (
        "llama",
        """
        model = load()
        refused(ContextOverflowError, lambda: model.greedy("x" * 400))
        refused(ContextOverflowError, lambda: model.choose("x" * 250, ["y" * 20, "z"]))
        refused(ContextOverflowError, lambda: model.complete("x" * 200, max_tokens=100))
        works(model)
        """,
    ),
    "prompt longer than a batch": (
        "llama",
        """
        model = load(n_batch=8, n_ubatch=8)
        model.greedy("x" * 200)
        works(model)
        """,
    ),
    "more branches than sequences": (
        "llama",
        """
        model = load(n_seq_max=4)
        found = model.choose("Number", [str(n) for n in range(1000, 1400)])
        assert len(found.scores) == 400
        works(model)
        """,
    ),
    "more branches than llama.cpp's 256 sequences": (
        "llama",
        """
        refused(AutocogError, lambda: load(n_seq_max=257))
        model = load(n_seq_max=256)
        found = model.choose("Number", [str(n) for n in range(1000, 1400)])
        assert len(found.scores) == 400
        """,
    ),
    "more rows of logits than there is room for": (
        "llama",
        """
        model = load(n_seq_max=2)
        model.choose("Once", ["a long choice with many nodes", "another that has as many"])
        works(model)
        """,
    ),
    "positions that go back: a strict prefix of what is in memory": (
        "llama",
        """
        model = load()
        tokens = model.encode("one two three four")
        for length in (len(tokens), 3, len(tokens) - 1, 1, 2):
            model.greedy(tokens[:length])
        """,
    ),
    "sequence sets that are not nested: branches that fork at every depth": (
        "llama",
        """
        model = load(n_batch=3)
        model.choose("Go", ["aaaa", "aaab", "aabb", "abbb", "bbbb", "b", "ab", "abba"])
        model.choose("Go", ["bb", "aa"])
        works(model)
        """,
    ),
    "full cells": (
        "llama",
        """
        model = load()
        for letter in "abcdefgh":
            model.choose(letter * 200, ["x" * 40, "y" * 40, "z" * 40])
        """,
    ),
    "recurrent state taken back in part": (
        "mamba",
        """
        model = load()
        tokens = model.encode("one two three four")
        for length in (len(tokens), 3, len(tokens) - 1, 1, 2):
            model.greedy(tokens[:length])
        works(model)
        """,
    ),
    "hybrid memory taken back in part": (
        "lfm2",
        """
        model = load(n_seq_max=2)
        tokens = model.encode("one two three four")
        for length in (len(tokens), 3, len(tokens) - 1, 1, 2):
            model.greedy(tokens[:length])
        model.complete("one", max_tokens=5, n=5, temperature=1.0)
        works(model)
        """,
    ),
    "token ids outside the vocabulary": (
        "llama",
        """
        model = load()
        refused(AutocogError, lambda: model.greedy([1, 2, 10**6]))
        refused(AutocogError, lambda: model.greedy([-1]))
        works(model)
        """,
    ),
    "a KV cache that no memory holds": (
        "llama",
        """
        refused(ModelLoadError, lambda: load(n_ctx=10**9))
        works(load())
        """,
    ),
    "a truncated file": (
        "llama",
        """
        import pathlib
        whole = pathlib.Path(sys.argv[1]).read_bytes()
        for share in (0, 3, 20, len(whole) // 3, len(whole) - 1000):
            part = pathlib.Path(sys.argv[1] + ".part")
            part.write_bytes(whole[:share])
            refused(ModelLoadError, lambda: load(model_path=str(part)))
        works(load())
        """,
    ),
    "a file that is none": (
        "llama",
        """
        refused(AutocogError, lambda: load(model_path=sys.executable))
        works(load())
        """,
    ),
}

RAW = """
import sys, llama_cpp
llama_cpp.llama_backend_init()
weights = llama_cpp.llama_model_load_from_file(
    sys.argv[1].encode(), llama_cpp.llama_model_default_params())
parameters = llama_cpp.llama_context_default_params()
parameters.n_ctx, parameters.n_batch, parameters.n_ubatch = 256, 8, 8
parameters.n_seq_max = 4
"""

#: What the bare library does not survive.
FATAL = {
    "batch": """
        context = llama_cpp.llama_init_from_model(weights, parameters)
        batch = llama_cpp.llama_batch_init(16, 0, 1)
        batch.n_tokens = 16
        for i in range(16):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = 1, i, 1, 0
            batch.seq_id[i][0] = 0
        llama_cpp.llama_decode(context, batch)
        """,
    "sequence": """
        parameters.kv_unified = True
        context = llama_cpp.llama_init_from_model(weights, parameters)
        memory = llama_cpp.llama_get_memory(context)
        llama_cpp.llama_memory_seq_cp(memory, 0, 256, 0, -1)
        """,
    "copy of a part": """
        context = llama_cpp.llama_init_from_model(weights, parameters)
        memory = llama_cpp.llama_get_memory(context)
        llama_cpp.llama_memory_seq_cp(memory, 0, 1, 0, 8)
        """,
    "rows": """
        parameters.n_outputs_max = 4
        context = llama_cpp.llama_init_from_model(weights, parameters)
        batch = llama_cpp.llama_batch_init(8, 0, 1)
        batch.n_tokens = 8
        for i in range(8):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = 1, i, 1, 1
            batch.seq_id[i][0] = 0
        llama_cpp.llama_decode(context, batch)
        """,
}


def run(source: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", source, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def trap_of(gguf_file: Callable[..., Path], name: str) -> str:
    """What runs into a trap, as a program that says its name first."""
    architecture, source = TRAPS[name]
    begin = f"print({name!r}, flush=True)\nsys.argv[1] = {str(gguf_file(architecture))!r}\n"
    return begin + textwrap.dedent(source)


def test_wrong_input_is_an_error_and_not_an_abort(gguf_file: Callable[..., Path]) -> None:
    """In one process, because starting one takes longer. The last printed name is the failure."""
    traps = [trap_of(gguf_file, name) for name in TRAPS]
    done = run("\n".join([PREPARE, *traps]), gguf_file())
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-2000:]


@pytest.mark.soak
@pytest.mark.parametrize("trap", TRAPS)
def test_wrong_input_is_an_error_in_a_new_process(
    gguf_file: Callable[..., Path], trap: str
) -> None:
    done = run(PREPARE + trap_of(gguf_file, trap), gguf_file())
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no signals to tell an abort by")
@pytest.mark.parametrize(
    "breach", [pytest.param(name, marks=[pytest.mark.soak] * (name != "batch")) for name in FATAL]
)
def test_the_bare_library_aborts(gguf_file: Callable[..., Path], breach: str) -> None:
    done = run(RAW + textwrap.dedent(FATAL[breach]), gguf_file())
    assert done.returncode == -signal.SIGABRT, done.stderr[-2000:]
