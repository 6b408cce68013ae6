"""The HTTP client of a connection: proxies, certificates, checks of requests and answers."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator
from functools import cache
from ipaddress import ip_address
from urllib.request import getproxies

import httpx2

from autocog_core import ConfigError
from autocog_core.toolkit import redact_url, register_secret_url
from autocog_openai.connection.answer_errors import mark_error_in_body
from autocog_openai.connection.errors import RedirectError
from autocog_openai.connection.limits import RequestLimits, limit_sockets
from autocog_openai.connection.options import OpenAIOptions

#: Idle connections are closed before uvicorn closes them (5 s), or a request could be lost.
IDLE_SECONDS = 3.0
#: The key of `httpx2.Request.extensions` that says that the request's time runs.
_IS_LIMITED = "autocog_is_limited"


def create_http_client(
    options: OpenAIOptions,
    base_url: httpx2.URL,
    limits: RequestLimits,
    *,
    sends_key: bool,
    where: str,
) -> httpx2.Client:
    """Return a client that sends requests to one origin only.

    It heeds the proxies and certificates of the environment. Addresses of this machine need none.

    :param limits: applied to each request.
    :param sends_key: whether there is a key; without one, the client removes the SDK's stand-in.
    :param where: the model and the server, for errors.
    :raises ConfigError: for a proxy or certificates that cannot be used.
    """
    guard = _Guard(base_url, limits, sends_key=sends_key, where=where)
    connections = 2 * options.max_concurrency
    for proxy in getproxies().values():
        register_secret_url(proxy)
    try:
        client = httpx2.Client(
            verify=_certificates(base_url),
            trust_env=not _is_local(base_url.host),
            limits=httpx2.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=IDLE_SECONDS,
            ),
            timeout=httpx2.Timeout(options.timeout, pool=None),
            follow_redirects=True,
            event_hooks={"request": [guard.check_request], "response": [guard.check_answer]},
        )
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        raise ConfigError(
            f"a proxy of the environment cannot be used: {error}",
            where="HTTPS_PROXY, HTTP_PROXY or ALL_PROXY",
            hint="correct the variable, name the server in NO_PROXY, or for a SOCKS proxy install "
            "the package socksio",
        ) from error
    limit_sockets(client, limits)
    return client


class _Guard:
    """Checks each request before it is sent, and each answer before it is read."""

    def __init__(
        self, base_url: httpx2.URL, limits: RequestLimits, *, sends_key: bool, where: str
    ) -> None:
        self._origin = base_url.origin
        self._limits = limits
        self._sends_key = sends_key
        self._where = where

    def check_request(self, request: httpx2.Request) -> None:
        # Headers may be secrets, and prompts are private: neither follows a redirect elsewhere.
        if request.url.origin != self._origin:
            raise RedirectError(
                f"the server redirects to another address: {redact_url(str(request.url))}",
                where=self._where,
                hint="requests are not sent there; if the address is right, set base_url to it",
            )
        if not self._sends_key:
            request.headers.pop("Authorization", None)
        # A redirected request has the extensions of the first one, and shares its time.
        if _IS_LIMITED not in request.extensions:
            self._limits.restart()
            request.extensions = {**request.extensions, _IS_LIMITED: True}

    def check_answer(self, response: httpx2.Response) -> None:
        # httpx decodes in pieces of a MiB. Those are counted, not the compressed bytes.
        decoded = httpx2.Response(200, headers=response.headers, stream=response.stream)
        response.stream = _CountedStream(decoded.iter_bytes(), decoded, self._limits)
        response.headers.pop("Content-Encoding", None)
        response.headers.pop("Content-Length", None)
        if self._limits.is_streaming and not is_json(response):
            return
        response.read()
        mark_error_in_body(response)


def is_json(response: httpx2.Response) -> bool:
    """Whether an answer is one JSON document, and no stream of events."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind == "application/json"


class _CountedStream(httpx2.SyncByteStream):
    def __init__(
        self, parts: Iterable[bytes], response: httpx2.Response, limits: RequestLimits
    ) -> None:
        self._parts, self._response, self._limits = parts, response, limits

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            self._limits.receive(len(part))
            yield part

    def close(self) -> None:
        self._response.close()


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _certificates(base_url: httpx2.URL) -> ssl.SSLContext:
    if base_url.scheme == "http":
        # Trusts nobody: reading certificates takes a while, and no request leaves for https.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return _read_certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _read_certificates(file: str | None, folder: str | None) -> ssl.SSLContext:
    """Return the trusted certificates. They are shared by all models.

    :param file: of SSL_CERT_FILE.
    :param folder: of SSL_CERT_DIR.
    """
    try:
        context = httpx2.create_ssl_context()
        if file and folder:
            # httpx reads only the file.
            context.load_verify_locations(capath=folder)
        return context
    except OSError as error:
        raise ConfigError(
            f"the certificates cannot be read: {error}",
            where=f"SSL_CERT_FILE={file or ''}, SSL_CERT_DIR={folder or ''}",
            hint="name a file of certificates in the PEM format, or unset the variables",
        ) from error
