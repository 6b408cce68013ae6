"""Texts in pieces, and the server-sent events in which they go to a client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from starlette.responses import StreamingResponse

from autocog_core.server.error_answers import error_body
from autocog_core.server.error_log import logged_problem
from autocog_core.server.openai_api.text_request import TextRequest
from autocog_core.server.openai_api.writing import WrittenText, with_scores
from autocog_core.server.request_calls import RequestCalls
from autocog_core.server.served_models import ServedModel

#: What a stream yields: pieces of the text, and at the end the whole text with its scores.
Piece = str | WrittenText
#: The content types of the routes' answers, for the OpenAPI document.
EVENT_STREAM: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}}


async def stream_text(model: ServedModel, request: TextRequest) -> AsyncGenerator[Piece, None]:
    """Yield the text of a request in pieces, and at the end the whole of it.

    Closing the generator ends the completion.

    :param model: the model.
    :param request: a request for one text.
    """
    completion = model.calls.stream_completion(
        request.to_complete, max_tokens=request.max_tokens, **request.arguments
    )
    async with aclosing(completion) as pieces:
        async for piece in pieces:
            if isinstance(piece, str):
                yield piece
            else:
                (written,) = await with_scores(model, request, piece)
                yield written


async def begin_stream(
    calls: RequestCalls, model: ServedModel, request: TextRequest
) -> AsyncGenerator[Piece, None]:
    """Wait for the first piece of a text, and return all pieces.

    Until then, an error is a normal answer, and a client that goes away ends the work.

    :param calls: the calls of the request.
    :param model: the model.
    :param request: a request for one text.
    :raises RequestError: as `RequestCalls.make`.
    :raises AutocogError: as `Model.complete`.
    """
    pieces = calls.stream(model, stream_text(model, request))
    first = await calls.while_there(anext(pieces))

    async def all_pieces() -> AsyncGenerator[Piece, None]:
        try:
            yield first
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()

    return all_pieces()


def events_response(
    calls: RequestCalls,
    pieces: AsyncGenerator[Piece, None],
    render: Callable[[Piece], Iterable[Any]],
    begin: Sequence[Any] = (),
) -> StreamingResponse:
    """Return a stream of server-sent events.

    :param calls: the calls of the request, whose protocol's errors are sent.
    :param pieces: the text.
    :param render: returns the events of a piece, as plain data.
    :param begin: the first events.
    """

    async def events() -> AsyncIterator[str]:
        for event in begin:
            yield _event(event)
        try:
            async for piece in pieces:
                # The names of tokens may need the model, which may be at work.
                for event in await asyncio.to_thread(lambda: list(render(piece))):  # noqa: B023
                    yield _event(event)
        except Exception as error:  # noqa: BLE001 - the status was sent: the error is an event
            problem = logged_problem(error, calls.request_id)
            yield _event(error_body(calls.path, problem))
            return
        finally:
            await pieces.aclose()
        yield "data: [DONE]\n\n"

    return StreamingResponse(
        events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
    )


def _event(data: Any) -> str:
    return f"data: {json.dumps(data, ensure_ascii=True, allow_nan=False)}\n\n"


async def whole_texts(texts: Sequence[Sequence[WrittenText]]) -> AsyncGenerator[Piece, None]:
    """Yield texts that are complete: several are streamed one by one.

    :param texts: the texts of each prompt.
    """
    for of_prompt in texts:
        for text in of_prompt:
            yield text
