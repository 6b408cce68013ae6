"""What is wrong with a request by its headers alone."""

from __future__ import annotations

from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from autocog_core.config.server_config import MAX_HEADER_BYTES
from autocog_core.server.error_answers import error_response
from autocog_core.server.request_errors import Problem

#: Number of headers.
MAX_HEADERS = 100
#: Requests with these methods have a body.
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class RequestChecks:
    """Refuses requests with too many headers, for another host, or with a body that is not JSON.

    A page of another site can let a browser send forms and plain texts to this computer, and can
    give its own name this computer's address. It can do neither with JSON and a known host.

    :param app: what answers.
    :param hosts: the names by which clients may call the server; empty for any.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        problem = self._check(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            headers = {"Connection": "close"} if problem.code == "two_lengths" else None
            await error_response(scope["path"], problem, headers)(scope, receive, send)

    def _check(self, scope: Scope) -> Problem | None:
        headers = scope["headers"]
        if len(headers) > MAX_HEADERS:
            return Problem(
                431, f"the request has more than {MAX_HEADERS} headers", "too_many_headers"
            )
        if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
            text = f"the headers have more than {MAX_HEADER_BYTES:,} bytes"
            return Problem(431, text, "too_large_headers")
        if _has_header(scope, b"transfer-encoding") and _has_header(scope, b"content-length"):
            # A proxy may read the other one, and take what follows for a request of its own.
            return Problem(400, "send Content-Length or Transfer-Encoding, not both", "two_lengths")
        if self._hosts:
            host = _host_name(_header(scope, b"host"))
            if host not in self._hosts:
                hosts = ", ".join(sorted(self._hosts))
                text = f'no server for the host "{host[:80]}"; this one answers for {hosts}'
                return Problem(421, text, "unknown_host")
        if scope["method"] in WITH_BODY and not _is_json(_header(scope, b"content-type")):
            return Problem(
                415, 'send JSON, with the header "Content-Type: application/json"', "not_json"
            )
        return None


def _has_header(scope: Scope, name: bytes) -> bool:
    return any(header == name for header, _ in scope["headers"])


def _header(scope: Scope, name: bytes) -> str:
    values = [value for header, value in scope["headers"] if header == name]
    return bytes(values[0]).decode("latin-1") if len(values) == 1 else ""


def _host_name(host: str) -> str:
    """Return the name in a `Host` header, without the port."""
    name, _, _ = host.partition("]") if host.startswith("[") else host.partition(":")
    return name.strip("[").rstrip(".").lower()


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )
