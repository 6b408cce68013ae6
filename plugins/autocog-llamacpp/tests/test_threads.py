"""The number of llama.cpp's threads, and how they wait."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autocog_llamacpp import loading
from tests.support.processes import child_environment

CREATE = """
import os, sys
from autocog_llamacpp import LLaMa
for _ in range(2):
    model = LLaMa(**LLaMa.create(model_path=sys.argv[1], n_ctx=64, n_threads=int(sys.argv[2])))
    model.choose("The", [" a", " b"])
    model.close()
print(os.environ.get("GOMP_SPINCOUNT"))
"""


def run(code: str, *arguments: object, **variables: str) -> tuple[str, str]:
    """Run code in a process in which nobody has set how threads wait; return stdout, stderr."""
    environment = child_environment(**variables)
    environment.pop("OMP_WAIT_POLICY", None)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip(), done.stderr


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="needs Linux")
def test_threads_wait_briefly_and_a_library_loaded_before_is_reported_once(
    gguf_file: Callable[..., Path],
) -> None:
    tiny_path = gguf_file("llama")
    assert run(CREATE, tiny_path, 2) == ("5000", "")
    assert run(CREATE, tiny_path, 2, GOMP_SPINCOUNT="7") == ("7", "")
    output, errors = run("import llama_cpp\n" + CREATE, tiny_path, 2)
    if "libgomp" in errors or "libomp" in errors:
        assert errors.count("was loaded before autocog could set") == 1
        assert errors.count("\n") == 1
    assert output == "5000"


def test_threads_fit_into_the_container_unless_the_option_says_otherwise(
    make_llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading.loky, "cpu_count", lambda only_physical_cores: 8)
    monkeypatch.setattr(loading, "limit_threads", lambda count: min(count, 3))

    def threads(**options: int) -> tuple[int, int]:
        details = make_llama(**options).engine.info.details
        return details["threads"], details["threads_batch"]

    assert threads(n_threads=0) == (3, 3)
    assert threads(n_threads=5) == (5, 5)
    assert threads(n_threads=1, n_threads_batch=2) == (1, 2)
    assert threads(n_threads=0, n_threads_batch=2) == (3, 2)
