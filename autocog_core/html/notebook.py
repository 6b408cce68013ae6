"""Results in a cell of a notebook: small pieces of HTML without styles or scripts of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from autocog_core.html.page import render_template
from autocog_core.html.tokens import logprob_text, prob_text
from autocog_core.model.model import Model
from autocog_core.records.result import TypedRecord
from autocog_core.types.choice import ChoiceScores
from autocog_core.types.choice_notes import choice_notes, top_notes
from autocog_core.types.completion import Completion
from autocog_core.types.share_bar import block_bar
from autocog_core.types.thought_tree import ThoughtTree
from autocog_core.types.top_choices import TopChoice, TopChoices
from autocog_core.viz.tree_text import tree_text

#: Of many choices, the likeliest are shown.
_MAX_CHOICES = 10
_TREE_COLUMNS = 80
_TREE_LINES = 60
_BAR_PIXELS = 120


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a table: what it is about, its share with a bar, and a number."""

    names: tuple[str, ...]
    low: float | None
    high: float | None
    number: str = ""
    is_best: bool = False
    share: str = field(init=False)

    def __post_init__(self) -> None:
        same = self.low == self.high
        text = prob_text(self.low) if same else f"{prob_text(self.low)} to {prob_text(self.high)}"
        object.__setattr__(self, "share", text)

    @property
    def pixels(self) -> int:
        """The length of its bar."""
        return round(_BAR_PIXELS * (self.low or 0.0))


def choices_in_cell(scores: ChoiceScores | TopChoices) -> str:
    """Return the choices as a table, the likeliest first."""
    rows = list(_choice_rows(scores))
    notes = choice_notes(scores) if isinstance(scores, ChoiceScores) else top_notes(scores)
    left_out = len(rows) - _MAX_CHOICES
    if left_out > 0:
        notes = [f"and {left_out:,} more choice{'' if left_out == 1 else 's'}", *notes]
    return render_template(
        "cell_table.html",
        names=("choice", "probability", "logprob"),
        rows=rows[:_MAX_CHOICES],
        notes=notes,
    )


def record_in_cell(record: TypedRecord[Any]) -> str:
    """Return the fields of a record as a table."""
    rows = [
        _Row((each.path or "(the record)", _json(each.value)), each.prob, each.prob)
        for each in record.fields.values()
    ]
    notes = [f"probability of the record {prob_text(record.prob)}"]
    if not record.exact:
        notes.append(f"not exact: {record.reason}")
    return render_template(
        "cell_table.html", names=("field", "value", "probability"), rows=rows, notes=notes
    )


def completion_in_cell(completion: Completion) -> str:
    """Return the text of a completion, and its numbers."""
    notes = [f"ended by {completion.finish_reason}"]
    if completion.logprob is not None:
        logprob = completion.logprob
        notes.append(f"log-probability {logprob_text(logprob)}, {prob_text(math.exp(logprob))}")
    if completion.alternatives:
        number = len(completion.alternatives)
        notes.append(f"and {number:,} other completion{'' if number == 1 else 's'}")
    return render_template("cell_text.html", text=completion.text, notes=notes, wraps=True)


def model_in_cell(model: Model) -> str:
    """Return what a model is, and what it offers, as a table."""
    if model.client.is_closed:
        return render_template("cell_text.html", text=repr(model), notes=(), wraps=True)
    info = model.info
    length = "no limit" if info.context_length is None else f"{info.context_length:,} tokens"
    facts = [
        ("model", info.name),
        ("vocabulary", f"{info.vocabulary_size:,} tokens"),
        ("context", length),
        ("tolerance", f"{info.tolerance:g} nats a token"),
    ]
    return render_template("cell_facts.html", facts=facts)


def tree_in_cell(tree: ThoughtTree) -> str:
    """Return a tree as text, one line a node."""
    drawing = tree_text(tree, _TREE_COLUMNS, lines=_TREE_LINES, bar=block_bar)
    return render_template("cell_text.html", text=drawing.plain, notes=(), wraps=False)


def _choice_rows(scores: ChoiceScores | TopChoices) -> Iterator[_Row]:
    if isinstance(scores, TopChoices):
        choices: list[Any] = list(scores.top)
    else:
        # Stable: of equally likely ones, the first. The best one may share its rounded number.
        choices = sorted(scores.scores, key=lambda each: (each is not scores.best, -each.prob))
    for choice in choices:
        low = high = choice.prob
        if isinstance(choice, TopChoice) and choice.prob is None:
            low, high = choice.prob_bounds
        logprob = logprob_text(choice.logprob) if choice.token_logprobs else ""
        is_best = (
            choice.index == scores.index
            if isinstance(choice, TopChoice)
            else (choice is scores.best)
        )
        yield _Row((_json(choice.choice),), low, high, logprob, is_best)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
