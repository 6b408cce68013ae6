"""The calls of models that one request makes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Hashable, Sequence
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from autocog_core.async_calls.call import current_client
from autocog_core.server.request_errors import RequestError
from autocog_core.server.served_models import ServedModel
from autocog_core.server.server_state import ServerState

Result = TypeVar("Result")


class RequestCalls:
    """The calls of models that one request makes: counted, in time, and only while it is there.

    :param request: the request.
    :ivar state: what all routes share.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self.state: ServerState = request.app.state.server

    @property
    def path(self) -> str:
        """The path of the request."""
        return self._request.url.path

    @property
    def request_id(self) -> str:
        """The id of the request, as in its answer's header `x-request-id`."""
        request_id: str = self._request.scope.get("autocog.request", "")
        return request_id

    async def model(self, name: str | None) -> ServedModel:
        """Return the model that a request names.

        :raises RequestError: if there is no such model.
        :raises AutocogError: if it cannot be loaded.
        """
        model = await self.state.models.get(name)
        self._request.scope["autocog.model"] = model.name
        return model

    async def make(
        self, model: ServedModel, calls: Sequence[Coroutine[Any, Any, Result]]
    ) -> list[Result]:
        """Make calls of a model, and return their results in order.

        Calls that wait at one time go to the engine together. The first error ends the others.

        :param model: the model.
        :param calls: coroutines of `model.calls`.
        :raises RequestError: if too many calls wait (429), the time is over (504), or the client
            is gone (499, which nobody reads).
        """
        try:
            with self.state.admission.enter(len(calls)):
                self._count(model, len(calls))
                results = await self._in_time(_all(calls))
                tokens = sum(getattr(result, "tokens_evaluated", 0) for result in results)
                self.state.metrics.count_tokens(model.name, tokens)
                return results
        finally:
            for call in calls:
                call.close()

    async def stream(
        self, model: ServedModel, pieces: AsyncGenerator[Result, None]
    ) -> AsyncGenerator[Result, None]:
        """Pass on what one call yields, and end the call when nobody reads.

        The errors of `make` are raised before the first piece, or between pieces.

        :param model: the model.
        :param pieces: what the call yields.
        """
        deadline = asyncio.get_running_loop().time() + self.state.config.limits.request_seconds
        with self.state.admission.enter(1):
            self._count(model, 1)
            try:
                while True:
                    try:
                        async with asyncio.timeout_at(deadline):
                            piece = await anext(pieces)
                    except StopAsyncIteration:
                        return
                    except TimeoutError:
                        raise self._too_late() from None
                    yield piece
            finally:
                await pieces.aclose()

    async def while_there(self, work: Awaitable[Result]) -> Result:
        """Await something of `stream`: end it if the client is gone or the time is over.

        :param work: what to await.
        :raises RequestError: as `make`.
        """
        return await self._in_time(work)

    def _count(self, model: ServedModel, number: int) -> None:
        """Count calls, and say whose they are."""
        scope = self._request.scope
        scope["autocog.calls"] = scope.get("autocog.calls", 0) + number
        self.state.metrics.count_calls(model.name, number)
        current_client.set(self._client())

    async def _in_time(self, work: Awaitable[Result]) -> Result:
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(self._until_gone())
        try:
            done, _ = await asyncio.wait(
                {task, gone},
                timeout=self.state.config.limits.request_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task in done:
                return task.result()
            if gone in done:
                raise RequestError("the client is gone", status=499, code="client_gone")
            raise self._too_late()
        finally:
            for future in (task, gone):
                future.cancel()
            with suppress(BaseException):
                await task

    def _too_late(self) -> RequestError:
        seconds = self.state.config.limits.request_seconds
        return RequestError(
            f"the answer took longer than {seconds:g} seconds", status=504, code="timeout"
        )

    async def _until_gone(self) -> None:
        # The body has been read: what comes now is the end of the connection.
        while (await self._request.receive())["type"] != "http.disconnect":
            pass

    def _client(self) -> Hashable:
        """Whose request it is: clients take turns."""
        host, port = self._request.client or ("", 0)
        key = self._request.scope.get("autocog.key")
        return (host, port) if key is None else (key, host)


async def _all(calls: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _request_calls(request: Request) -> RequestCalls:
    # FastAPI would call the class itself in a thread, which costs more than all else.
    return RequestCalls(request)


#: A parameter of a route.
Calls = Annotated[RequestCalls, Depends(_request_calls)]
