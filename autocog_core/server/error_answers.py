"""Answers for errors, each in the shape of its protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from autocog_core.errors import AutocogError, shorten
from autocog_core.redaction import redact
from autocog_core.server.error_log import logged_problem
from autocog_core.server.json_answer import JsonAnswer
from autocog_core.server.request_errors import Problem, RequestError

#: Routes whose errors have the shape of the System One protocol.
SYSTEM_ONE_ROUTES = frozenset({"/v1/systemone"})
#: Routes of OpenAI, which answers 400 where others answer 422.
OPENAI_ROUTES = frozenset({"/v1/completions", "/v1/chat/completions"})


def error_body(path: str, problem: Problem) -> dict[str, Any]:
    """Return the body of an answer for an error.

    System One has `detail`: a list for a body that is not valid, else `error_type` and `message`.
    All other routes have OpenAI's shape, `error` with `message`, `type`, `code` and `param`.

    :param path: the path of the request.
    :param problem: what is wrong.
    :returns: plain data without secrets.
    """
    body: dict[str, Any] = _redacted(_error_body(path, problem))
    return body


def _error_body(path: str, problem: Problem) -> dict[str, Any]:
    if path in SYSTEM_ONE_ROUTES:
        if problem.status == 422:
            return {"detail": list(problem.details) or [_as_detail(problem)]}
        return {"detail": {"error_type": problem.kind, "message": problem.message}}
    error = {
        "message": problem.message,
        "type": problem.kind,
        "code": problem.code,
        "param": problem.parameter,
    }
    return {"error": error}


def error_response(
    path: str, problem: Problem, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return the answer for an error, without secrets.

    :param path: the path of the request.
    :param problem: what is wrong.
    :param headers: headers of the answer.
    """
    return JsonAnswer(error_body(path, problem), status_code=problem.status, headers=headers)


def add_error_answers(app: FastAPI) -> None:
    """Let an app answer errors in the shapes of its protocols.

    :param app: the app.
    """

    @app.exception_handler(RequestError)
    async def refuse(request: Request, error: RequestError) -> JSONResponse:
        return error_response(request.url.path, error.problem, error.headers)

    @app.exception_handler(AutocogError)
    async def explain(request: Request, error: AutocogError) -> JSONResponse:
        problem = logged_problem(error, request.scope.get("autocog.request", ""))
        return error_response(request.url.path, problem)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        details = tuple(
            {"loc": list(entry["loc"]), "msg": entry["msg"], "type": entry["type"]}
            for entry in error.errors()[:20]
        )
        problem = _invalid(details)
        if request.url.path in OPENAI_ROUTES:
            problem = replace(problem, status=400)
        return error_response(request.url.path, problem)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "not_found", 405: "method_not_allowed", 400: "invalid_request"}
        code = codes.get(error.status_code, "error")
        problem = Problem(error.status_code, str(error.detail), code)
        return error_response(request.url.path, problem, dict(error.headers or {}))


def _invalid(details: tuple[dict[str, Any], ...]) -> Problem:
    places = [".".join(_parts_of(entry["loc"])) for entry in details]
    texts = [
        f"{place}: {entry['msg']}" if place else str(entry["msg"])
        for place, entry in zip(places, details, strict=True)
    ]
    first = places[0] if places else None
    return Problem(422, "; ".join(texts), "invalid_request", first or None, details)


def _parts_of(location: Iterable[str | int]) -> Iterable[str]:
    """Return the parts of a place after "body", without the tags of unions."""
    for part in islice(location, 1, None):
        text = shorten(str(part))
        if not (text.startswith("<") and text.endswith(">")):
            yield text


def _as_detail(problem: Problem) -> dict[str, Any]:
    place = problem.parameter.split(".") if problem.parameter else []
    return {"loc": ["body", *place], "msg": problem.message, "type": problem.code}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _redacted(entry) for key, entry in value.items()}
    return value
