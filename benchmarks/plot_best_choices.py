"""Draw the seconds of a row as bars, from the JSON files of `best_choices.py` and `many_rows.py`.

python benchmarks/plot_best_choices.py tf.json tf_rows.json --output best_choices.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

ENGINES = {"tf": "Transformers", "llamacpp": "llama.cpp"}
COLORS = {"lm-eval": "#999999", "whole tree": "#88aadd", "top=1": "#1f5fbf"}


class Bar(NamedTuple):
    """One way to find the best label.

    :ivar label: the text beside the bar.
    :ivar way: a key of `COLORS`.
    :ivar seconds: of a row.
    """

    label: str
    way: str
    seconds: float


def read_bars(path: Path) -> list[Bar]:
    """Return the bars of one file."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    engine = ENGINES[results["backend"]]
    if "together" in results:
        rows = results["rows"]
        label = f"{engine}: top=1, {rows} rows together"
        return [Bar(label, "top=1", results["together"]["seconds"] / rows)]
    bars = []
    if "lm-eval seconds" in results:
        bars.append(Bar(f"{engine}: lm-eval, best batch", "lm-eval", results["lm-eval seconds"]))
    for row in results["rows"]:
        if row["norm"] == "sum":
            label = f"{engine}, {row['weights']}: {row['way']}"
            bars.append(Bar(label, row["way"], row["seconds"]))
    return bars


def draw(bars: list[Bar]) -> Figure:
    """Return the picture."""
    figure = Figure(figsize=(8, 0.8 + 0.34 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.barh(
        [bar.label for bar in bars],
        [bar.seconds for bar in bars],
        color=[COLORS[bar.way] for bar in bars],
    )
    axes.bar_label(drawn, [f"{bar.seconds:.2f} s" for bar in bars], padding=4)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(bar.seconds for bar in bars))
    axes.set_xlabel("seconds for each message: the best of 77 intents (banking77)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, help="JSON files")
    parser.add_argument("--output", type=Path, default=Path("best_choices.svg"))
    arguments = parser.parse_args()
    # The same numbers give the same file, with its texts as texts.
    mpl.rcParams.update({"svg.hashsalt": "autocog", "svg.fonttype": "none"})
    bars = [bar for path in arguments.files for bar in read_bars(path)]
    draw(bars).savefig(arguments.output, metadata={"Date": None})


if __name__ == "__main__":
    main()
