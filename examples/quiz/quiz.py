"""Answer multiple-choice questions with a model, and report how often it is right.

    python examples/quiz/quiz.py [--model NAME] [--config FILE] [--questions FILE] [--limit N]

The program `quiz.yaml` lets the model write a line of reasoning first; then every answer is scored
exactly, by the probability that the model gives to its text.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
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
    """A question with the tree that the program's run came to, and how long it took."""

    question: Question
    tree: autocog.ThoughtTree
    seconds: float

    @cached_property
    def path(self) -> autocog.ThoughtPath:
        """The best path; its end is the answer."""
        return self.tree.best()

    @property
    def pick(self) -> str:
        """The answer that the model picked."""
        return str(self.path.fields["answer"]).removeprefix(" ")

    @property
    def reasoning(self) -> str:
        """What it wrote before."""
        return str(self.path.fields["reasoning"]).strip()

    @property
    def right(self) -> bool:
        """Whether the model picked the right answer."""
        return self.pick == self.question.choices[self.question.answer]


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


def answer_all(
    model: autocog.Model, questions: Sequence[Question], console: Console
) -> list[Answered]:
    """Answer every question, under a progress bar with the score so far."""
    program = autocog.Automaton.from_file(HERE / "quiz.yaml")
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
            start = time.perf_counter()
            inputs = {"question": question.question, "choices": question.choices}
            tree = program.run(model, inputs)
            answered.append(Answered(question, tree, time.perf_counter() - start))
            right = sum(one.right for one in answered)
            progress.update(task, advance=1, right=right)
    return answered


def table_of(answered: Sequence[Answered], width: int) -> Table:
    """One row a question: what the model wrote, its pick, and the right answer if it is another."""
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
        prob = f"{one.path.end.prob:.2f}"
        # What a model writes may hold anything; a table shows one line of it.
        said = "".join(each if each.isprintable() else " " for each in one.reasoning)
        asked = Text.assemble(one.question.question, "\n", (said, "dim"))
        table.add_row(str(number), asked, cell, prob, mark)
    return table


def _answer_cell(one: Answered) -> Text:
    pick = Text(one.pick)
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
    tokens = sum(one.tree.stats["tokens_evaluated"] for one in answered)
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
