"""The shape of a program file, which also makes its JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from autocog_core.automaton.actions import ThresholdOn
from autocog_core.automaton.inputs import InputType
from autocog_core.program.token_set_schema import AnyVocab, Shape
from autocog_core.types.choice import Norm

#: Where a path ends, as the value of `next`; so does null.
END = "end"


class InputShape(Shape):
    """An input, where its type alone does not say all."""

    type: InputType = Field("text", description="What values it takes; any: whatever JSON can say.")
    default: Any = Field(None, description="Its value where none is given.")
    description: str = ""


def _input_tag(value: Any) -> str:
    return "<input>" if isinstance(value, dict | InputShape) else "<type>"


AnyInput = Annotated[
    Annotated[InputType, Tag("<type>")] | Annotated[InputShape, Tag("<input>")],
    Discriminator(_input_tag),
]


class LiteralShape(Shape):
    """Text that is no template, whatever it looks like."""

    literal: str


class PieceShape(Shape):
    """A part of a text."""

    text: str
    special: bool = Field(False, description="Parse special tokens in it.")


class PiecesShape(Shape):
    """Text in parts, of which some have their special tokens parsed; no templates."""

    pieces: list[PieceShape]


def _text_tag(value: Any) -> str:
    if isinstance(value, dict):
        return "<pieces>" if "pieces" in value else "<literal>"
    if isinstance(value, Shape):
        return f"<{next(iter(type(value).model_fields))}>"
    return "<template>"


AnyText = Annotated[
    Annotated[str, Tag("<template>")]
    | Annotated[LiteralShape, Tag("<literal>")]
    | Annotated[PiecesShape, Tag("<pieces>")],
    Discriminator(_text_tag),
]


class ChoiceShape(Shape):
    """A choice with a way of its own: it has a text, or a literal."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["text"]}, {"required": ["literal"]}]}
    )

    text: str = Field("", description="What it says: a template.")
    literal: str = Field("", description="What it says, and no template.")
    next: str | None = Field(None, description='Uid of what follows it; "end" ends the path.')

    @model_validator(mode="after")
    def _says_something(self) -> ChoiceShape:
        if ("text" in self.model_fields_set) == ("literal" in self.model_fields_set):
            raise PydanticCustomError("choice", "expected either text or literal")
        return self


class EachShape(Shape):
    """One choice for every item of a list."""

    each: str = Field(description="An expression that gives a list, mostly an input's name.")
    text: str = Field("{{ item }}", description="What each says: a template of item and index.")
    next: str | None = Field(None, description='Uid of what follows them; "end" ends the path.')


def _choice_tag(value: Any) -> str:
    if isinstance(value, dict):
        return "<each>" if "each" in value else "<choice>"
    if isinstance(value, Shape):
        return "<each>" if isinstance(value, EachShape) else "<choice>"
    return "<text>"


AnyChoice = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[ChoiceShape, Tag("<choice>")]
    | Annotated[EachShape, Tag("<each>")],
    Discriminator(_choice_tag),
]


def _choices_tag(value: Any) -> str:
    return "<each>" if isinstance(value, dict | EachShape) else "<list>"


def _one_or_list_tag(value: Any) -> str:
    return "<one>" if isinstance(value, str) else "<list>"


class ActionShape(Shape):
    """What all actions have."""

    uid: str | None = Field(None, description="Its name in the graph; made up where none is given.")
    name: str | None = Field(None, description="The field of the record that its text goes to.")
    model: str | None = Field(None, description="Which of several models it runs on.")
    max_visits: int | None = Field(None, description="How often a path may come through.")
    next: str | None = Field(
        None, description='Uid of what follows; "end" or null ends the path. Default: the next one.'
    )
    metadata: dict[str, Any] = Field({}, description="What its author wants to remember.")


