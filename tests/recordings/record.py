"""Record the examples again: `python -m tests.recordings.record` (needs SmolLM2).

Run this only if a program, its inputs, or the format of recordings has changed.
"""

from __future__ import annotations

from autocog_core import Automaton, Model, load
from autocog_core.wrappers.record import Record
from tests.recordings.rows import EXAMPLES, HERE, ROWS


def main() -> None:
    """Run each program on the examples' model, and record the model's answers."""
    with load(config=EXAMPLES / "autocog.toml") as loaded:
        for name, row in ROWS.items():
            path = HERE / f"{name}.jsonl.gz"
            path.unlink(missing_ok=True)
            recorder = Record(path=path)
            model = Model(loaded.backend, wrappers=[recorder], name=name)
            print(
                name, Automaton.from_file(EXAMPLES / name / f"{name}.yaml").run(model, row).fields
            )
            recorder.close()


if __name__ == "__main__":
    main()
