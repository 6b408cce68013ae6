"""Picks of guidance's `select`, in a process of its own; `guidance_picks.py` starts it.

It runs with the Python of an environment that has guidance 0.3.1 and llama-cpp-python, without
autocog. The first line of stdin is the model's file and the choices, the others are prompts, as
JSON. Each answer is one line: the pick and its seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time

from guidance import models, select  # type: ignore[import-not-found,unused-ignore]


def main() -> None:
    """Answer each prompt with guidance's pick."""
    # llama.cpp and guidance print to stdout, too.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    task = json.loads(sys.stdin.readline())
    model = models.LlamaCpp(task["model_path"], n_ctx=2048, echo=False)
    for line in sys.stdin:
        start = time.perf_counter()
        state = model + json.loads(line) + select(task["choices"], name="pick")
        pick = state["pick"]
        answers.write(json.dumps([pick, time.perf_counter() - start]) + "\n")


if __name__ == "__main__":
    main()