class TextShape(ActionShape):
    """Fixed text, or a template over the inputs."""

    type: Literal["text"] = "text"
    text: AnyText
    evaluate: bool = Field(False, description="Score it: its tokens count as decided ones do.")
    special: bool = Field(
        False, description="Parse special tokens in the text, never in what templates put in."
    )


class FollowedShape(ActionShape):
    """What choices and completions have: which branches are followed."""

    width: int | None = Field(1, description="How many are followed at most; null: all.")
    threshold: float = Field(0.0, description="Least share of probability to be followed.")
    threshold_on: ThresholdOn = Field(
        "prob",
        description="The share among siblings, or the mean probability of a branch's tokens.",
    )


class ChooseShape(FollowedShape):
    """A choice among strings."""

    type: Literal["choose"] = "choose"
    choices: Annotated[
        Annotated[list[AnyChoice], Field(min_length=1), Tag("<list>")]
        | Annotated[EachShape, Tag("<each>")],
        Discriminator(_choices_tag),
    ]
    norm: Norm = Field("sum", description="What ranks the choices.")
    suffix: str | None = Field(None, description="Text that must follow a choice.")
    suffix_eos: bool = Field(False, description="The model must end after a choice.")
    unconditional_prompt: str | None = Field(
        None, description="For pmi: what to condition on instead."
    )


class CompleteShape(FollowedShape):
    """Text that the model writes."""

    type: Literal["complete"] = "complete"
    length: int = Field(description="Most tokens.")
    stop: Annotated[
        Annotated[str, Tag("<one>")] | Annotated[list[str], Tag("<list>")],
        Discriminator(_one_or_list_tag),
    ] = Field([], description="Strings that end it; they are not part of its text.")
    beams: int = Field(1, description="Beams of the search; 1 is greedy decoding.")
    length_penalty: float = Field(1.0, description="Beams rank by logprob / tokens ** this.")
    vocab: AnyVocab | None = Field(None, description="Tokens that it may be made of.")
    eos: bool = Field(True, description="Whether the end of sequence may end it.")
    samples: int = Field(0, description="How many texts are sampled; 0: beam search.")
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


#: The key by which an action is known for what it is.
KINDS = {"text": "text", "choices": "choose", "length": "complete"}


def action_kind(value: Any) -> str | None:
    """What an action's data says that it is: "text", "choose", "complete", or nothing known."""
    if isinstance(value, dict):
        if value.get("type") in KINDS.values():
            return str(value["type"])
        return next((kind for key, kind in KINDS.items() if key in value), None)
    return getattr(value, "type", None)


def _action_tag(value: Any) -> str | None:
    kind = action_kind(value)
    return None if kind is None else f"<{kind}>"


AnyAction = Annotated[
    Annotated[TextShape, Tag("<text>")]
    | Annotated[ChooseShape, Tag("<choose>")]
    | Annotated[CompleteShape, Tag("<complete>")],
    Discriminator(
        _action_tag,
        custom_error_type="action",
        custom_error_message='an action has one of "text", "choices" or "length"',
    ),
]


def _no_truth(value: Any) -> Any:
    """Python takes true for 1."""
    return str(value).lower() if isinstance(value, bool) else value


class ProgramShape(Shape):
    """A thought automaton: a program for a language model."""

    schema_: str | None = Field(
        None, alias="$schema", description="Where an editor finds this schema."
    )
    autocog: Annotated[Literal[1], BeforeValidator(_no_truth)] = Field(
        1, description="The version of this format."
    )
    description: str = ""
    inputs: dict[str, AnyInput] = Field({}, description="What its templates are filled in from.")
    vocabs: dict[str, AnyVocab] = Field({}, description="Sets of tokens by name.")
    actions: list[AnyAction] = Field(
        min_length=1, description="Run in this order, unless `next` says otherwise."
    )
    metadata: dict[str, Any] = Field({}, description="What its author wants to remember.")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of program files, by which editors complete and check them."""
    schema = ProgramShape.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "autocog program",
    }
