"""Write the scores of today: `python -m tests.known_scores.record [MODEL ...]`."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

from tests.known_scores.cases import model, scores

MODELS = ("random", "table", "tf", "llamacpp")


def path(name: str) -> Path:
    """Where the scores of a model are kept."""
    return Path(__file__).with_name(f"{name}.json.gz")


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        with model(name) as opened:
            content = json.dumps(scores(opened)).encode("ascii")
        path(name).write_bytes(gzip.compress(content, mtime=0))
        print(name, len(content))
