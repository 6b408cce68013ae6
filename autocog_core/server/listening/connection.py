"""One connection of a client, with limits of the time for each of its steps."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from autocog_core.config.server_config import MAX_HEADER_BYTES, ServerLimits

#: A client must take so many bytes of an answer per second, once the network holds no more.
MIN_BYTES_PER_SECOND = 1024


def connection_class(limits: ServerLimits) -> type[H11Protocol]:
    """Return the class of the connections of a server.

    :param limits: the limits of the server.
    """
    return type("LimitedConnection", (Connection,), {"limits": limits})


class Connection(H11Protocol):
    """A connection that ends if its client is too slow.

    uvicorn limits only the time between two requests. This class also limits the time in which the
    headers of a request arrive, in which the rest of a refused body arrives, and in which a client
    takes an answer.

    :cvar limits: the limits of the server.
    """

    limits = ServerLimits()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._request_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, or refuse a connection above their number."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(503, f"more than {self.limits.connections} connections", "unavailable")
            return
        self._start_request_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timers."""
        self._stop_request_timer()
        self._stop_send_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._has_partial_request():
            if self._request_timer is None:
                self._start_request_timer()
        elif self.conn.their_state is not h11.SEND_BODY or not self._is_answered():
            self._stop_request_timer()

    def on_response_complete(self) -> None:
        """Wait for the rest of a body that was refused, and then for the next request."""
        super().on_response_complete()
        if self.transport.is_closing():
            # What the network still holds of the answer must leave in time.
            self._start_send_timer()
        elif self.conn.their_state is h11.SEND_BODY and self._is_answered():
            self._start_request_timer(self.limits.body_seconds)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or has too large headers."""
        self._refuse(
            400,
            f"this is not HTTP, or the headers have more than {MAX_HEADER_BYTES:,} bytes",
            "invalid_request",
        )

    def pause_writing(self) -> None:
        """Watch whether the client takes the answer."""
        super().pause_writing()
        self._start_send_timer()

    def resume_writing(self) -> None:
        """Stop watching: the client takes the answer."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_send_timer()

    def _is_answered(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete

    def _has_partial_request(self) -> bool:
        return self.conn.their_state is h11.IDLE and not self.transport.is_closing()

    def _start_request_timer(self, seconds: float | None = None) -> None:
        self._stop_request_timer()
        seconds = self.limits.header_seconds if seconds is None else seconds
        self._request_timer = self.loop.call_later(seconds, self._end_slow_request)

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _end_slow_request(self) -> None:
        self._request_timer = None
        if self.conn.their_state is not h11.IDLE:
            self.transport.abort()
        elif self.conn.trailing_data[0]:
            seconds = self.limits.header_seconds
            self._refuse(408, f"the headers did not arrive within {seconds:g} seconds", "timeout")
        else:
            # Browsers open connections that they may never use.
            self.transport.close()

    def _start_send_timer(self) -> None:
        self._stop_send_timer()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        if self._unsent_bytes:
            self._send_timer = self.loop.call_later(self.limits.send_seconds, self._check_sent)

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _check_sent(self) -> None:
        sent = self._unsent_bytes - self.transport.get_write_buffer_size()
        if sent < MIN_BYTES_PER_SECOND * self.limits.send_seconds:
            self.transport.abort()
        else:
            self._start_send_timer()

    def _refuse(self, status: int, message: str, code: str) -> None:
        """Answer with an error before the app is asked, and end the connection."""
        error = {"message": message, "type": "invalid_request_error", "code": code, "param": None}
        body = json.dumps({"error": error}).encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        try:
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event))
        except h11.LocalProtocolError:
            # An answer is under way: it ends here.
            self.transport.abort()
        else:
            self.transport.close()
            self._start_send_timer()
