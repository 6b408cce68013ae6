"""The limits of a request: all operations of its socket share one timeout, and answers are bounded.

httpx limits each operation alone: a server that sends one byte at a time would never time out.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from autocog_openai.connection.errors import MalformedAnswerError

#: Bytes of one answer, or of one event of a stream, after decompression. The largest real answers
#: list a vocabulary: 260,000 tokens take about 30 MiB.
MAX_ANSWER_BYTES = 64 * 2**20
#: A long prompt is written in pieces, so that the time is checked between them.
WRITE_BYTES = 2**16


class RequestLimits(threading.local):
    """What is left of the limits of the request that this thread sends.

    :param seconds: for a request, from the connection to the end of its answer.
    :param where: the model and the server, for errors.
    :ivar is_streaming: whether a stream of events is requested.
    """

    def __init__(self, seconds: float, where: str) -> None:
        self.is_streaming = False
        self._seconds = seconds
        self._where = where
        self._ends_at = float("inf")
        self._bytes_left = 0

    def restart(self, seconds: float | None = None) -> None:
        """Begin a request or wait for the next event.

        :param seconds: what is left of the time; None gives all of it.
        """
        self._ends_at = time.monotonic() + (self._seconds if seconds is None else seconds)
        self._bytes_left = MAX_ANSWER_BYTES

    @property
    def seconds_left(self) -> float:
        """The time that is left; 0 or less if there is none."""
        return self._ends_at - time.monotonic()

    def timeout(self, timeout: float | None) -> float:
        """Return the limit of an operation of the socket.

        :param timeout: its own limit.
        :raises httpcore2.TimeoutException: if no time is left.
        """
        left = self.seconds_left
        if left <= 0:
            raise httpcore2.ReadTimeout("the answer takes too long")
        return left if timeout is None else min(left, timeout)

    def receive(self, count: int) -> None:
        """Count bytes of the answer, after decompression.

        :raises MalformedAnswerError: if the answer is too large.
        :raises httpx2.TimeoutException: if no time is left.
        """
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise MalformedAnswerError(
                f"the server's answer is larger than {MAX_ANSWER_BYTES >> 20} MiB",
                where=self._where,
                hint="check base_url, and request fewer log-probabilities",
            )
        if self.seconds_left <= 0:
            raise httpx2.ReadTimeout("the answer takes too long")


def limit_sockets(client: httpx2.Client, limits: RequestLimits) -> None:
    """Apply the time limit to all operations of a client's sockets."""
    # httpx has no public way to give httpcore's pools another backend.
    for transport in (client._transport, *client._mounts.values()):
        if transport is not None:
            assert isinstance(transport, httpx2.HTTPTransport)
            pool = transport._pool
            pool._network_backend = _LimitedBackend(pool._network_backend, limits)


class _LimitedBackend(httpcore2.NetworkBackend):
    def __init__(self, backend: httpcore2.NetworkBackend, limits: RequestLimits) -> None:
        self._backend, self._limits = backend, limits

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        limited = self._limits.timeout(timeout)
        stream = self._backend.connect_tcp(host, port, limited, local_address, socket_options)
        return _LimitedStream(stream, self._limits)


class _LimitedStream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, limits: RequestLimits) -> None:
        self._stream, self._limits = stream, limits

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._limits.timeout(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_BYTES):
            part = buffer[start : start + WRITE_BYTES]
            self._stream.write(part, self._limits.timeout(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        limited = self._limits.timeout(timeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, limited)
        return _LimitedStream(stream, self._limits)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
