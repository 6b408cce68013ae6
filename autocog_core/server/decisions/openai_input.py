"""The input of a request to `/v1/decisions` as one text: messages, and calls of tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from autocog_core.server.decisions.body_parts import Part, Text, check_unicode
from autocog_core.server.decisions.question import as_text
from autocog_core.server.request_body import check_plain_data, kind_of
from autocog_core.server.request_errors import RequestError


class TextPart(Part):
    """A text."""

    type: Literal["input_text", "output_text"]
    text: Text


class RefusalPart(Part):
    """A refusal of the assistant."""

    type: Literal["refusal"]
    refusal: Text


class JsonPart(Part):
    """Data, which the model reads as JSON."""

    type: Literal["input_json"]
    data: Annotated[
        Annotated[dict[str, Any], Tag("<object>")] | Annotated[list[dict[str, Any]], Tag("<list>")],
        Discriminator(kind_of),
        AfterValidator(check_plain_data),
        AfterValidator(check_unicode),
    ]


class ImagePart(Part):
    """An image, which is refused."""

    type: Literal["input_image"]


AnyPart = Annotated[TextPart | RefusalPart | JsonPart | ImagePart, Field(discriminator="type")]
Content = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[list[AnyPart], Tag("<list>")],
    Discriminator(kind_of),
]


class MessageItem(Part):
    """A message."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Content


class CallItem(Part):
    """A call of a function or a tool."""

    call_id: str
    name: Text


class FunctionCallItem(CallItem):
    """A call of a function."""

    type: Literal["function_call"]
    arguments: Text


class CustomToolCallItem(CallItem):
    """A call of a tool with a text."""

    type: Literal["custom_tool_call"]
    input: Text


class OutputItem(Part):
    """What a function or a tool returned."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: str
    output: Content


def _type_of(item: Any) -> str:
    kind = item.get("type", "message") if isinstance(item, dict) else getattr(item, "type", "")
    return f"<{kind}>"


Item = Annotated[
    Annotated[MessageItem, Tag("<message>")]
    | Annotated[FunctionCallItem, Tag("<function_call>")]
    | Annotated[CustomToolCallItem, Tag("<custom_tool_call>")]
    | Annotated[OutputItem, Tag("<function_call_output>")]
    | Annotated[OutputItem, Tag("<custom_tool_call_output>")],
    Discriminator(_type_of),
]
Input = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[list[Item], Field(min_length=1), Tag("<list>")],
    Discriminator(kind_of),
]


def input_text(source: Input) -> str:
    """Return an input as one text.

    Each message is a paragraph that begins with its role, each call and its output one with the
    name of the function.

    :param source: the input.
    :raises RequestError: for an image, or an output without its call.
    """
    if isinstance(source, str):
        return source
    names: dict[str, str] = {}
    paragraphs = []
    for index, item in enumerate(source):
        place = f"input.{index}"
        if isinstance(item, MessageItem):
            paragraphs.append(f"{item.role}: {content_text(item.content, f'{place}.content')}")
        elif isinstance(item, OutputItem):
            name = names.get(item.call_id)
            if name is None:
                raise RequestError(
                    "no earlier call has this id", parameter=f"{place}.call_id", status=422
                )
            paragraphs.append(f"result of {name}: {content_text(item.output, f'{place}.output')}")
        else:
            names[item.call_id] = item.name
            given = item.arguments if isinstance(item, FunctionCallItem) else item.input
            paragraphs.append(f"call of {item.name}: {given}")
    return "\n\n".join(paragraphs)


def content_text(content: str | Sequence[AnyPart], place: str) -> str:
    """Return the parts of a message or of instructions as one text, each on lines of its own.

    :param content: a text, or the parts.
    :param place: their place in the body, for errors.
    :raises RequestError: for an image.
    """
    if isinstance(content, str):
        return content
    texts = []
    for index, part in enumerate(content):
        if isinstance(part, ImagePart):
            raise RequestError(
                "images are not supported: this server's models read text only; leave it out",
                code="not_supported",
                parameter=f"{place}.{index}",
            )
        if isinstance(part, TextPart):
            texts.append(part.text)
        else:
            texts.append(part.refusal if isinstance(part, RefusalPart) else as_text(part.data))
    return "\n".join(texts)
