"""The quiz of `autocog demo`: its questions, and the answers of a model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from autocog_core.errors import InputError
from autocog_core.model.automaton import Automaton
from autocog_core.model.model import Model
from autocog_core.types.thought_tree import ThoughtPath, ThoughtTree

_HERE = Path(__file__).parent
#: The files of examples/quiz: wheels have a copy (pyproject.toml), a checkout has the folder.
FOLDER = next(
    (
        folder
        for folder in (_HERE / "quiz", _HERE.parents[1] / "examples" / "quiz")
        if folder.is_dir()
    ),
    _HERE,
)
PROGRAM = FOLDER / "quiz.yaml"
QUESTIONS = FOLDER / "questions.jsonl"


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A model's answer to one question.

    :ivar question: the question.
    :ivar tree: the tree of the program's run.
    :ivar seconds: duration of the run.
    """

    question: Question
    tree: ThoughtTree
    seconds: float

    @cached_property
    def path(self) -> ThoughtPath:
        """The best path, which ends with the answer."""
        return self.tree.best()

    @property
    def choice(self) -> str:
        """The answer that the model chose."""
        return str(self.path.fields["answer"]).strip()

    @property
    def reasoning(self) -> str:
        """The model's reasoning before the answer."""
        return str(self.path.fields["reasoning"]).strip()

    @property
    def is_right(self) -> bool:
        """Whether the model chose the right answer."""
        return self.choice == self.question.choices[self.question.answer].strip()


def read_questions(path: Path, limit: int | None = None) -> list[Question]:
    """Read the first `limit` questions of a JSONL file.

    :raises InputError: if the file, or a line in it, cannot be read.
    """
    questions = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error
    for number, line in enumerate(lines[:limit], start=1):
        try:
            row = json.loads(line)
            question = Question(
                question=row["question"],
                choices=tuple(row["choices"]),
                answer=row["answer"],
                topic=row.get("topic", ""),
            )
            if type(question.answer) is not int or not 0 <= question.answer < len(question.choices):
                raise ValueError(f"answer is {question.answer!r}, not the index of a choice")
        except (ValueError, TypeError, LookupError) as error:
            raise InputError(
                f"is not a question with choices and an answer: {error}", where=f"{path}:{number}"
            ) from error
        questions.append(question)
    if not questions:
        raise InputError("has no questions", where=str(path))
    return questions


def answer_all(
    model: Model, questions: Sequence[Question], on_answer: Callable[[Sequence[Answer]], None]
) -> list[Answer]:
    """Answer every question.

    :param model: the model.
    :param questions: the questions.
    :param on_answer: called after each answer with those so far.
    """
    program = Automaton.from_file(PROGRAM)
    answers: list[Answer] = []
    for question in questions:
        start = time.perf_counter()
        tree = program.run(model, {"question": question.question, "choices": question.choices})
        answers.append(Answer(question=question, tree=tree, seconds=time.perf_counter() - start))
        on_answer(answers)
    return answers
