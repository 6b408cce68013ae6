"""Answers of `/v1/completions`."""

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
from autocog_core.server.openai_api.token_names import (
    TokenNames,
    as_json_logprob,
    best_by_name,
)
from autocog_core.server.openai_api.writing import ScoredPosition, WrittenText


class CompletionLogprobs(TypedDict):
    """The tokens of a text: the first token of a sequence has no log-probability."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(TypedDict):
    """One text. `stop_reason` is the stop string that ended it."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: OpenAIFinishReason | None
    stop_reason: str | None
    x_finish_reason: NotRequired[str]
    token_ids: NotRequired[list[int]]
    prompt_token_ids: NotRequired[list[int]]


class CompletionAnswer(TypedDict):
    """The texts of all prompts, those of the first prompt first."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: NotRequired[UsageAnswer | None]


def completion_choice(
    names: TokenNames,
    request: TextRequest,
    written: WrittenText,
    *,
    index: int,
    echoed: str,
    prompt_length: int,
    with_ids: bool,
) -> CompletionChoice:
    """Return one choice of an answer.

    :param names: the names of tokens.
    :param request: the prompt.
    :param written: the text.
    :param index: the index of the choice.
    :param echoed: the text of the prompt, if the answer begins with it.
    :param prompt_length: the length of the prompt's text.
    :param with_ids: whether the ids are wanted.
    """
    completion = written.completion
    logprobs = None
    if request.top_logprobs is not None:
        positions = [*written.prompt, *written.positions]
        logprobs = _logprobs(names, positions, 0 if request.echo else prompt_length)
    choice = CompletionChoice(
        index=index,
        text=echoed + (completion.text if completion is not None else ""),
        logprobs=logprobs,
        finish_reason=finish_reason_of(completion),
        stop_reason=completion.stop_string if completion is not None else None,
        x_finish_reason=completion.finish_reason if completion is not None else "length",
    )
    if with_ids:
        choice["token_ids"] = list(completion.tokens) if completion is not None else []
        choice["prompt_token_ids"] = list(request.ids or ())
    return choice


def text_choice(index: int, text: str) -> CompletionChoice:
    """Return the choice of an event of a stream before the last one."""
    return CompletionChoice(
        index=index, text=text, logprobs=None, finish_reason=None, stop_reason=None
    )


def _logprobs(
    names: TokenNames, positions: Sequence[ScoredPosition], start: int
) -> CompletionLogprobs:
    tokens = [position.token for position in positions]
    return CompletionLogprobs(
        tokens=[names.name(token) for token in tokens],
        token_logprobs=[as_json_logprob(position.logprob) for position in positions],
        top_logprobs=[
            None
            if position.logprob is None
            else best_by_name(names, position.token, position.logprob, position.top)
            for position in positions
        ],
        text_offset=names.offsets(tokens, start),
    )


def completion_answer(
    answer_id: str,
    created: int,
    model: str,
    choices: list[CompletionChoice],
    usage: UsageAnswer | None = None,
    *,
    has_usage: bool = True,
) -> CompletionAnswer:
    """Return an answer, or an event of a stream.

    :param has_usage: whether it has the key `usage` at all.
    """
    answer = CompletionAnswer(
        id=answer_id, object="text_completion", created=created, model=model, choices=choices
    )
    if has_usage:
        answer["usage"] = usage
    return answer
