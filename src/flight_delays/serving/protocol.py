"""uvicorn's HTTP protocol, with three differences.

Requests meet the service's front before anything else, not behind six of BentoML's middlewares,
which cost more than the prediction. A small one that has come in a piece, and for which all is at
hand, is answered on the spot: a task, an event and two system calls cost more than it, too. And a
connection must send its headers in time and in a bearable size: uvicorn would wait for ever.

``install`` puts it in place, where uvicorn is as it was when this was written; where not, or where
requests are to be traced, BentoML's own way is taken, with the front as one of its middlewares.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bentoml._internal.configuration.containers import BentoMLContainer
from uvicorn import config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .front import App

logger = logging.getLogger(__name__)

PREDICT = b"/predict"
KNOWN = ("0.54", "0.55")
HEADER_SECONDS = 10.0
# a connection that is idle when the service stops may just be sending a request
DRAIN_SECONDS = 0.5
MAX_HEADER_BYTES = 65_536
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n"
TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"


class GuardedProtocol(HttpToolsProtocol):
    """A connection of which headers come in time, and whose requests meet the front first."""

    wrap: Callable[[Any], Any] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # the front counts and logs
        self.access_log = False
        if GuardedProtocol.wrap is not None:
            self.app = GuardedProtocol.wrap(self.app)
        self._quick = getattr(self.app, "quick", None)
        # the body so far of a request that may be answered on the spot
        self._short: bytearray | None = None
        self._draining = False
        self._in_headers = True
        self._header_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and mind how long and how large the headers are."""
        super().data_received(data)
        if self._short is not None:
            # more is to come: let it be waited for
            body, self._short = bytes(self._short), None
            self._begin(body)
        if not self._in_headers:
            if self._timer is not None:
                self._stop_timer()
            return
        self._header_bytes += len(data)
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(TOO_LARGE)
        elif self._timer is None:
            self._timer = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def shutdown(self) -> None:
        """Stop, but answer what the caller has sent in the meantime."""
        if self.cycle is None or self.cycle.response_complete:
            self._draining = True
            self.loop.call_later(DRAIN_SECONDS, self._close_if_idle)
        else:
            super().shutdown()

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Headers begin."""
        super().on_message_begin()
        self._in_headers = True

    def on_headers_complete(self) -> None:
        """Headers end: wait for the rest of a small request, or let uvicorn go on."""
        self._in_headers, self._header_bytes = False, 0
        if self._quick is not None and self._may_be_quick():
            self._short = bytearray()
        else:
            self._begin()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._short is None:
            super().on_body(body)
        else:
            self._short += body

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._short is not None:
            body, self._short = bytes(self._short), None
            assert self._quick is not None
            answer = self._quick(self.headers, body)
            if answer is not None:
                headers = [part for pair in self.server_state.default_headers for part in pair]
                head = b"HTTP/1.1 200 OK\r\n" + b"%b: %b\r\n" * (len(headers) // 2)
                self.transport.write(head % tuple(headers) + answer)
                self.on_response_complete()
                return
            self._begin(body)
        super().on_message_complete()

    def _may_be_quick(self) -> bool:
        return bool(
            self.url == PREDICT
            and (self.cycle is None or self.cycle.response_complete)
            and not (self._draining or self.expect_100_continue or self.flow.write_paused)
            and self.parser.get_method() == b"POST"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
        )

    def _begin(self, body: bytes = b"") -> None:
        """Let uvicorn begin with a request, of which this much has come."""
        if self.transport.is_closing():
            return
        super().on_headers_complete()
        if self._draining:
            self.cycle.keep_alive = False
        if body:
            super().on_body(body)

    def _too_slow(self) -> None:
        self._timer = None
        if self._in_headers:
            self._refuse(TIMED_OUT)

    def _refuse(self, response: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(response)
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def install(wrap: Callable[[App], App]) -> bool:
    """Let uvicorn speak through the guarded protocol, with an application before its own.

    Where requests are traced, BentoML's own comes first: it makes the spans.

    Returns:
        Whether it will.
    """
    try:
        known = version("uvicorn").startswith(KNOWN)
    except PackageNotFoundError:
        known = False
    if not known or config.HTTP_PROTOCOLS.get("auto") is None:
        logger.warning(
            "uvicorn is not one of %s.*: served through BentoML's own stack, several times slower",
            ".*, ".join(KNOWN),
        )
        return False
    # once connections come, BentoML knows its configuration
    GuardedProtocol.wrap = staticmethod(cache(lambda app: app if traced() else wrap(app)))
    config.HTTP_PROTOCOLS["auto"] = f"{__name__}:GuardedProtocol"
    return True


def traced() -> bool:
    """Whether BentoML's configuration asks for spans, and has somewhere to send them."""
    tracing = getattr(BentoMLContainer, "tracing", None)
    return tracing is not None and bool(
        tracing.exporter_type.get() and (tracing.sample_rate.get() or 0) > 0
    )
