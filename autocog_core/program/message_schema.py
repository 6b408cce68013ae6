"""The schemas of messages: `{user: "..."}`, or `{role: user, content: "..."}`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from autocog_core.automaton.messages import ChatMessage
from autocog_core.automaton.templates.template import Template, is_template
from autocog_core.program.choice_schema import AnyChoiceText, LiteralSchema
from autocog_core.program.token_set_schema import Schema


class MessageSchema(Schema):
    """A message with its role; for roles other than system, user and assistant."""

    role: str = Field(description="A role that the model's chat template knows, such as user.")
    content: AnyChoiceText = Field(description="The message, as a template.")


class SystemSchema(Schema):
    """A message of the system."""

    system: AnyChoiceText = Field(description="The message, as a template.")


class UserSchema(Schema):
    """A message of the user."""

    user: AnyChoiceText = Field(description="The message, as a template.")


class AssistantSchema(Schema):
    """A whole message of the assistant, such as an example of an answer."""

    assistant: AnyChoiceText = Field(description="The message, as a template.")


#: The roles that are keys of messages in files.
ROLE_KEYS = ("system", "user", "assistant")


def message_kind(value: Any) -> str | None:
    """Return the key that decides the kind of a message's data: a role, or "role"."""
    keys: Any = value
    if isinstance(value, Schema):
        keys = type(value).model_fields
    elif not isinstance(value, dict):
        return None
    return next((key for key in (*ROLE_KEYS, "role", "content") if key in keys), None)


def _message_tag(value: Any) -> str | None:
    kind = message_kind(value)
    return f"<{'role' if kind == 'content' else kind}>" if kind else None


AnyMessage = Annotated[
    Annotated[SystemSchema, Tag("<system>")]
    | Annotated[UserSchema, Tag("<user>")]
    | Annotated[AssistantSchema, Tag("<assistant>")]
    | Annotated[MessageSchema, Tag("<role>")],
    Discriminator(
        _message_tag,
        custom_error_type="message",
        custom_error_message='expected a mapping with one of the keys "system", "user", '
        '"assistant", or with "role" and "content"',
    ),
]


def make_message(message: Schema) -> ChatMessage:
    """Return a message of a file."""
    if isinstance(message, MessageSchema):
        role, content = message.role, message.content
    else:
        (role,) = type(message).model_fields
        content = getattr(message, role)
    if isinstance(content, LiteralSchema):
        return ChatMessage(role, content.literal)
    return ChatMessage(role, Template(content) if is_template(content) else content)


def write_message(message: ChatMessage) -> dict[str, Any]:
    """Return a message as data of a file."""
    content: Any = message.content
    if isinstance(content, Template):
        content = content.source
    elif is_template(content):
        content = {"literal": content}
    if message.role in ROLE_KEYS:
        return {message.role: content}
    return {"role": message.role, "content": content}
