"""Read program files as automata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autocog_core.automaton.actions import Action, Ask, Choose, Complete, Messages, Record, Text
from autocog_core.automaton.checks.action_checks import find_errors
from autocog_core.automaton.checks.finding import GRAPH_ERRORS, vocab_label
from autocog_core.automaton.choices import Choice
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.inputs import (
    CONVERSION_ERRORS,
    CONVERTERS,
    REQUIRED,
    TYPE_ERRORS,
    Input,
)
from autocog_core.automaton.templates.for_each import ForEach
from autocog_core.automaton.templates.template import RESERVED_NAMES, Each, Template, is_template
from autocog_core.automaton.thinking import Thinking
from autocog_core.automaton.token_sets import Vocabulary
from autocog_core.errors import InputError
from autocog_core.program import choice_schema, schema
from autocog_core.program.action_schema import ActionSchema
from autocog_core.program.diagnostics import (
    Diagnostic,
    combine_errors,
    describe_value,
    schema_errors,
)
from autocog_core.program.document import DataPath, Document, copy_plain_data, read_document
from autocog_core.program.legacy import is_legacy, translate_legacy
from autocog_core.program.message_schema import make_message
from autocog_core.program.placeholders import replace_invalid_parts
from autocog_core.program.record_schema import RecordSchema
from autocog_core.program.token_sets import make_vocabulary, read_vocabs, unknown_names
from autocog_core.program.uids import Uids
from autocog_core.records.action import record_errors
from autocog_core.types.choice import EOS
from autocog_core.types.prompt import Prompt, TextPiece


def read_file(path: Path) -> AutomatonGraph:
    """Read an automaton from a .yaml or .json file.

    :raises InputError: naming every error by file, line and action.
    """
    return _read(read_document(path), str(path))


def read_data(data: Mapping[str, Any]) -> AutomatonGraph:
    """Read an automaton from plain data.

    :raises InputError: naming every error by its place in the data.
    """
    return _read(copy_plain_data(data, "program"), "program")


def _read(document: Document, where: str) -> AutomatonGraph:
    data = document.data
    if not isinstance(data, dict):
        raise InputError(
            f"expected a mapping, got {describe_value(data)}",
            where=where,
            hint='a program is a mapping with a list "actions"',
        )
    errors: list[Diagnostic] = []
    if is_legacy(data):
        data, errors = translate_legacy(data)
    try:
        program = schema.ProgramSchema.model_validate(data)
    except ValidationError as error:
        errors += _in_other_parts(errors, schema_errors(error, data))
        errors += _in_other_parts(errors, _errors_of_valid_parts(data, errors))
        raise combine_errors(errors, document, where) from None
    automaton = _AutomatonBuilder(program, errors).build()
    errors += _automaton_errors(automaton, program, with_graph=not errors)
    if errors:
        raise combine_errors(errors, document, where)
    return automaton


def _in_other_parts(errors: list[Diagnostic], candidates: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the candidates in parts without errors; in other parts they may be consequences."""
    parts = {error.path[:2] for error in errors}
    return [candidate for candidate in candidates if candidate.path[:2] not in parts]


def _errors_of_valid_parts(data: dict[str, Any], errors: list[Diagnostic]) -> list[Diagnostic]:
    """Return the errors beyond the schema of a program that does not match the schema."""
    valid = replace_invalid_parts(data, (error.path for error in errors))
    try:
        program = schema.ProgramSchema.model_validate(valid)
    except ValidationError:
        return []
    others: list[Diagnostic] = []
    automaton = _AutomatonBuilder(program, others).build()
    return [*others, *_automaton_errors(automaton, program, with_graph=False)]


def _automaton_errors(
    automaton: AutomatonGraph, program: schema.ProgramSchema, *, with_graph: bool
) -> Iterator[Diagnostic]:
    """Yield the errors of the automaton itself.

    :param automaton: the automaton.
    :param program: the program.
    :param with_graph: whether all edges are known, so that errors of the whole graph count.
    """
    paths = {uid: path for path, uid in Uids(program.actions).by_path.items()}
    vocab_names = {vocab_label(name): name for name in automaton.vocabs}
    for error in (*find_errors(automaton), *record_errors(automaton)):
        if error.code in ("unknown_vocab", "reserved_input") or (
            error.code in GRAPH_ERRORS and not with_graph
        ):
            # The reader reports an unknown vocab and the name of an input itself.
            continue
        if error.where in vocab_names:
            yield Diagnostic(("vocabs", vocab_names[error.where]), error.message)
        elif error.uid is None:
            yield Diagnostic((), str(error))
        elif error.uid in paths:
            yield Diagnostic(paths[error.uid], error.message)


