"""The schema of program files, from which their JSON Schema is generated."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
)

from autocog_core.automaton.actions import ThresholdOn
from autocog_core.automaton.inputs import InputType
from autocog_core.program.action_schema import METADATA, ActionSchema
from autocog_core.program.choice_schema import AnyChoice, EachSchema, LiteralSchema
from autocog_core.program.message_schema import AnyMessage
from autocog_core.program.record_schema import AnyJsonSchema, RecordSchema
from autocog_core.program.token_set_schema import AnyVocab, Schema
from autocog_core.types.choice import Norm

#: The value of `next` that ends a path; null does too.
END = "end"


class InputSchema(Schema):
    """An input with more than its type."""

    type: InputType = Field("text", description="The type of its values; any: any JSON value.")
    default: Any = Field(None, description="The value if none is given; without it: required.")
    description: str = Field("", description="A description for people.")


def _input_tag(value: Any) -> str:
    return "<input>" if isinstance(value, dict | InputSchema) else "<type>"


AnyInput = Annotated[
    Annotated[InputType, Tag("<type>")] | Annotated[InputSchema, Tag("<input>")],
    Discriminator(_input_tag),
]


class PieceSchema(Schema):
    """One piece of a text."""

    text: str
    special: bool = Field(False, description="Parse special tokens in the piece.")


class PiecesSchema(Schema):
    """Text in pieces, without templates; each piece decides whether special tokens are parsed."""

    pieces: list[PieceSchema]


def _text_tag(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((f"<{key}>" for key in ("literal", "pieces") if key in value), None)
    if isinstance(value, Schema):
        return f"<{next(iter(type(value).model_fields))}>"
    return "<template>"


AnyText = Annotated[
    Annotated[str, Tag("<template>")]
    | Annotated[LiteralSchema, Tag("<literal>")]
    | Annotated[PiecesSchema, Tag("<pieces>")],
    Discriminator(
        _text_tag,
        custom_error_type="text",
        custom_error_message='expected text, or a mapping with one of the keys "literal", "pieces"',
    ),
]


def _choices_tag(value: Any) -> str:
    return "<each>" if isinstance(value, dict | EachSchema) else "<list>"


def _string_or_list_tag(value: Any) -> str:
    return "<string>" if isinstance(value, str) else "<list>"


class TextSchema(ActionSchema):
    """Fixed text, or a template over the inputs and earlier fields."""

    type: Literal["text"] = "text"
    text: AnyText
    evaluate: bool = Field(
        False, description="Score the text, so that its tokens count as decided."
    )
    special: bool = Field(
        False,
        description="Parse special tokens that the author wrote, never those in inserted values.",
    )
    constant_tail: str | None = Field(
        None,
        description="The end of the text that is the same for all inputs, for the norm pmi. "
        "Default: what follows the last expression of a template, or a whole text without one.",
    )


class MessagesSchema(ActionSchema):
    """Messages to a chat model, rendered by its own chat template."""

    type: Literal["messages"] = "messages"
    messages: list[AnyMessage] = Field(
        min_length=1, description="The messages; the actions after them are the answer."
    )
    template_arguments: dict[str, Any] | None = Field(
        None,
        description="Variables of the chat template, such as enable_thinking. Default: those of "
        "the conversation so far, or of the model.",
    )


class ThinkingSchema(Schema):
    """Thoughts of the model before an action."""

    length: int = Field(description="The largest number of tokens of the thoughts.")
    end: str | None = Field(
        None, description="The text that ends the thoughts. Default: that of the model."
    )
    after: str = Field("", description="Text between this end and the action.")


class BranchingSchema(ActionSchema):
    """The keys that choices and completions have: which branches a run follows."""

    width: int | None = Field(
        1, description="The largest number of branches that a run follows; null: all."
    )
    threshold: float = Field(
        0.0, description="The smallest probability of a branch that a run follows."
    )
    threshold_on: ThresholdOn = Field(
        "prob",
        description="The probability that `threshold` limits: the share among the siblings, or the "
        "mean probability of a branch's tokens.",
    )
    thinking: ThinkingSchema | None = Field(
        None, description="Let the model think before the action."
    )


class ChooseSchema(BranchingSchema):
    """A choice among strings."""

    type: Literal["choose"] = "choose"
    choices: Annotated[
        Annotated[list[AnyChoice], Field(min_length=1), Tag("<list>")]
        | Annotated[EachSchema, Tag("<each>")],
        Discriminator(_choices_tag),
    ]
    top: int | None = Field(
        None,
        description="Read only what proves so many of the best choices; null: score all choices.",
    )
    norm: Norm = Field("sum", description="The score that ranks the choices.")
    suffix: str | None = Field(None, description="Text that must follow the choice.")
    suffix_eos: bool = Field(False, description="The model must end the text after the choice.")
    unconditional_prompt: str | None = Field(
        None,
        description="For pmi: the text that replaces the prompt. Default: BOS, or the constant "
        "text before the choices if the model has no BOS.",
    )


class CompleteSchema(BranchingSchema):
    """Text that the model writes."""

    type: Literal["complete"] = "complete"
    length: int = Field(description="The largest number of tokens.")
    stop: Annotated[
        Annotated[str, Tag("<string>")] | Annotated[list[str], Tag("<list>")],
        Discriminator(_string_or_list_tag),
    ] = Field([], description="Strings that end the text; they are not part of it.")
    beams: int = Field(1, description="The number of beams; 1 is greedy decoding.")
    length_penalty: float = Field(1.0, description="Beams rank by logprob / tokens ** this.")
    vocab: AnyVocab | None = Field(None, description="The allowed tokens; null: all.")
    eos: bool = Field(True, description="Whether the end of sequence may end the text.")
    regex: str | None = Field(
        None, description="A regular expression that the whole text must match."
    )
    grammar: str | None = Field(
        None, description="A grammar in Lark's syntax; its rule `start` is the whole text."
    )
    json_schema: AnyJsonSchema | None = Field(
        None, description="A JSON Schema; the text is a JSON value that it accepts."
    )
    followed_by: str | None = Field(
        None,
        description="With a constraint: a regular expression of what must follow the text.",
    )
    samples: int = Field(0, description="The number of sampled texts; 0: beam search.")
    temperature: float = Field(1.0, description="Temperature of sampling.")
    top_p: float = Field(
        1.0, description="Sample from the likeliest tokens that together have this probability."
    )
    seed: int = Field(0, description="Random seed of sampling.")
    importance_weights: bool = Field(
        False,
        description="Weigh the samples, so that they estimate the probabilities of texts given the "
        "whole constraint.",
    )


#: The main keys of a question's actions, which decide their kind.
STEP_KINDS = {
    "text": "text",
    "messages": "messages",
    "choices": "choose",
    "length": "complete",
    "record": "record",
}
#: The main keys of all actions.
KINDS = {**STEP_KINDS, "ask": "ask"}


def action_kind(value: Any) -> str | None:
    """Return the kind of an action's data: a value of `KINDS`, or None."""
    if isinstance(value, dict):
        if value.get("type") in KINDS.values():
            return str(value["type"])
        return next((kind for key, kind in KINDS.items() if key in value), None)
    return getattr(value, "type", None)


