"""Program files into automata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autocog_core.automaton.actions import Action, Choose, Complete, Text
from autocog_core.automaton.checks.action_checks import faults_of
from autocog_core.automaton.checks.finding import GRAPH_ERRORS, place_of
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.inputs import READERS, REQUIRED, UNREADABLE, Input, no
from autocog_core.automaton.templates.template import RESERVED, Each, Template, has_marks
from autocog_core.automaton.token_sets import Vocabulary
from autocog_core.errors import InputError, cut
from autocog_core.program import legacy, schema
from autocog_core.program.document import Document, Path_, plain, read_document
from autocog_core.program.faults import Fault, patched, refuse, shape_faults
from autocog_core.program.token_sets import check_names, read_vocabs, vocab_of
from autocog_core.types.choice import EOS
from autocog_core.types.prompt import Prompt, TextPiece

#: What was found in the file, with its line.
_FOUND_ALREADY = "unknown vocab"


def read_file(path: Path) -> AutomatonGraph:
    """The automaton in a .yaml or .json file.

    :raises InputError: naming every fault by file, line and action.
    """
    return _read(read_document(path), str(path))


def read_data(data: Mapping[str, Any]) -> AutomatonGraph:
    """The automaton that plain data says.

    :raises InputError: naming every fault by its place in the data.
    """
    return _read(plain(data, "program"), "program")


def _read(document: Document, where: str) -> AutomatonGraph:
    data = document.data
    if not isinstance(data, dict):
        raise InputError(
            "is no program", where=where, hint='a program is a mapping with a list "actions"'
        )
    found: list[Fault] = []
    if legacy.is_older(data):
        data, found = legacy.translated(data)
    try:
        program = schema.ProgramShape.model_validate(data)
    except ValidationError as error:
        found += _beyond(found, shape_faults(error, data))
        found += _beyond(found, _others(data, found))
        raise refuse(found, document, where) from None
    automaton = _Builder(program, found).automaton()
    found += _located(automaton, len(program.actions), of_paths=not found)
    if found:
        raise refuse(found, document, where)
    return automaton


def _beyond(known: list[Fault], more: Iterable[Fault]) -> list[Fault]:
    """Faults where none is known as yet: others may only follow from those."""
    places = {fault.path[:2] for fault in known}
    return [fault for fault in more if fault.path[:2] not in places]


def _others(data: dict[str, Any], known: list[Fault]) -> list[Fault]:
    """What else is wrong with a program that has not even the right shape."""
    try:
        program = schema.ProgramShape.model_validate(patched(data, (one.path for one in known)))
    except ValidationError:
        return []
    found: list[Fault] = []
    automaton = _Builder(program, found).automaton()
    return [*found, *_located(automaton, len(program.actions), of_paths=False)]


def _located(automaton: AutomatonGraph, count: int, *, of_paths: bool) -> Iterator[Fault]:
    """The automaton's faults that are none of the file's, whose `count` actions come first.

    :param of_paths: whether all edges are known, and so what paths there are.
    """
    places = {action.uid: number for number, action in enumerate(automaton.actions[:count])}
    sets = {place_of(name): name for name in automaton.vocabs}
    for finding in faults_of(automaton):
        if finding.message.startswith(_FOUND_ALREADY):
            continue
        if finding.message in GRAPH_ERRORS and not of_paths:
            continue
        if finding.where in sets:
            yield Fault(("vocabs", sets[finding.where]), finding.message)
        elif finding.uid is None:
            yield Fault((), str(finding))
        elif finding.uid in places:
            yield Fault(("actions", places[finding.uid]), finding.message)


class _Builder:
    """An automaton out of a program of the right shape.

    :param faults: where what is wrong goes to.
    """

    def __init__(self, program: schema.ProgramShape, faults: list[Fault]) -> None:
        self._program = program
        self._faults = faults
        self._uids = list(_uids(program.actions))
        self._taken = frozenset(self._uids)
        self._end_uid = next(uid for uid in _names("end") if uid not in self._taken)
        self._ends = False

    def automaton(self) -> AutomatonGraph:
        """The automaton, as far as it can be made."""
        program = self._program
        for number, one in enumerate(program.actions):
            if one.uid not in (None, self._uids[number]):
                what = f'another action has the uid "{cut(one.uid)}" too'
                self._faults.append(Fault(("actions", number, "uid"), what))
        vocabs = read_vocabs(program.vocabs, self._faults)
        actions = [self._action(number, vocabs) for number in range(len(program.actions))]
        if self._ends:
            actions.append(Text(uid=self._end_uid, text=""))
        return AutomatonGraph(
            actions,
            vocabs,
            {name: self._input(name, one) for name, one in program.inputs.items()},
            description=program.description,
            metadata=program.metadata,
        )

    def _input(self, name: str, one: Any) -> Input:
        if not name.isidentifier() or name.startswith("_") or name in RESERVED:
            self._faults.append(Fault(("inputs", name), "is no name that a template can use"))
        if isinstance(one, str):
            return Input(one)  # type: ignore[arg-type]
        default: Any = one.default if "default" in one.model_fields_set else REQUIRED
        if default is not REQUIRED and default is not None:
            try:
                default = READERS[one.type](default)
            except UNREADABLE:
                self._faults.append(Fault(("inputs", name, "default"), no(one.type)))
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
            case schema.TextShape():
                successors = () if following is None else (following,)
                return Text(**common, successors=successors, text=_text(one), evaluate=one.evaluate)
            case schema.ChooseShape():
                return self._choose(number, one, common, following)
        assert isinstance(one, schema.CompleteShape)
        if one.vocab is not None:
            path: Path_ = ("actions", number, "vocab")
            self._faults.extend(check_names(one.vocab, vocabs, path))
        same = set(schema.CompleteShape.model_fields) - set(schema.ActionShape.model_fields)
        fields = {name: getattr(one, name) for name in same - {"type", "vocab"}}
        named = one.vocab is None or isinstance(one.vocab, str)
        vocab: Any = one.vocab if named else vocab_of(one.vocab, vocabs)
        successors = () if following is None else (following,)
        return Complete(**common, **fields, successors=successors, vocab=vocab)

    def _choose(
        self, number: int, one: schema.ChooseShape, common: dict[str, Any], following: str | None
    ) -> Choose:
        given = one.choices if isinstance(one.choices, list) else [one.choices]
        own = [
            not isinstance(choice, str) and "next" in choice.model_fields_set for choice in given
        ]
        nexts = [
            self._uid_of(choice.next) if has_own else following  # type: ignore[union-attr]
            for choice, has_own in zip(given, own, strict=True)
        ]
        if len(nexts) > 1 and any(own) and any(uid is not None for uid in nexts):
            self._ends |= None in nexts
            successors = tuple(self._end_uid if uid is None else uid for uid in nexts)
        else:
            successors = tuple(uid for uid in nexts[:1] if uid is not None)
        if one.suffix is not None and one.suffix_eos:
            self._faults.append(Fault(("actions", number), "it has both suffix and suffix_eos"))
        return Choose(
            **common,
            successors=successors,
            choices=tuple(map(_choice, given)),
            width=one.width,
            threshold=one.threshold,
            threshold_on=one.threshold_on,
            norm=one.norm,
            suffix=EOS if one.suffix_eos else one.suffix,
            unconditional_prompt=one.unconditional_prompt,
        )

    def _following(self, number: int) -> str | None:
        one = self._program.actions[number]
        if "next" in one.model_fields_set:
            return self._uid_of(one.next)
        return self._uids[number + 1] if number + 1 < len(self._uids) else None

    def _uid_of(self, given: str | None) -> str | None:
        """None where the path ends. An action may be called "end", and is meant then."""
        return None if given == schema.END and schema.END not in self._taken else given


def _choice(one: str | schema.ChoiceShape | schema.EachShape) -> str | Template | Each:
    if isinstance(one, schema.EachShape):
        return Each(one.each, one.text)
    if isinstance(one, schema.ChoiceShape) and "literal" in one.model_fields_set:
        return one.literal
    text = one if isinstance(one, str) else one.text
    return Template(text) if has_marks(text) else text


def _text(one: schema.TextShape) -> str | Prompt | Template:
    match one.text:
        case schema.LiteralShape(literal=literal):
            return Prompt((TextPiece(literal, trusted=True),)) if one.special else literal
        case schema.PiecesShape(pieces=pieces):
            return Prompt(tuple(TextPiece(piece.text, piece.special) for piece in pieces))
    assert isinstance(one.text, str)
    if has_marks(one.text):
        return Template(one.text, one.special)
    return Prompt((TextPiece(one.text, trusted=True),)) if one.special else one.text


def _uids(actions: list[Any]) -> Iterator[str]:
    """Uids, none twice: those given, else the name, else the kind and place, else with a number."""
    given = {one.uid for one in actions}
    taken: set[str] = set()
    candidates: dict[str, Iterator[str]] = {}
    for number, one in enumerate(actions, start=1):
        uid = one.uid
        if uid is None or uid in taken:
            wanted = uid or one.name or f"{one.type}-{number}"
            names = candidates.setdefault(wanted, _names(wanted))
            uid = next(each for each in names if each not in taken and each not in given)
        taken.add(uid)
        yield uid


def _names(wanted: str) -> Iterator[str]:
    yield wanted
    number = 2
    while True:
        yield f"{wanted}-{number}"
        number += 1
