"""The prompts of a request: one or many, as texts, token ids, pieces or chats."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from autocog_core.server.request_body import Body, ModelBody, check_plain_data
from autocog_core.server.whole_numbers import TokenId
from autocog_core.types.prompt import Prompt, PromptLike, TextPiece, TokenPiece

#: What no request needs more of. The limits of the server, which are lower, are checked later: a
#: list of wrong entries must not keep the event loop busy.
MAX_PROMPTS = 100_000
MAX_PIECES = 10_000
MAX_TOKENS = 1_000_000
MAX_MESSAGES = 2_000
MAX_TEMPLATE_VALUES = 1_000

TemplateArguments = Annotated[
    dict[str, Any], AfterValidator(partial(check_plain_data, max_values=MAX_TEMPLATE_VALUES))
]


class MessageBody(Body):
    """A message of a chat."""

    role: str = Field(description="Who wrote it.", examples=["user"])
    content: str = Field(description="Its text.", examples=["Is water wet?"])


class TextPieceBody(Body):
    """Text in a prompt."""

    text: str = Field(description="The text.")
    special: bool = Field(
        False,
        description="Parse special tokens, such as `<|im_end|>`. Only for text that you wrote "
        "yourself.",
    )


class TokenPieceBody(Body):
    """Token ids in a prompt."""

    tokens: Annotated[list[TokenId], Field(fail_fast=True)] = Field(
        description="The ids, which stay as they are."
    )


def _kind_of_prompt(value: Any) -> str:
    if not isinstance(value, list):
        return "<text>"
    return "<pieces>" if value and not isinstance(value[0], int) else "<ids>"


def _kind_of_piece(value: Any) -> str:
    is_tokens = "tokens" in value if isinstance(value, dict) else hasattr(value, "tokens")
    return "<tokens>" if is_tokens else "<text>"


PieceBody = Annotated[
    Annotated[TextPieceBody, Tag("<text>")] | Annotated[TokenPieceBody, Tag("<tokens>")],
    Discriminator(_kind_of_piece),
]
PromptBody = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[
        list[TokenId], Field(fail_fast=True, min_length=1, max_length=MAX_TOKENS), Tag("<ids>")
    ]
    | Annotated[
        list[PieceBody], Field(fail_fast=True, min_length=1, max_length=MAX_PIECES), Tag("<pieces>")
    ],
    Discriminator(_kind_of_prompt),
]
ChatBody = Annotated[
    list[MessageBody], Field(fail_fast=True, min_length=1, max_length=MAX_MESSAGES)
]


def as_prompt(prompt: PromptBody) -> PromptLike:
    """Return a prompt of a body as the calls of a model take it."""
    if isinstance(prompt, str):
        return prompt
    pieces: list[TextPiece | TokenPiece] = []
    for piece in prompt:
        if isinstance(piece, TextPieceBody):
            pieces.append(TextPiece(piece.text, piece.special))
        elif isinstance(piece, TokenPieceBody):
            pieces.append(TokenPiece(tuple(piece.tokens)))
    if pieces:
        return Prompt(tuple(pieces))
    return [token for token in prompt if isinstance(token, int)]


class PromptsBody(ModelBody):
    """A body with one prompt, or many."""

    one_of = ("prompt", "prompts", "messages", "chats")

    prompt: PromptBody | None = Field(
        None,
        description="The text before: a string, a list of token ids, or pieces of both.",
        examples=["The capital of France is"],
    )
    prompts: Annotated[list[PromptBody], Field(fail_fast=True)] | None = Field(
        None, min_length=1, max_length=MAX_PROMPTS, description="Many prompts in place of `prompt`."
    )
    messages: ChatBody | None = Field(
        None, description="A chat in place of `prompt`, for models with a chat template."
    )
    chats: Annotated[list[ChatBody], Field(fail_fast=True)] | None = Field(
        None, min_length=1, max_length=MAX_PROMPTS, description="Many chats in place of `prompt`."
    )
    template_arguments: TemplateArguments | None = Field(
        None,
        description="Variables of the model's chat template, such as `enable_thinking`.",
    )

    def calls(self) -> Sequence[dict[str, Any]]:
        """Return, for each prompt or chat, the arguments that give it to a call of a model."""
        prompts = self.prompts if self.prompt is None else [self.prompt]
        chats = self.chats if self.messages is None else [self.messages]
        calls: list[dict[str, Any]] = [{"prompt": as_prompt(prompt)} for prompt in prompts or ()]
        for chat in chats or ():
            calls.append({"messages": [message.model_dump() for message in chat]})
        if self.template_arguments is None:
            return calls
        return [{**call, "template_arguments": self.template_arguments} for call in calls]