def _action_tag(value: Any) -> str | None:
    kind = action_kind(value)
    return None if kind is None else f"<{kind}>"


def _step_tag(value: Any) -> str | None:
    kind = action_kind(value)
    return f"<{kind}>" if kind in STEP_KINDS.values() else None


AnyStep = Annotated[
    Annotated[TextSchema, Tag("<text>")]
    | Annotated[MessagesSchema, Tag("<messages>")]
    | Annotated[ChooseSchema, Tag("<choose>")]
    | Annotated[CompleteSchema, Tag("<complete>")]
    | Annotated[RecordSchema, Tag("<record>")],
    Discriminator(
        _step_tag,
        custom_error_type="step",
        custom_error_message='expected a mapping with one of the keys "text", "messages", '
        '"choices", "length" or "record": a question has no groups',
    ),
]


class ForEachSchema(Schema):
    """The list that a group repeats its questions for."""

    in_: str = Field(
        alias="in", description="An expression for a list, usually the name of an input."
    )
    as_: str = Field(alias="as", description="The name of the item in the questions' templates.")
    key: str | None = Field(
        None,
        description="An expression over the item for its name in the result; default: the item.",
    )


class AskSchema(ActionSchema):
    """A group of questions, which start from the same place and do not see each other."""

    type: Literal["ask"] = "ask"
    ask: list[Annotated[list[AnyStep], Field(min_length=1)]] = Field(
        min_length=1, description="The questions, each a list of actions."
    )
    for_each: ForEachSchema | None = Field(
        None, description="Ask the questions for each item of a list."
    )


AnyAction = Annotated[
    Annotated[TextSchema, Tag("<text>")]
    | Annotated[MessagesSchema, Tag("<messages>")]
    | Annotated[ChooseSchema, Tag("<choose>")]
    | Annotated[CompleteSchema, Tag("<complete>")]
    | Annotated[RecordSchema, Tag("<record>")]
    | Annotated[AskSchema, Tag("<ask>")],
    Discriminator(
        _action_tag,
        custom_error_type="action",
        custom_error_message='expected a mapping with one of the keys "text", "messages", '
        '"choices", "length", "record" or "ask"',
    ),
]


def _boolean_as_text(value: Any) -> Any:
    """Return true as text: in Python, it equals the version 1."""
    return str(value).lower() if isinstance(value, bool) else value


class ProgramSchema(Schema):
    """A thought automaton: a program for a language model."""

    schema_: str | None = Field(None, alias="$schema", description="This schema, for editors.")
    autocog: Annotated[Literal[1], BeforeValidator(_boolean_as_text)] = Field(
        1, description="The version of this format."
    )
    description: str = Field("", description="A description for people.")
    inputs: dict[str, AnyInput] = Field(
        {}, description="The inputs, whose values the templates use, by name."
    )
    vocabs: dict[str, AnyVocab] = Field({}, description="Sets of tokens by name.")
    actions: list[AnyAction] = Field(
        min_length=1, description="The steps. They run in this order, unless `next` changes it."
    )
    metadata: dict[str, Any] = Field({}, description=METADATA)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of program files, for editors."""
    schema = ProgramSchema.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "autocog program",
    }
