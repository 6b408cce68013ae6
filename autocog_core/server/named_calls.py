"""Calls of one request: how many there may be, and which one has an error."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from autocog_core.config.server_config import ServerLimits
from autocog_core.errors import AutocogError
from autocog_core.server.request_calls import RequestCalls
from autocog_core.server.request_errors import RequestError
from autocog_core.server.served_models import ServedModel

Result = TypeVar("Result")


async def make_named_calls(
    calls: RequestCalls,
    model: ServedModel,
    what: str,
    functions: Sequence[Callable[[], Awaitable[Result]]],
) -> list[Result]:
    """Make calls of a model together, and return their results in order.

    An error names its call if there are several: "prompt 3, choice 0: ...".

    :param calls: the calls of the request.
    :param model: the model.
    :param what: the name of one of them, such as "prompt".
    :param functions: each makes a call.
    :raises RequestError: as `RequestCalls.make`.
    """
    if len(functions) == 1:
        return await calls.make(model, [_plain(functions[0])])
    named = [
        name_errors(function, f"{what} {index}", alone=f"{what} 0")
        for index, function in enumerate(functions)
    ]
    return await calls.make(model, named)


def check_count(
    what: str, count: int, limits: ServerLimits, parameter: str, *, status: int = 400
) -> None:
    """Check how many prompts, questions, texts or rows a request has.

    :param what: their name, in plural.
    :param count: their number.
    :param limits: the limits of the server.
    :param parameter: their field.
    :param status: the status of the error.
    :raises RequestError: if there are too many.
    """
    if count > limits.questions:
        raise RequestError(
            f"{count:,} {what}; this server takes {limits.questions:,} in one request",
            status=status,
            parameter=parameter,
        )


async def _plain(function: Callable[[], Awaitable[Result]]) -> Result:
    # A coroutine of its own, so that a call that is never made is not begun either.
    return await function()


async def name_errors(
    function: Callable[[], Awaitable[Result]], place: str, alone: str = ""
) -> Result:
    """Make a call; an error says which one it was.

    :param function: makes the call.
    :param place: what the error names.
    :param alone: what an error names if the call was made alone.
    """
    try:
        return await function()
    except AutocogError as error:
        # A copy: calls that were made together may share their error.
        named = copy.copy(error)
        where = "" if error.where == alone else error.where
        named.where = f"{place}, {where}" if where else place
        raise named from error
