"""`POST /v1/completions`: OpenAI's protocol for texts that continue a prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from autocog_core.config.server_config import ServerLimits
from autocog_core.model.model import Model
from autocog_core.server.json_answer import JsonAnswer
from autocog_core.server.openai_api.answer_parts import UsageAnswer, new_id, now, usage_of
from autocog_core.server.openai_api.completion_answers import (
    CompletionAnswer,
    CompletionChoice,
    completion_answer,
    completion_choice,
    text_choice,
)
from autocog_core.server.openai_api.events import (
    EVENT_STREAM,
    Piece,
    begin_stream,
    events_response,
    whole_texts,
)
from autocog_core.server.openai_api.generation_body import GenerationBody
from autocog_core.server.openai_api.text_request import (
    DEFAULT_MAX_TOKENS,
    TextRequest,
    check_listed,
    check_max_tokens,
    encode_requests,
    with_room,
)
from autocog_core.server.openai_api.token_names import TokenNames
from autocog_core.server.openai_api.writing import WrittenText, write
from autocog_core.server.request_calls import Calls
from autocog_core.server.request_errors import RequestError
from autocog_core.server.whole_numbers import TokenId
from autocog_core.types.prompt import Prompt

router = APIRouter(tags=["OpenAI"])
PATH = "/v1/completions"
#: The most of the likeliest tokens at each position.
MAX_LOGPROBS = 1000


class CompletionBody(GenerationBody):
    """A request for texts that continue prompts."""

    prompt: str | list[str] | list[TokenId] | list[list[TokenId]] = Field(
        description="A text, several texts, the ids of a prompt, or those of several.",
        examples=["The capital of France is"],
    )
    echo: bool | None = Field(None, description="Begin the text with the prompt, and score it.")
    logprobs: int | None = Field(
        None,
        ge=0,
        le=MAX_LOGPROBS,
        description="Log-probabilities of the tokens, and of so many likeliest ones.",
    )
    best_of: int | None = Field(None, description="As `n`: texts are not ranked.")
    suffix: str | None = Field(None, description="Not supported.")

    def prompts(self) -> list[Prompt]:
        """Return the prompts.

        :raises RequestError: if there is none.
        """
        return [Prompt.of(prompt) for prompt in self._given_prompts()]

    def _given_prompts(self) -> list[Any]:
        given = self.prompt
        is_single = isinstance(given, str) or (bool(given) and isinstance(given[0], int))
        prompts: list[Any] = [given] if is_single else list(given)
        if not prompts:
            raise RequestError("is empty; give at least one prompt", parameter="prompt")
        return prompts

    def check(self, limits: ServerLimits) -> None:
        """Refuse what cannot be done.

        :raises RequestError: naming the argument.
        """
        self.check_unknown()
        if self.suffix:
            raise RequestError(
                "suffix is not supported: models continue a prompt", parameter="suffix"
            )
        if self.best_of is not None and self.best_of != self.count:
            raise RequestError(
                f"best_of must be n ({self.count}): texts are not ranked", parameter="best_of"
            )
        check_max_tokens(self.max_tokens, limits, "max_tokens")
        if self.max_tokens == 0 and not self.echo:
            raise RequestError("0 writes nothing; give 1 or more, or echo", parameter="max_tokens")
        # They are made on the model's thread: long ones take a while.
        if len(self._given_prompts()) * self.count > limits.questions:
            raise RequestError(
                f"a request has at most {limits.questions:,} texts", parameter="prompt"
            )

    def requests(self, model: Model) -> list[TextRequest]:
        """Return what the model is to do. Call it on the model's thread.

        :raises AutocogError: for a prompt that is wrong.
        """
        arguments = self.arguments(model)
        requests = encode_requests(
            model,
            [
                TextRequest(
                    prompt=prompt,
                    ids=None,
                    max_tokens=DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens,
                    arguments=arguments,
                    echo=bool(self.echo) and self.logprobs is not None,
                    top_logprobs=self.logprobs,
                )
                for prompt in self.prompts()
            ],
        )
        if self.max_tokens is None:
            requests = [with_room(request, model, DEFAULT_MAX_TOKENS) for request in requests]
        check_listed(requests, self.count)
        return requests


@router.post(PATH, responses={200: {"model": CompletionAnswer, "content": EVENT_STREAM}})
async def complete(body: CompletionBody, calls: Calls) -> Response:
    """Continue prompts; optionally score their tokens, too."""
    body.check(calls.state.config.limits)
    model = await calls.model(body.model)
    (requests,) = await calls.make(model, [model.calls.call(body.requests)])
    answer = _Answer(body, model.name, model.model, requests)
    if body.wants_stream and len(requests) == body.count == 1 and requests[0].max_tokens:
        pieces = await begin_stream(calls, model, requests[0])
        return events_response(calls, pieces, answer.events)
    texts = await calls.make(model, [write(model, request) for request in requests])
    if body.wants_stream:
        return events_response(calls, whole_texts(texts), answer.events)
    # The names of tokens may need the model, which may be at work.
    return await asyncio.to_thread(lambda: JsonAnswer(answer.whole(texts)))


class _Answer:
    """The answer to one request: whole, or as events of a stream."""

    def __init__(
        self, body: CompletionBody, model_name: str, model: Model, requests: list[TextRequest]
    ) -> None:
        self._body = body
        self._model_name = model_name
        self._model = model
        self._requests = requests
        self._names = TokenNames(model, by_id=bool(body.return_tokens_as_token_ids))
        self._id, self._created = new_id("cmpl"), now()
        self._texts: list[WrittenText] = []
        self._has_text = False

    def whole(self, texts: list[list[WrittenText]]) -> CompletionAnswer:
        """Return the answer with all texts."""
        written = [text for of_prompt in texts for text in of_prompt]
        choices = [self._choice(index, text) for index, text in enumerate(written)]
        return self._with(choices, usage_of(self._requests, texts))

    def events(self, piece: Piece) -> Iterator[CompletionAnswer]:
        """Return the events of a piece of a stream."""
        if isinstance(piece, str):
            yield self._with([text_choice(0, self._echo_once(0) + piece)])
            return
        index = len(self._texts)
        self._texts.append(piece)
        choice = self._choice(index, piece)
        if self._has_text:
            # It was sent in pieces.
            choice["text"] = ""
        yield self._with([choice])
        if self._body.wants_usage and len(self._texts) == len(self._requests) * self._body.count:
            yield self._with([], usage_of(self._requests, [self._texts]))

    def _choice(self, index: int, text: WrittenText) -> CompletionChoice:
        number = index // self._body.count
        prompt = self._text_of(number)
        return completion_choice(
            self._names,
            self._requests[number],
            text,
            index=index,
            echoed=prompt if self._body.echo else "",
            prompt_length=len(prompt),
            with_ids=bool(self._body.return_token_ids),
        )

    def _echo_once(self, number: int) -> str:
        echoed = self._text_of(number) if self._body.echo and not self._has_text else ""
        self._has_text = True
        return echoed

    def _text_of(self, number: int) -> str:
        """Return the text of a prompt."""
        ids, given = self._requests[number].ids, self._body.prompt
        if isinstance(given, str):
            return given
        if given and isinstance(given[number], str):
            return str(given[number])
        return self._model.detokenize(ids) if ids is not None else ""

    def _with(
        self, choices: list[CompletionChoice], usage: UsageAnswer | None = None
    ) -> CompletionAnswer:
        return completion_answer(
            self._id,
            self._created,
            self._model_name,
            choices,
            usage,
            has_usage=self._body.wants_usage or not self._body.wants_stream,
        )
