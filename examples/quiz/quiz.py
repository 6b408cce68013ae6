"""Answer multiple-choice questions with a model, and tell how often it is right.

    python examples/quiz/quiz.py [--model NAME] [--config FILE] [--questions FILE] [--limit N]

Every answer is scored exactly, by the probability that the model gives to its text after the
question; nothing is generated.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

import autocog_core as autocog

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Question:
    """A question, its four answers, and which of them is right."""

    question: str
    choices: tuple[str, ...]
    answer: int
    topic: str


@dataclass(frozen=True)
class Answered:
    """A question with the model's scores of its answers, and how long they took."""

    question: Question
    scores: autocog.ChoiceScores
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the model picked the right answer."""
        return self.scores.index == self.question.answer


def read_questions(path: Path, limit: int | None = None) -> list[Question]:
    """The first `limit` questions of a JSONL file.

    :raises InputError: if the file, or a line in it, cannot be read.
    """
    questions = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise autocog.InputError(f"cannot be read: {error}", where=str(path)) from error
    for number, line in enumerate(lines[:limit], start=1):
        try:
            row = json.loads(line)
            question = Question(
                row["question"], tuple(row["choices"]), row["answer"], row.get("topic", "")
            )
            question.choices[question.answer]
        except (ValueError, TypeError, LookupError) as error:
            raise autocog.InputError(
                f"no question with choices and an answer: {error}", where=f"{path}:{number}"
            ) from error
        questions.append(question)
    if not questions:
        raise autocog.InputError("has no questions", where=str(path))
    return questions


def answer(model: autocog.Model, question: Question) -> Answered:
    """Let the model pick an answer."""
    start = time.perf_counter()
    # The blank belongs to the answers: after "Answer:" a model expects it as part of the word.
    choices = [f" {choice}" for choice in question.choices]
    scores = model.choose(f"Question: {question.question}\nAnswer:", choices)
    return Answered(question, scores, time.perf_counter() - start)


def answer_all(
    model: autocog.Model, questions: Sequence[Question], console: Console
) -> list[Answered]:
    """Answer every question, under a progress bar with the score so far."""
    columns = (
        TextColumn("answering"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[right]} right"),
    )
    answered: list[Answered] = []
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=len(questions), right=0)
        for question in questions:
            answered.append(answer(model, question))
            right = sum(one.right for one in answered)
            progress.update(task, advance=1, right=right)
    return answered


def table_of(answered: Sequence[Answered], width: int) -> Table:
    """One row a question: the pick, its probability, and the right answer where it is another."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    cells = [_answer_cell(one) for one in answered]
    # The questions are cut to make room for the answers, which are not.
    digits = len(str(len(answered)))
    longest = max(cell_len(line) for cell in cells for line in cell.plain.splitlines())
    answer = max(len("answer"), min(longest, width // 2 - 10))
    between = 4 * 2
    question = max(10, min(72, width - digits - answer - len("prob") - len("ok") - between))
    table.add_column("#", justify="right", width=digits)
    table.add_column("question", no_wrap=True, overflow="ellipsis", width=question)
    table.add_column("answer", overflow="fold", width=answer)
    table.add_column("prob", justify="right", width=len("prob"))
    table.add_column("", width=len("ok"))
    for number, (one, cell) in enumerate(zip(answered, cells, strict=True), start=1):
        mark = Text("ok", style="green") if one.right else Text("X", style="bold red")
        prob = f"{one.scores.best.prob:.2f}"
        table.add_row(str(number), Text(one.question.question), cell, prob, mark)
    return table


def _answer_cell(one: Answered) -> Text:
    pick = Text(one.question.choices[one.scores.index])
    if one.right:
        return pick
    return pick + Text(f"\nright: {one.question.choices[one.question.answer]}", style="dim")


def summary_of(answered: Sequence[Answered], name: str, backend: str) -> Table:
    """Accuracy beside chance, by topic too, and what it took."""
    total = len(answered)
    right = sum(one.right for one in answered)
    chance = math.fsum(1 / len(one.question.choices) for one in answered) / total
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("model", Text(f"{name} (backend {backend})"))
    table.add_row("accuracy", f"{right / total:.1%} ({right} of {total}); chance is {chance:.1%}")
    for topic in sorted({one.question.topic for one in answered} - {""}):
        of_topic = [one.right for one in answered if one.question.topic == topic]
        share = f"{sum(of_topic) / len(of_topic):.1%} ({sum(of_topic)} of {len(of_topic)})"
        table.add_row(Text(f"  {topic}"), share)
    seconds = math.fsum(one.seconds for one in answered)
    table.add_row("time", f"{seconds / total:.3f} s a question")
    evaluated = [one.scores.evaluated for one in answered]
    if all(count is not None for count in evaluated):
        tokens = sum(count or 0 for count in evaluated)
        table.add_row("tokens", f"{tokens} evaluated, {tokens / total:.1f} a question")
    return table


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Answer multiple-choice questions with a model.")
    parser.add_argument("--model", metavar="NAME", help="a model of the config file")
    parser.add_argument("--config", metavar="FILE", type=Path, default=HERE.parent / "autocog.toml")
    parser.add_argument("--questions", metavar="FILE", type=Path, default=HERE / "questions.jsonl")
    parser.add_argument("--limit", metavar="N", type=int, help="answer only the first N questions")
    found = parser.parse_args(arguments)
    if found.limit is not None and found.limit < 1:
        parser.error("--limit: give 1 or more")
    return found


def quiz(given: argparse.Namespace, out: Console, err: Console) -> None:
    """Load the model, let it answer, and print the result."""
    questions = read_questions(given.questions, given.limit)
    config = autocog.read_config(given.config)
    name, entry = config.model(given.model)
    err.print(f'loading the model "{name}"; the first time this may take a minute ...')
    start = time.perf_counter()
    with autocog.load(name, config=config) as model:
        err.print(f"loaded in {time.perf_counter() - start:.1f} s")
        answered = answer_all(model, questions, err)
    out.print(table_of(answered, out.width))
    out.print()
    out.print(summary_of(answered, name, entry.backend))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the quiz; the exit code."""
    settings: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
    given = parse(arguments)
    err = Console(stderr=True, **settings)
    try:
        quiz(given, Console(**settings), err)
    except autocog.AutocogError as error:
        err.print(Text(f"error: {error}"), soft_wrap=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
