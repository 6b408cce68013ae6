"""Chat messages of an automaton."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autocog_core.automaton.templates.template import Template
from autocog_core.types.prompt import Message


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of a conversation.

    :ivar role: whose it is: "system", "user", "assistant", or another role of the model's chat
        template.
    :ivar content: its text, or a template.
    """

    role: str
    content: str | Template

    def to_message(self) -> Message:
        """Return the message, once its template is filled in."""
        return {"role": self.role, "content": str(self.content)}


def source_of(content: str | Template) -> str:
    """Return a content, or the source of its template."""
    return content.source if isinstance(content, Template) else content


def as_chat_messages(
    messages: Iterable[ChatMessage | Mapping[str, str | Template]],
) -> tuple[ChatMessage, ...]:
    """Return messages that may be mappings with the keys "role" and "content".

    What is neither a message nor such a mapping stays as it is: the checks report it.
    """
    return tuple(
        ChatMessage(message["role"], message["content"])  # type: ignore[arg-type]
        if isinstance(message, Mapping) and message.keys() == {"role", "content"}
        else message  # type: ignore[misc]
        for message in messages
    )
