"""What the dialects share on the wire: bodies, refusals, event streams, requests as sampling."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tests.support.openai.servers.engine import Engine, Generation, Step

#: The least log-probability that OpenAI's API and its imitators tell.
LEAST = -9999.0


class Refusal(Exception):  # noqa: N818
    """An HTTP status and a body that say what is wrong with the request."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


async def refused(request: Request, error: Exception) -> Response:
    """The reply to a request that was refused."""
    assert isinstance(error, Refusal)
    return JSONResponse(error.body, status_code=error.status)


def events(
    chunks: Iterable[Mapping[str, Any]], *, named: bool = False, done: bool = True
) -> Response:
    """Server-sent events.

    :param named: each event carries its type, as those of the Responses API do.
    :param done: the stream ends with `[DONE]`.
    """

    async def written() -> AsyncIterator[str]:
        for chunk in chunks:
            name = f"event: {chunk['type']}\n" if named else ""
            yield f"{name}data: {json.dumps(chunk)}\n\n"
        if done:
            yield "data: [DONE]\n\n"

    return StreamingResponse(written(), media_type="text/event-stream")


def deltas(engine: Engine, generation: Generation) -> Iterator[tuple[str, Step | None]]:
    """The text in pieces, each with the token that brought it; bytes wait for their character.

    The last piece has no token: it is what is left of a character never completed.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    before = 0
    for step in generation.steps:
        after = min(len(generation.raw), before + len(engine.pieces[step.token]))
        yield decoder.decode(generation.raw[before:after]), step
        before = after
    rest = decoder.decode(b"", final=True)
    if rest:
        yield rest, None


def clamped(logprob: float) -> float:
    """A log-probability that JSON can hold."""
    return max(float(logprob), LEAST)


def stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The stop strings: one or several."""
    given = body.get("stop") or ()
    return (given,) if isinstance(given, str) else tuple(given)


def flattened(messages: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Messages with their texts in one piece."""
    found = []
    for message in messages:
        content = message.get("content") or ""
        if not isinstance(content, str):
            content = "".join(part.get("text", "") for part in content)
        found.append({"role": message["role"], "content": content})
    return found


def as_prompts(given: Any) -> list[str | list[int]]:
    """The prompts of a completions request: text or ids, one or several."""
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        return [given]
    return list(given)
