"""Keys of clients."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from autocog_core.server.error_answers import error_response
from autocog_core.server.request_errors import Problem

#: What needs no key: it shows nothing of models and requests.
OPEN_PATHS = frozenset({"/", "/health", "/ready", "/docs", "/openapi.json"})
OPEN_FOLDERS = ("/page/", "/docs/")


class Authentication:
    """Refuses requests without a valid `Authorization: Bearer KEY`.

    :param app: what answers.
    :param keys: the valid keys; with none, every request is answered.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._digests = [_digest(key.encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with a valid key; refuse others."""
        if scope["type"] == "http" and self._digests and not _is_open(scope):
            number = self._find(_bearer(scope))
            if number is None:
                await self._refuse(scope, receive, send)
                return
            scope["autocog.key"] = number
        await self._app(scope, receive, send)

    def _find(self, key: bytes | None) -> int | None:
        """Return which key it is. The time does not depend on how much of it is right."""
        if key is None:
            return None
        digest = _digest(key)
        matches = [hmac.compare_digest(digest, valid) for valid in self._digests]
        return matches.index(True) if any(matches) else None

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = Problem(
            401, 'no valid key; send the header "Authorization: Bearer KEY"', "invalid_api_key"
        )
        response = error_response(scope["path"], problem, {"WWW-Authenticate": "Bearer"})
        await response(scope, receive, send)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def is_open_path(path: str) -> bool:
    """Return whether a path needs no key.

    :param path: the path of a request or of a route.
    """
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def _is_open(scope: Scope) -> bool:
    # A browser's question before a call (CORS) has no key.
    return is_open_path(scope["path"]) or scope["method"] == "OPTIONS"


def _bearer(scope: Scope) -> bytes | None:
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) != 1:
        return None
    kind, _, key = bytes(values[0]).partition(b" ")
    return key.strip() if kind.lower() == b"bearer" and key.strip() else None