class _AutomatonBuilder:
    """Builds an automaton from a program that matches the schema.

    :param program: the program.
    :param errors: the list to which errors are added.
    """

    def __init__(self, program: schema.ProgramSchema, errors: list[Diagnostic]) -> None:
        self._program = program
        self._errors = errors

    def build(self) -> AutomatonGraph:
        """Return the automaton; what has errors is left out or empty."""
        program = self._program
        vocabs = read_vocabs(program.vocabs, self._errors)
        uids = Uids(program.actions)
        self._errors += uids.errors
        return AutomatonGraph(
            _SequenceBuilder(program.actions, ("actions",), uids, vocabs, self._errors).build(),
            vocabs,
            {name: self._input(name, declared) for name, declared in program.inputs.items()},
            description=program.description,
            metadata=program.metadata,
        )

    def _input(self, name: str, declared: Any) -> Input:
        message = ""
        if name in RESERVED_NAMES:
            message = "the name is reserved in templates; choose another one"
        elif not name.isidentifier() or name.startswith("_"):
            message = 'is not a valid name; use letters, digits and "_", and begin with a letter'
        if message:
            self._errors.append(Diagnostic(("inputs", name), message))
        if isinstance(declared, str):
            return Input(declared)  # type: ignore[arg-type]
        default: Any = declared.default if "default" in declared.model_fields_set else REQUIRED
        if default is not REQUIRED and default is not None:
            try:
                default = CONVERTERS[declared.type](default)
            except CONVERSION_ERRORS:
                message = f"{TYPE_ERRORS[declared.type]}: {describe_value(default)}"
                self._errors.append(Diagnostic(("inputs", name, "default"), message))
        return Input(declared.type, default, declared.description)


