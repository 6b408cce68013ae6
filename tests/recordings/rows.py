"""Inputs of the examples' programs, for recording and replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
ROWS: dict[str, dict[str, Any]] = {
    "invoices": {"text": "Northern Rail sold 2 tickets to York for 64.50 GBP, paid by card."},
    "multi_label": {"review": "It came two weeks late, and nobody answered my letters."},
    "quiz": {
        "question": "What is the capital of France?",
        "choices": ["Lyon", "Paris", "Rome"],
    },
    "routing": {"message": "Where is my card? I ordered it two weeks ago."},
    "second_opinion": {},
    "shopping_list": {},
    "speed_of_light": {},
    "triage": {"message": "I lost my card and someone is paying with it."},
}
