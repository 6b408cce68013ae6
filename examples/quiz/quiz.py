"""Answer multiple-choice questions with a model, and print its accuracy.

    python examples/quiz/quiz.py [--model NAME] [--config FILE] [--questions FILE] [--limit N]

With the program `quiz.yaml`, the model first writes a line of reasoning. Each answer then gets the
exact probability of its text.
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
    """A multiple-choice question.

    :ivar question: the text of the question.
    :ivar choices: the possible answers.
    :ivar answer: index of the right answer.
    :ivar topic: the topic; may be empty.
    """

    question: str
    choices: tuple[str, ...]
    answer: int
    topic: str


@dataclass(frozen=True)
class Result:
    """Result of one question.

    :ivar question: the question.
    :ivar tree: the tree of the program's run.
    :ivar seconds: duration of the run.
    """

    question: Question
    tree: autocog.ThoughtTree
    seconds: float

    @cached_property
    def path(self) -> autocog.ThoughtPath:
        """The best path, which ends with the answer."""
        return self.tree.best()

    @property
    def choice(self) -> str:
        """The answer that the model chose."""
        return str(self.path.fields["answer"]).removeprefix(" ")

    @property
    def reasoning(self) -> str:
        """The model's reasoning before the answer."""
        return str(self.path.fields["reasoning"]).strip()

    @property
    def is_right(self) -> bool:
        """Whether the model chose the right answer."""
        return self.choice == self.question.choices[self.question.answer]


def read_questions(path: Path, limit: int | None = None) -> list[Question]:
    """Read the first `limit` questions of a JSONL file.

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
                f"is not a question with choices and an answer: {error}", where=f"{path}:{number}"
            ) from error
        questions.append(question)
    if not questions:
        raise autocog.InputError("has no questions", where=str(path))
    return questions


def answer_all(
    model: autocog.Model, questions: Sequence[Question], console: Console
) -> list[Result]:
    """Answer every question, and show the progress."""
    program = autocog.Automaton.from_file(HERE / "quiz.yaml")
    columns = (
        TextColumn("answering"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[right]} right"),
    )
    results: list[Result] = []
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as progress:
        task = progress.add_task("", total=len(questions), right=0)
        for question in questions:
            start = time.perf_counter()
            inputs = {"question": question.question, "choices": question.choices}
            tree = program.run(model, inputs)
            results.append(Result(question, tree, time.perf_counter() - start))
            right = sum(result.is_right for result in results)
            progress.update(task, advance=1, right=right)
    return results


def make_table(results: Sequence[Result], width: int) -> Table:
    """Return a table with the reasoning and the answer for each question."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    cells = [_answer_cell(result) for result in results]
    # Long questions are cut to make room for the answers.
    digits = len(str(len(results)))
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
    for number, (result, cell) in enumerate(zip(results, cells, strict=True), start=1):
        mark = Text("ok", style="green") if result.is_right else Text("X", style="bold red")
        prob = f"{result.path.end.prob:.2f}"
        # The model may write control characters.
        reasoning = "".join(char if char.isprintable() else " " for char in result.reasoning)
        question = Text.assemble(result.question.question, "\n", (reasoning, "dim"))
        table.add_row(str(number), question, cell, prob, mark)
    return table


def _answer_cell(result: Result) -> Text:
    choice = Text(result.choice)
    if result.is_right:
        return choice
    question = result.question
    return choice + Text(f"\nright: {question.choices[question.answer]}", style="dim")


def make_summary(results: Sequence[Result], name: str, backend: str) -> Table:
    """Return a table with the accuracy, also by topic, and the cost."""
    total = len(results)
    right = sum(result.is_right for result in results)
    chance = math.fsum(1 / len(result.question.choices) for result in results) / total
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("model", Text(f"{name} (backend {backend})"))
    table.add_row("accuracy", f"{right / total:.1%} ({right} of {total}); chance is {chance:.1%}")
    for topic in sorted({result.question.topic for result in results} - {""}):
        is_right = [result.is_right for result in results if result.question.topic == topic]
        share = f"{sum(is_right) / len(is_right):.1%} ({sum(is_right)} of {len(is_right)})"
        table.add_row(Text(f"  {topic}"), share)
    seconds = math.fsum(result.seconds for result in results)
    table.add_row("time", f"{seconds / total:.3f} s a question")
    tokens = sum(result.tree.stats["tokens_evaluated"] for result in results)
    table.add_row("tokens", f"{tokens} evaluated, {tokens / total:.1f} a question")
    return table


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Answer multiple-choice questions with a model.")
    parser.add_argument("--model", metavar="NAME", help="a model of the config file")
    parser.add_argument("--config", metavar="FILE", type=Path, default=HERE.parent / "autocog.toml")
    parser.add_argument("--questions", metavar="FILE", type=Path, default=HERE / "questions.jsonl")
    parser.add_argument("--limit", metavar="N", type=int, help="answer only the first N questions")
    options = parser.parse_args(arguments)
    if options.limit is not None and options.limit < 1:
        parser.error("--limit: give 1 or more")
    return options


def quiz(options: argparse.Namespace, out: Console, err: Console) -> None:
    """Load the model, answer the questions, and print the results."""
    questions = read_questions(options.questions, options.limit)
    config = autocog.read_config(options.config)
    name, entry = config.model(options.model)
    err.print(f'loading the model "{name}"; the first time this may take a minute ...')
    start = time.perf_counter()
    with autocog.load(name, config=config) as model:
        err.print(f"loaded in {time.perf_counter() - start:.1f} s")
        results = answer_all(model, questions, err)
    out.print(make_table(results, out.width))
    out.print()
    out.print(make_summary(results, name, entry.backend))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the quiz, and return the exit code."""
    settings: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
    options = parse(arguments)
    err = Console(stderr=True, **settings)
    try:
        quiz(options, Console(**settings), err)
    except autocog.AutocogError as error:
        err.print(Text(f"error: {error}"), soft_wrap=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
