"""The template that makes a text of a question: what the model reads, and what it would answer."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self, get_args

from autocog_core.automaton.templates.template import Template
from autocog_core.errors import ConfigError, InputError, suggest
from autocog_core.files import decode_text
from autocog_core.server.decisions.question import Kind, Option, Question

#: How options are scored: as whole texts, or as letters that stand for them.
Method = Literal["text", "letter"]
#: What a template may use.
INPUTS = ("state", "turn", "answer", "kind", "instructions", "options")
#: Characters of the version of a template.
VERSION_LENGTH = 12

# Random marks stand for what is inserted later: no text of a request can imitate them. The quote
# shows whether a template writes the answer as JSON.
_RANDOM = secrets.token_hex(16)
_STATE, _TURN = f"\ue000state {_RANDOM}\ue001", f"\ue000turn {_RANDOM}\ue001"
_ANSWER = f'\ue000"answer {_RANDOM}\ue001'
_MARKS = {"state": _STATE, "turn": _TURN, "answer": _ANSWER}


@dataclass(frozen=True, slots=True)
class QuestionText:
    """The text of a question.

    :ivar before_state: the text before the state.
    :ivar question: the text after the state.
    :ivar answer_start: the beginning of the answer; where a model has a chat template, this
        begins its own turn.
    :ivar answers: the rest of the answer, for each option.
    :ivar has_turn: whether the template says where the turn of the model begins.
    """

    before_state: str
    question: str
    answer_start: str
    answers: tuple[str, ...]
    has_turn: bool


class DecisionTemplate:
    """A template of questions, in Jinja.

    :param source: the text of the template. A line break at its end does not count.
    :param where: the file, for errors.
    :ivar version: a short hash of the text.
    :raises ConfigError: if it is not valid, or does not insert the state and the answer.
    """

    def __init__(self, source: str, where: str) -> None:
        text = source.replace("\r\n", "\n").removesuffix("\n")
        self.version = hashlib.sha256(text.encode()).hexdigest()[:VERSION_LENGTH]
        self._template = Template(text)
        self._writes_json = False
        try:
            self._check_names()
            # Every case, so that its errors are found before the first request.
            for question in _samples():
                for method in ("text", "letter"):
                    self._writes_json = self._check_marks(self._render(question, method))
        except InputError as error:
            raise ConfigError(
                error.message, where=f"{where}, {error.where}", hint=error.hint
            ) from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a template from a file.

        :param path: the file.
        :raises ConfigError: if it cannot be read or is not valid.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"cannot be read: {error.strerror or error}", where=str(path)
            ) from error
        return cls(decode_text(content, str(path), ConfigError), str(path))

    @classmethod
    def default(cls) -> Self:
        """Return the template that is used for models without one of their own."""
        source = files(__package__).joinpath("default.jinja").read_text(encoding="utf-8")
        return cls(source, "default.jinja")

    def text_of(self, question: Question, method: Method) -> QuestionText:
        """Return the text of a question.

        :param question: the question.
        :param method: how its options are scored.
        :raises InputError: if the template fails for this question.
        """
        text = self._render(question, method)
        before, _, rest = text.partition(_STATE)
        mark = _as_json(_ANSWER) if self._writes_json else _ANSWER
        rest, _, end = rest.partition(mark)
        middle, turn, answer_start = rest.partition(_TURN)
        if not turn:
            middle, answer_start = "", rest
        names = _letters(len(question.options))
        if method == "text":
            names = [option.name for option in question.options]
        if self._writes_json:
            names = [_as_json(name) for name in names]
        return QuestionText(
            before, middle, answer_start, tuple([name + end for name in names]), bool(turn)
        )

    def _render(self, question: Question, method: Method) -> str:
        letters = _letters(len(question.options)) if method == "letter" else None
        return self._template.text(
            {
                **_MARKS,
                "kind": question.kind,
                "instructions": question.instructions,
                "options": [
                    {
                        "name": option.name,
                        "description": option.description,
                        "letter": letters[index] if letters else "",
                    }
                    for index, option in enumerate(question.options)
                ],
            }
        )

    def _check_names(self) -> None:
        if self._template.fields.names:
            raise InputError("there are no fields", where="template", hint=f"use {_listed()}")
        for name in sorted(self._template.names - set(INPUTS)):
            hint = suggest(name, INPUTS) or f"use {_listed()}"
            raise InputError(f'unknown name "{name}"', where="template", hint=hint)

    def _check_marks(self, text: str) -> bool:
        """Return whether the answer is written as JSON.

        :raises InputError: unless state, turn and answer are inserted in this order.
        """
        writes_json = _ANSWER not in text
        answer = _as_json(_ANSWER) if writes_json else _ANSWER
        marks = {"state": _STATE, "turn": _TURN, "answer": answer}
        for name, mark in marks.items():
            if text.count(mark) > 1 or (mark not in text and name != "turn"):
                how = "as it is, or with | tojson" if name == "answer" else "without filters"
                raise InputError(
                    f"{{{{ {name} }}}} must be inserted once, for every kind of question, {how}",
                    where="template",
                )
        places = [text.find(mark) for mark in marks.values() if mark in text]
        if places != sorted(places):
            raise InputError(
                "{{ state }} must come first, then {{ turn }}, and {{ answer }} last",
                where="template",
            )
        if not text[text.find(_STATE) + len(_STATE) : text.find(answer)].replace(_TURN, ""):
            raise InputError(
                "there is no text between {{ state }} and {{ answer }}", where="template"
            )
        return writes_json


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _letters(count: int) -> list[str]:
    """Return A to Z, then AA, AB and so on."""
    letters: list[str] = []
    for number in range(1, count + 1):
        name = ""
        while number:
            number, rest = divmod(number - 1, 26)
            name = chr(ord("A") + rest) + name
        letters.append(name)
    return letters


def _listed() -> str:
    return ", ".join(INPUTS)


def _samples() -> list[Question]:
    options = (Option("a"), Option("b", "described"))
    return [
        Question("question", kind, instructions, options)
        for kind in get_args(Kind)
        for instructions in ("", "Which?")
    ]
