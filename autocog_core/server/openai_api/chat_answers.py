"""Answers of `/v1/chat/completions`, whole and in events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from autocog_core.server.openai_api.answer_parts import (
    OpenAIFinishReason,
    UsageAnswer,
    finish_reason_of,
)
from autocog_core.server.openai_api.text_request import TextRequest
from autocog_core.server.openai_api.token_names import IMPOSSIBLE_LOGPROB, TokenNames
from autocog_core.server.openai_api.writing import ScoredPosition, WrittenText


class ListedToken(TypedDict):
    """A token that is likely in its place. Special tokens have no bytes."""

    token: str
    logprob: float
    bytes: list[int]


class ChatToken(ListedToken):
    """A token of the answer."""

    top_logprobs: list[ListedToken]


class ChatLogprobs(TypedDict):
    """The tokens of the answer, with the one that ends it."""

    content: list[ChatToken]
    refusal: None


class AnswerMessage(TypedDict):
    """The answer."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(TypedDict):
    """One answer. `stop_reason` is the stop string that ended it."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: OpenAIFinishReason
    stop_reason: str | None
    x_finish_reason: str
    token_ids: NotRequired[list[int]]


class ChatAnswer(TypedDict):
    """The answers to a chat."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageAnswer


class Delta(TypedDict, total=False):
    """What an event adds to the answer."""

    role: Literal["assistant"]
    content: str


class ChunkChoice(TypedDict):
    """An event's part of one answer."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None
    finish_reason: OpenAIFinishReason | None
    stop_reason: NotRequired[str | None]
    x_finish_reason: NotRequired[str]


class ChatChunk(TypedDict):
    """An event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: NotRequired[UsageAnswer | None]


def chat_choice(
    names: TokenNames, request: TextRequest, written: WrittenText, index: int, *, with_ids: bool
) -> ChatChoice:
    """Return one choice of an answer.

    :param names: the names of tokens.
    :param request: the prompt.
    :param written: the text.
    :param index: the index of the choice.
    :param with_ids: whether the ids are wanted.
    """
    completion = written.completion
    assert completion is not None
    logprobs = None
    if request.top_logprobs is not None:
        logprobs = chat_logprobs(names, written.positions)
    choice = ChatChoice(
        index=index,
        message=AnswerMessage(role="assistant", content=completion.text, refusal=None),
        logprobs=logprobs,
        finish_reason=finish_reason_of(completion),
        stop_reason=completion.stop_string,
        x_finish_reason=completion.finish_reason,
    )
    if with_ids:
        choice["token_ids"] = list(completion.tokens)
    return choice


def piece_choice(index: int, delta: Delta) -> ChunkChoice:
    """Return the choice of an event before the last one of an answer."""
    return ChunkChoice(index=index, delta=delta, logprobs=None, finish_reason=None)


def last_choice(choice: ChatChoice) -> ChunkChoice:
    """Return the choice of the last event of an answer: why it ended, and all its tokens."""
    return ChunkChoice(
        index=choice["index"],
        delta=Delta(),
        logprobs=choice["logprobs"],
        finish_reason=choice["finish_reason"],
        stop_reason=choice["stop_reason"],
        x_finish_reason=choice["x_finish_reason"],
    )


def chat_logprobs(names: TokenNames, positions: Sequence[ScoredPosition]) -> ChatLogprobs:
    """Return the tokens of an answer."""
    content = []
    for position in positions:
        token = _listed(names, position.token, position.logprob or 0.0)
        top = [_listed(names, other, logprob) for other, logprob in position.top]
        content.append(ChatToken(**token, top_logprobs=top))
    return ChatLogprobs(content=content, refusal=None)


def _listed(names: TokenNames, token: int, logprob: float) -> ListedToken:
    return ListedToken(
        token=names.name(token),
        logprob=max(logprob, IMPOSSIBLE_LOGPROB),
        bytes=list(names.raw(token)),
    )
