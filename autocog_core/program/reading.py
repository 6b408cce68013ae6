"""Program files into automata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autocog_core.errors import InputError
from autocog_core.fta.actions import Action, Choose, Complete, Text
from autocog_core.fta.automaton import Automaton
from autocog_core.fta.checks import Finding
from autocog_core.fta.inputs import READERS, REQUIRED, Input
from autocog_core.fta.templates import Each, Template, has_marks
from autocog_core.fta.vocabularies import Vocabulary
from autocog_core.pieces import Prompt, TextPiece
from autocog_core.program import older, shape
from autocog_core.program.document import Document, Path_, read_document
from autocog_core.program.faults import Fault, refuse, shape_faults
from autocog_core.program.vocabs import check_names, read_vocabs, vocab_of
from autocog_core.types import EOS


def read_file(path: Path) -> Automaton:
    """The automaton in a .yaml or .json file.

    :raises InputError: naming every fault by file, line and action.
    """
    return _read(read_document(path), str(path))


def read_data(data: Mapping[str, Any]) -> Automaton:
    """The automaton that plain data says.

    :raises InputError: naming every fault by its place in the data.
    """
    return _read(Document(data, {}), "program")


def _read(document: Document, where: str) -> Automaton:
    data = document.data
    if not isinstance(data, Mapping):
        raise InputError(
            "is no program", where=where, hint='a program is a mapping with a list "actions"'
        )
    if older.is_older(data):
        data, faults = older.translated(data)
        if faults:
            raise refuse(faults, document, where)
    try:
        program = shape.ProgramShape.model_validate(data)
    except ValidationError as error:
        raise refuse(list(shape_faults(error, data)), document, where) from None
    found: list[Fault] = []
    automaton = _Builder(program, found).automaton()
    found += [_located(one, automaton) for one in automaton.faults() if not _same(one, found)]
    if found:
        raise refuse(found, document, where)
    return automaton


def _same(finding: Finding, faults: list[Fault]) -> bool:
    """Whether a fault of the automaton only follows from one of the file."""
    return bool(faults) and "unknown vocab" in finding.what


def _located(finding: Finding, automaton: Automaton) -> Fault:
    for number, action in enumerate(automaton.actions):
        if action.uid == finding.uid:
            return Fault(("actions", number), finding.what)
    return Fault((), str(finding))


class _Builder:
    """An automaton out of a program of the right shape.

    :param faults: where what is wrong goes to.
    """

    def __init__(self, program: shape.ProgramShape, faults: list[Fault]) -> None:
        self._program = program
        self._faults = faults
        self._uids = _uids(program.actions)
        self._ends = False

    def automaton(self) -> Automaton:
        """The automaton, as far as it can be made."""
        program = self._program
        vocabs = read_vocabs(program.vocabs, self._faults)
        actions = [self._action(number, vocabs) for number in range(len(program.actions))]
        if self._ends:
            actions.append(Text(uid=self._end_uid, text=""))
        return Automaton(
            actions,
            vocabs,
            {name: self._input(name, one) for name, one in program.inputs.items()},
            description=program.description,
            metadata=program.metadata,
        )

    def _input(self, name: str, one: Any) -> Input:
        if isinstance(one, str):
            return Input(one)  # type: ignore[arg-type]
        default: Any = one.default if "default" in one.model_fields_set else REQUIRED
        if default is not REQUIRED and default is not None:
            try:
                default = READERS[one.type](default)
            except (ValueError, TypeError):
                self._faults.append(
                    Fault(("inputs", name, "default"), f"is no {one.type}: {default!r}")
                )
        if not name.isidentifier() or name.startswith("_"):
            self._faults.append(Fault(("inputs", name), "is no name that a template can use"))
        return Input(one.type, default, one.description)

    def _action(self, number: int, vocabs: Mapping[str, Vocabulary]) -> Action:
        one = self._program.actions[number]
        common: dict[str, Any] = {
            "uid": self._uids[number],
            "name": one.name,
            "model": one.model,
            "max_visits": one.max_visits,
            "metadata": one.metadata,
        }
        following = self._following(number)
        match one:
            case shape.TextShape():
                successors = () if following is None else (following,)
                return Text(**common, successors=successors, text=_text(one), evaluate=one.evaluate)
            case shape.ChooseShape():
                return self._choose(number, one, common, following)
        assert isinstance(one, shape.CompleteShape)
        if one.vocab is not None:
            path: Path_ = ("actions", number, "vocab")
            self._faults.extend(check_names(one.vocab, vocabs, path))
        same = set(shape.CompleteShape.model_fields) - set(shape.ActionShape.model_fields)
        fields = {name: getattr(one, name) for name in same - {"type", "vocab"}}
        named = one.vocab is None or isinstance(one.vocab, str)
        vocab: Any = one.vocab if named else vocab_of(one.vocab, vocabs)
        successors = () if following is None else (following,)
        return Complete(**common, **fields, successors=successors, vocab=vocab)

    def _choose(
        self, number: int, one: shape.ChooseShape, common: dict[str, Any], following: str | None
    ) -> Choose:
        given = one.choices if isinstance(one.choices, list) else [one.choices]
        nexts = [
            self._uid_of(choice.next)
            if not isinstance(choice, str) and "next" in choice.model_fields_set
            else following
            for choice in given
        ]
        if len(set(nexts)) > 1:
            self._ends |= None in nexts
            successors = tuple(self._end_uid if uid is None else uid for uid in nexts)
        else:
            successors = tuple(uid for uid in nexts[:1] if uid is not None)
        if one.end is not None and one.end_eos:
            self._faults.append(Fault(("actions", number), "it has both end and end_eos"))
        return Choose(
            **common,
            successors=successors,
            choices=tuple(self._choice(number, place, each) for place, each in enumerate(given)),
            width=one.width,
            threshold=one.threshold,
            threshold_on=one.threshold_on,
            norm=one.norm,
            end=EOS if one.end_eos else one.end,
            unconditional=one.unconditional,
        )

    def _choice(self, number: int, place: int, one: Any) -> str | Template | Each:
        if isinstance(one, shape.EachShape):
            return Each(one.each, one.text)
        if isinstance(one, str):
            return Template(one) if has_marks(one) else one
        if one.literal is not None:
            return str(one.literal)
        if one.text is None:
            self._faults.append(
                Fault(("actions", number, "choices", place), "has neither text nor literal")
            )
            return "?"
        return self._choice(number, place, one.text)

    def _following(self, number: int) -> str | None:
        one = self._program.actions[number]
        if "next" in one.model_fields_set:
            return self._uid_of(one.next)
        return self._uids[number + 1] if number + 1 < len(self._uids) else None

    def _uid_of(self, given: str | None) -> str | None:
        """None where the path ends. An action may be called "end", and is meant then."""
        return None if given == shape.END and shape.END not in self._uids else given

    @property
    def _end_uid(self) -> str:
        return next(uid for uid in _names("end") if uid not in self._uids)


def _text(one: shape.TextShape) -> str | Prompt | Template:
    match one.text:
        case shape.LiteralShape(literal=literal):
            return Prompt((TextPiece(literal, trusted=True),)) if one.special else literal
        case shape.PiecesShape(pieces=pieces):
            return Prompt(tuple(TextPiece(piece.text, piece.special) for piece in pieces))
    assert isinstance(one.text, str)
    if has_marks(one.text):
        return Template(one.text, one.special)
    return Prompt((TextPiece(one.text, trusted=True),)) if one.special else one.text


def _uids(actions: list[Any]) -> list[str]:
    """Uids: those given, else the name, else the kind and place; none twice."""
    taken = {one.uid for one in actions if one.uid is not None}
    found = []
    for number, one in enumerate(actions, start=1):
        uid = one.uid
        if uid is None:
            wanted = one.name or f"{one.type}-{number}"
            uid = next(each for each in _names(wanted) if each not in taken)
            taken.add(uid)
        found.append(uid)
    return found


def _names(wanted: str) -> Iterator[str]:
    yield wanted
    number = 2
    while True:
        yield f"{wanted}-{number}"
        number += 1
