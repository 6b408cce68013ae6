"""The answers of `autocog demo` as a table, and their accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len
from rich.table import Table

from autocog_core.cli.output import escape_controls, facts_table, new_table
from autocog_core.cli.styles import BAD, GOOD
from autocog_core.cli.text import Text
from autocog_core.demo import Answer


def answer_table(answers: Sequence[Answer], width: int) -> Table:
    """Return a table with the reasoning and the answer for each question.

    :param answers: the answers.
    :param width: columns of the terminal.
    """
    table = new_table()
    cells = [_answer_cell(answer) for answer in answers]
    # Long questions are cut to make room for the answers.
    digits = len(str(len(answers)))
    longest = max(cell_len(line) for cell in cells for line in cell.plain.splitlines())
    answer_width = max(len("answer"), min(longest, width // 2 - 10))
    padding = 4 * 2
    other_widths = digits + answer_width + len("prob") + len("ok") + padding
    question_width = max(10, min(72, width - other_widths))
    table.add_column("#", justify="right", width=digits)
    table.add_column("question", no_wrap=True, overflow="ellipsis", width=question_width)
    table.add_column("answer", overflow="fold", width=answer_width)
    table.add_column("prob", justify="right", width=len("prob"))
    table.add_column("", width=len("ok"))
    for number, (answer, cell) in enumerate(zip(answers, cells, strict=True), start=1):
        mark = Text("ok", style=GOOD) if answer.is_right else Text("X", style=BAD)
        reasoning = escape_controls(" ".join(answer.reasoning.split()))
        question = Text.assemble(answer.question.question, "\n", (reasoning, "dim"))
        table.add_row(str(number), question, cell, f"{answer.path.end.prob:.2f}", mark)
    return table


def summary_table(answers: Sequence[Answer], model: str) -> Table:
    """Return a table with the accuracy, also by topic, and the cost.

    :param answers: the answers.
    :param model: the model's name, to show.
    """
    total = len(answers)
    chance = math.fsum(1 / len(answer.question.choices) for answer in answers) / total
    facts = [("model", model), ("accuracy", f"{_share(answers)}; chance is {chance:.1%}")]
    for topic in sorted({answer.question.topic for answer in answers} - {""}):
        of_topic = [answer for answer in answers if answer.question.topic == topic]
        facts.append((f"  {topic}", _share(of_topic)))
    seconds = math.fsum(answer.seconds for answer in answers)
    tokens = sum(answer.tree.stats["tokens_evaluated"] for answer in answers)
    facts.append(("time", f"{seconds / total:.3f} s a question"))
    facts.append(("tokens", f"{tokens} evaluated, {tokens / total:.1f} a question"))
    return facts_table((name, Text(escape_controls(value))) for name, value in facts)


def _share(answers: Sequence[Answer]) -> str:
    right = sum(answer.is_right for answer in answers)
    return f"{right / len(answers):.1%} ({right} of {len(answers)})"


def _answer_cell(answer: Answer) -> Text:
    choice = Text(answer.choice)
    if answer.is_right:
        return choice
    question = answer.question
    return Text.assemble(choice, (f"\nright: {question.choices[question.answer]}", "dim"))
