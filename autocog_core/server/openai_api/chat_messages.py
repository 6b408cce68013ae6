"""Messages of a chat, and the prompt that the model's template makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from autocog_core.model.model import Model
from autocog_core.server.request_errors import RequestError
from autocog_core.types.prompt import Message, Prompt, TextPiece


class ContentPart(BaseModel):
    """A part of a message.

    :ivar type: "text"; models read no images, sounds or files.
    :ivar text: the text.
    """

    model_config = ConfigDict(extra="allow")

    type: str
    text: str | None = None


class ChatMessage(BaseModel):
    """A message of a chat.

    :ivar role: who speaks; "developer" is the same as "system".
    :ivar content: the text, or its parts.
    """

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None

    def as_message(self, index: int) -> Message:
        """Return the message as models take it.

        :param index: its index among the messages, for errors.
        :raises RequestError: for what models do not read.
        """
        where = f"messages.{index}"
        if self.role in ("tool", "function"):
            raise _unsupported(f'the role "{self.role}"', f"{where}.role")
        for name, value in (self.model_extra or {}).items():
            # Answers of a model may be sent again as they came.
            if value not in (None, [], ""):
                raise _unsupported(name[:80], f"{where}.{name[:80]}")
        role = "system" if self.role == "developer" else self.role
        return {"role": role, "content": self._text(where)}

    def _text(self, where: str) -> str:
        if self.content is None:
            raise RequestError("has no content; give a text", parameter=f"{where}.content")
        if isinstance(self.content, str):
            return self.content
        texts = []
        for number, part in enumerate(self.content):
            if part.type != "text" or part.text is None:
                raise _unsupported(
                    f'a part of the type "{part.type[:40]}"',
                    f"{where}.content.{number}",
                )
            texts.append(part.text)
        return "\n".join(texts)


class ChatFields(BaseModel):
    """The arguments of a chat that make its prompt."""

    messages: list[ChatMessage] = Field(
        min_length=1,
        description="The messages of the chat, in order.",
        examples=[[{"role": "user", "content": "What is the capital of France?"}]],
    )
    chat_template_kwargs: dict[str, Any] | None = Field(
        None, description="Variables of the model's chat template."
    )
    add_generation_prompt: bool | None = Field(
        None, description="Open the assistant's turn at the end (default: true)."
    )
    continue_final_message: bool | None = Field(
        None, description="Continue the last message, of the assistant, instead of a new turn."
    )

    def chat(self) -> list[Message]:
        """Return the messages as models take them.

        :raises RequestError: for what models do not read.
        """
        return [message.as_message(index) for index, message in enumerate(self.messages)]

    def chat_prompt(self, model: Model) -> Prompt:
        """Return the prompt of the chat. Call it on the model's thread.

        :param model: the model.
        :raises RequestError: for what models do not read.
        :raises CapabilityError: if the model has no chat template.
        """
        messages = self.chat()
        if not self.continue_final_message:
            opens_turn = self.add_generation_prompt is not False
            return _render(model, messages, opens_turn, self.chat_template_kwargs)
        if self.add_generation_prompt:
            raise RequestError(
                "a message is continued, or a new turn is opened; not both",
                parameter="add_generation_prompt",
            )
        *before, last = messages
        if last["role"] != "assistant" or not before:
            raise RequestError(
                "the last message must be the assistant's, after others, to be continued",
                parameter="continue_final_message",
            )
        begin = _render(model, before, True, self.chat_template_kwargs)
        return Prompt((*begin.pieces, TextPiece(last["content"])))


def _render(
    model: Model,
    messages: Sequence[Message],
    opens_turn: bool,
    template_arguments: Mapping[str, Any] | None,
) -> Prompt:
    return model.chat_prompt(
        messages,
        add_generation_prompt=opens_turn,
        # Models without variables in their template take no empty ones either.
        template_arguments=template_arguments or None,
    )


def _unsupported(what: str, parameter: str) -> RequestError:
    return RequestError(f"{what} is not supported", code="not_supported", parameter=parameter)