class _SequenceBuilder:
    """Builds the actions of a program or of a question, which follow each other.

    :param actions: the actions.
    :param path: their place in the data.
    :param uids: the uids of all actions of the program.
    :param vocabs: the named sets of tokens.
    :param errors: the list to which errors are added.
    """

    def __init__(
        self,
        actions: Sequence[ActionSchema],
        path: DataPath,
        uids: Uids,
        vocabs: Mapping[str, Vocabulary],
        errors: list[Diagnostic],
    ) -> None:
        self._actions = actions
        self._path = path
        self._all_uids = uids
        self._uids = [uids.by_path[*path, index] for index in range(len(actions))]
        self._vocabs = vocabs
        self._errors = errors
        self._end_uid: str | None = None

    def build(self) -> list[Action]:
        """Return the actions; what has errors is left out or empty."""
        built = [self._action(index) for index in range(len(self._actions))]
        if self._end_uid is not None:
            built.append(Text(uid=self._end_uid, text=""))
        return built

    def _action(self, index: int) -> Action:
        action = self._actions[index]
        common: dict[str, Any] = {
            "uid": self._uids[index],
            "name": action.name,
            "model": action.model,
            "max_visits": action.max_visits,
            "context": action.context,
            "metadata": action.metadata,
        }
        next_uid = self._next_uid(index)
        if isinstance(action, schema.ChooseSchema):
            return self._choose(index, action, common, next_uid)
        common["successors"] = () if next_uid is None else (next_uid,)
        if isinstance(action, schema.TextSchema):
            return Text(
                **common,
                text=_make_text(action),
                evaluate=action.evaluate,
                constant_tail=action.constant_tail,
            )
        if isinstance(action, schema.MessagesSchema):
            return Messages(
                **common,
                messages=tuple(map(make_message, action.messages)),
                template_arguments=action.template_arguments,
            )
        if isinstance(action, schema.AskSchema):
            return self._ask(index, action, common)
        if isinstance(action, RecordSchema):
            return Record(**common, schema=action.record, **_options(action, without={"record"}))
        assert isinstance(action, schema.CompleteSchema)
        vocabs = self._vocabs
        if action.vocab is not None:
            place = (*self._path, index, "vocab")
            self._errors.extend(unknown_names(action.vocab, vocabs, place))
        fields = _options(action, without={"vocab", "thinking"})
        is_name = action.vocab is None or isinstance(action.vocab, str)
        vocab: Any = action.vocab if is_name else make_vocabulary(action.vocab, vocabs)
        thinking = _make_thinking(action)
        return Complete(**common, **fields, vocab=vocab, thinking=thinking)

    def _ask(self, index: int, action: schema.AskSchema, common: dict[str, Any]) -> Ask:
        questions = []
        for number, question in enumerate(action.ask):
            path = (*self._path, index, "ask", number)
            builder = _SequenceBuilder(question, path, self._all_uids, self._vocabs, self._errors)
            questions.append(tuple(builder.build()))
        each = action.for_each
        for_each = None if each is None else ForEach(each.in_, each.as_, each.key)
        return Ask(**common, questions=tuple(questions), for_each=for_each)

    def _choose(
        self, index: int, action: schema.ChooseSchema, common: dict[str, Any], next_uid: str | None
    ) -> Choose:
        choices = action.choices if isinstance(action.choices, list) else [action.choices]
        has_next = [
            not isinstance(choice, str) and "next" in choice.model_fields_set for choice in choices
        ]
        next_uids = [
            self._resolve(choice.next) if has_own else next_uid  # type: ignore[union-attr]
            for choice, has_own in zip(choices, has_next, strict=True)
        ]
        if len(next_uids) > 1 and any(has_next) and any(uid is not None for uid in next_uids):
            successors = tuple(self._end() if uid is None else uid for uid in next_uids)
        else:
            successors = tuple(uid for uid in next_uids[:1] if uid is not None)
        if action.suffix is not None and action.suffix_eos:
            message = "has both suffix and suffix_eos: give one of them"
            self._errors.append(Diagnostic((*self._path, index), message))
        return Choose(
            **common,
            successors=successors,
            choices=tuple(map(_make_choice, choices)),
            top=action.top,
            width=action.width,
            threshold=action.threshold,
            threshold_on=action.threshold_on,
            norm=action.norm,
            suffix=EOS if action.suffix_eos else action.suffix,
            unconditional_prompt=action.unconditional_prompt,
            thinking=_make_thinking(action),
        )

    def _end(self) -> str:
        """Return the uid of the action that ends the path of some choices."""
        if self._end_uid is None:
            self._end_uid = self._all_uids.new_end()
        return self._end_uid

    def _next_uid(self, index: int) -> str | None:
        action = self._actions[index]
        if "next" in action.model_fields_set:
            return self._resolve(action.next)
        return self._uids[index + 1] if index + 1 < len(self._uids) else None

    def _resolve(self, next_: str | None) -> str | None:
        """Return the uid of a `next`; None if the path ends. "end" may be the uid of an action."""
        return None if next_ == schema.END and schema.END not in self._uids else next_


def _make_thinking(action: schema.BranchingSchema) -> Thinking | None:
    if action.thinking is None:
        return None
    return Thinking(**action.thinking.model_dump())


def _options(action: ActionSchema, without: set[str]) -> dict[str, Any]:
    """Return the keys that only actions of its kind have."""
    names = set(type(action).model_fields) - set(ActionSchema.model_fields)
    return {name: getattr(action, name) for name in names - {"type"} - without}


def _make_choice(
    choice: str | choice_schema.ChoiceSchema | choice_schema.EachSchema,
) -> str | Template | Choice | Each:
    if isinstance(choice, choice_schema.EachSchema):
        return Each(choice.each, choice.text, choice.value, tuple(choice.texts))
    if isinstance(choice, str):
        return _make_choice_text(choice)
    value = choice.value if "value" in choice.model_fields_set else None
    if "literal" in choice.model_fields_set:
        return Choice(choice.literal, value)
    if choice.texts:
        return Choice(texts=[_make_choice_text(text) for text in choice.texts], value=value)
    return Choice(_make_choice_text(choice.text), value)


def _make_choice_text(text: str | choice_schema.LiteralSchema) -> str | Template:
    if isinstance(text, choice_schema.LiteralSchema):
        return text.literal
    return Template(text) if is_template(text) else text


def _make_text(action: schema.TextSchema) -> str | Prompt | Template:
    match action.text:
        case schema.PiecesSchema(pieces=pieces):
            return Prompt(tuple(TextPiece(piece.text, piece.special) for piece in pieces))
        case choice_schema.LiteralSchema(literal=text):
            pass
        case text:
            assert isinstance(text, str)
            if is_template(text):
                return Template(text, action.special)
    return Prompt((TextPiece(text, trusted=True),)) if action.special else text
