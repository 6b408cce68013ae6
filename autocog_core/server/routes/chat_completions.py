"""`POST /v1/chat/completions`: OpenAI's protocol for answers in a chat."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field

from autocog_core.config.server_config import ServerLimits
from autocog_core.model.model import Model
from autocog_core.server.json_answer import JsonAnswer
from autocog_core.server.openai_api.answer_parts import UsageAnswer, new_id, now, usage_of
from autocog_core.server.openai_api.chat_answers import (
    ChatAnswer,
    ChatChoice,
    ChatChunk,
    ChunkChoice,
    Delta,
    chat_choice,
    last_choice,
    piece_choice,
)
from autocog_core.server.openai_api.chat_messages import ChatFields
from autocog_core.server.openai_api.events import (
    EVENT_STREAM,
    Piece,
    begin_stream,
    events_response,
    whole_texts,
)
from autocog_core.server.openai_api.generation_body import GenerationBody
from autocog_core.server.openai_api.text_request import (
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

router = APIRouter(tags=["OpenAI"])
PATH = "/v1/chat/completions"


class ChatBody(ChatFields, GenerationBody):
    """A request for the next answer in a chat."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    max_completion_tokens: int | None = Field(
        None, ge=1, description="The most tokens to write; the newer name of `max_tokens`."
    )
    logprobs: bool | None = Field(None, description="Return the tokens' log-probabilities.")
    top_logprobs: int | None = Field(
        None, ge=0, le=20, description="List so many likeliest tokens at each position."
    )

    @property
    def limit(self) -> int | None:
        """The most tokens to write; None if the request does not say."""
        given = self.max_completion_tokens
        return self.max_tokens if given is None else given

    def check(self, limits: ServerLimits) -> None:
        """Refuse what cannot be done.

        :raises RequestError: naming the argument.
        """
        self.check_unknown()
        self.chat()
        names = ("max_tokens", "max_completion_tokens")
        for name in names:
            check_max_tokens(getattr(self, name), limits, name)
        if self.max_tokens is not None and self.limit != self.max_tokens:
            raise RequestError(f"{' and '.join(names)} differ; give one", parameter=names[1])
        if self.limit == 0:
            raise RequestError("0 writes nothing; give 1 or more", parameter=names[0])
        if self.top_logprobs and not self.logprobs:
            raise RequestError("needs logprobs: true", parameter="top_logprobs")
        if self.count > limits.questions:
            raise RequestError(f"a request has at most {limits.questions:,} texts", parameter="n")

    def request(self, model: Model, most: int) -> TextRequest:
        """Return what the model is to do. Call it on the model's thread.

        :param most: the most tokens, if the request does not say.
        :raises RequestError: for messages that models do not read.
        :raises AutocogError: for a prompt that is wrong.
        """
        request = TextRequest(
            prompt=self.chat_prompt(model),
            ids=None,
            max_tokens=self.limit or most,
            arguments=self.arguments(model),
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
        )
        (request,) = encode_requests(model, [request])
        if not self.limit:
            request = with_room(request, model, most)
        check_listed([request], self.count)
        return request


@router.post(PATH, responses={200: {"model": ChatAnswer, "content": EVENT_STREAM}})
async def complete_chat(body: ChatBody, calls: Calls) -> Response:
    """Write the next answer in a chat."""
    limits = calls.state.config.limits
    body.check(limits)
    model = await calls.model(body.model)
    most = limits.output_tokens
    (request,) = await calls.make(
        model, [model.calls.call(lambda loaded: body.request(loaded, most))]
    )
    answer = _Answer(body, model.name, model.model, request)
    if body.wants_stream and body.count == 1:
        pieces = await begin_stream(calls, model, request)
        return events_response(calls, pieces, answer.events, answer.begin())
    texts = await calls.make(model, [write(model, request)])
    if body.wants_stream:
        return events_response(calls, whole_texts(texts), answer.events, answer.begin())
    # The names of tokens may need the model, which may be at work.
    return await asyncio.to_thread(lambda: JsonAnswer(answer.whole(texts[0])))


class _Answer:
    """The answer to one request: whole, or as events of a stream."""

    def __init__(self, body: ChatBody, model_name: str, model: Model, request: TextRequest) -> None:
        self._body = body
        self._model_name = model_name
        self._request = request
        self._names = TokenNames(model, by_id=bool(body.return_tokens_as_token_ids))
        self._id, self._created = new_id("chatcmpl"), now()
        self._texts: list[WrittenText] = []
        self._has_text = False

    def whole(self, texts: list[WrittenText]) -> ChatAnswer:
        """Return the answer with all texts."""
        return ChatAnswer(
            id=self._id,
            object="chat.completion",
            created=self._created,
            model=self._model_name,
            choices=[self._choice(index, text) for index, text in enumerate(texts)],
            usage=usage_of([self._request], [texts]),
        )

    def begin(self) -> list[ChatChunk]:
        """Return the first events of a stream: who speaks."""
        delta = Delta(role="assistant", content="")
        return [self._chunk([piece_choice(index, delta)]) for index in range(self._body.count)]

    def events(self, piece: Piece) -> Iterator[ChatChunk]:
        """Return the events of a piece of a stream."""
        if isinstance(piece, str):
            self._has_text = True
            yield self._chunk([piece_choice(0, Delta(content=piece))])
            return
        choice = self._choice(len(self._texts), piece)
        self._texts.append(piece)
        text = choice["message"]["content"]
        if text and not self._has_text:
            yield self._chunk([piece_choice(choice["index"], Delta(content=text))])
        yield self._chunk([last_choice(choice)])
        if self._body.wants_usage and len(self._texts) == self._body.count:
            yield self._chunk([], usage_of([self._request], [self._texts]))

    def _choice(self, index: int, text: WrittenText) -> ChatChoice:
        with_ids = bool(self._body.return_token_ids)
        return chat_choice(self._names, self._request, text, index, with_ids=with_ids)

    def _chunk(self, choices: list[ChunkChoice], usage: UsageAnswer | None = None) -> ChatChunk:
        chunk = ChatChunk(
            id=self._id,
            object="chat.completion.chunk",
            created=self._created,
            model=self._model_name,
            choices=choices,
        )
        if self._body.wants_usage:
            chunk["usage"] = usage
        return chunk
