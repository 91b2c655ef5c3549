"""uvicorn's HTTP protocol, with three differences.

Requests meet the gateway before anything else, not behind six of BentoML's middlewares,
which cost more than the prediction. A small one that has come in a piece, and for which all is at
hand, is answered on the spot: a task, an event and two system calls cost more than it, too. And
whatever a caller does or leaves undone comes to an end, in time and in size; uvicorn would wait.

``install`` puts it in place, where uvicorn is as it was when this was written; where not, or where
requests are to be traced, BentoML's own way is taken, with the gateway as one of its middlewares.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from fcntl import ioctl
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from termios import TIOCOUTQ
from typing import Any, cast

import httptools
import uvicorn
from bentoml._internal.configuration.containers import BentoMLContainer
from uvicorn import config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .gateway import App, Gateway
from .paths import EXPLAIN, PREDICT
from .refusals import BadRequestError, refused
from .settings import MAX_HEADER_BYTES
from .stopping import DRAIN_SECONDS, DrainingServer

logger = logging.getLogger(__name__)

# what may be answered on the spot, and whether it is explained
FAST = {PREDICT.encode(): False, f"{PREDICT}?{'='.join(EXPLAIN)}".encode(): True}
KNOWN = ("0.54", "0.55")
# the parser takes both for the same, and either may come several times
ABOUT_CONNECTION = (b"connection", b"proxy-connection")
HEADER_SECONDS = 10.0
# of what comes after the answer, and is thrown away
REST_SECONDS = 10.0
MAX_REST_BYTES = 256_000_000
# who takes less of its answer in this time does not take it
TAKE_SECONDS = 10.0
MIN_TAKEN_BYTES = 100_000
# of answers that wait to be taken, in all; beyond, those that wait longest are given up
MAX_UNTAKEN_BYTES = 64_000_000
# requests that wait for another on the same connection
MAX_PIPELINED = 100
NO_BODY = b"content-length: 0\r\n\r\n"


class Phase:
    """What a connection waits for; no enumeration, which takes longer to look at."""

    NEXT = "a request"
    HEADERS = "its headers, of a bearable size"
    ANSWER = "the gateway, which has times of its own"
    REST = "the rest of a body that is already answered"
    END = "the caller to close it: one that is still sending would see a reset, and no answer"


class Untaken:
    """The connections whose answers wait to be taken, those that wait longest first."""

    def __init__(self) -> None:
        self._n_bytes: dict[GuardedProtocol, int] = {}

    def add(self, connection: "GuardedProtocol", n_bytes: int) -> None:
        """Wait for one more, and give up others where these are too many."""
        self._n_bytes[connection] = n_bytes
        while len(self._n_bytes) > 1 and sum(self._n_bytes.values()) > MAX_UNTAKEN_BYTES:
            oldest = next(iter(self._n_bytes))
            self.discard(oldest)
            oldest.transport.abort()

    def discard(self, connection: "GuardedProtocol") -> None:
        """It has been taken, or never will be."""
        self._n_bytes.pop(connection, None)


class GuardedProtocol(HttpToolsProtocol):
    """A connection that comes to an end, and whose requests meet the gateway first."""

    wrap: Callable[[Any], Any] | None = None
    untaken = Untaken()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # the gateway counts and logs
        self.access_log = False
        if GuardedProtocol.wrap is not None:
            self.app = GuardedProtocol.wrap(self.app)
        # another application's requests go uvicorn's way
        self._gateway = self.app if isinstance(self.app, Gateway) else None
        # the body so far of a request that may be answered on the spot
        self._short: bytearray | None = None
        self._draining = False
        self._phase: str = Phase.NEXT
        self._in_message = self._in_headers = False
        # that have come since the last of a body, or since the answer
        self._n_bytes = 0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._take_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        # to hear of every answer that is not taken at once
        transport.set_write_buffer_limits(0)
        self._enter(Phase.NEXT, HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self.resume_writing()
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
        # they know us, too, and the collector of garbage rests
        self.pipeline.clear()
        self.cycle = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Read on, and mind how long it takes and how much it is."""
        self._n_bytes += len(data)
        if self._phase is not Phase.END:
            self._read(data)
        if self._short is not None:
            # more is to come: let it be waited for
            body, self._short = bytes(self._short), None
            self._begin(body)
        self._follow()
        after = self._phase in (Phase.REST, Phase.END)
        if self._n_bytes > (MAX_REST_BYTES if after else MAX_HEADER_BYTES):
            if after:
                self.transport.abort()
            else:
                self._refuse(refused("headers"))

    def _read(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            known = error.__context__
            self._refuse(known if isinstance(known, BadRequestError) else refused("http"))

    def _decline(self, rest: bytes) -> None:
        """Read a request that would rather speak another protocol as if it did not say so.

        The parser has taken its body for that protocol.
        """
        if self.scope["method"] == "CONNECT":
            self._refuse(refused("http"))
            return
        head = [
            b"%b: %b\r\n" % (name, value)
            for name, value in self.headers
            if name not in (b"upgrade", b"http2-settings", *ABOUT_CONNECTION)
        ]
        said = [value.lower() for name, value in self.headers if name in ABOUT_CONNECTION]
        if any(b"close" in value for value in said):
            head.append(b"connection: close\r\n")
        line = b"%b %b HTTP/1.1\r\n" % (self.scope["method"].encode(), self.url)
        self.parser = httptools.HttpRequestParser(self)
        self._read(b"".join([line, *head, b"\r\n", rest]))

    def on_message_begin(self) -> None:
        """Headers begin."""
        super().on_message_begin()
        self._in_message = self._in_headers = True

    def on_headers_complete(self) -> None:
        """Headers end: wait for the rest of a small request, or let uvicorn go on."""
        self._in_headers, self._n_bytes = False, 0
        if self.parser.should_upgrade():
            self.scope["method"] = self.parser.get_method().decode()
        elif self._may_answer_fast():
            self._short = bytearray()
        else:
            self._begin()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._short is not None:
            self._short += body
        elif not self.cycle.response_complete:
            super().on_body(body)
        else:
            return
        self._n_bytes = 0

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._in_message = False
        if self.parser.should_upgrade():
            return
        self._n_bytes = 0
        if self._short is not None:
            body, self._short = bytes(self._short), None
            assert self._gateway is not None
            if self.url in FAST:
                answer = self._gateway.answer_fast(self.headers, body, FAST[self.url])
            else:
                answer = self._gateway.answer_fast(self.headers, body, asked=self.url.decode())
            if answer is not None:
                also = [b"%b: %b\r\n" % pair for pair in self.server_state.default_headers]
                self.transport.write(b"".join([b"HTTP/1.1 200 OK\r\n", *also, answer]))
                self.server_state.total_requests += 1
                self._enter(Phase.NEXT, self.timeout_keep_alive)
                return
            self._begin(body)
        super().on_message_complete()

    def _may_answer_fast(self) -> bool:
        return bool(
            self._gateway is not None
            and (self.url in FAST or self._gateway.is_fast(self.url))
            and not self._waits()
            and not (self._draining or self.expect_100_continue or self.flow.write_paused)
            and self.parser.get_method() == b"POST"
            and self.parser.should_keep_alive()
        )

    def _waits(self) -> bool:
        """Whether a request is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def _begin(self, body: bytes = b"") -> None:
        """Let uvicorn begin with a request, of which this much has come."""
        if self.transport.is_closing():
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            raise refused("pipelined", n_requests=MAX_PIPELINED)
        super().on_headers_complete()
        # it writes and closes through us
        self.cycle.transport = cast(asyncio.Transport, self)
        if self._draining:
            self.cycle.keep_alive = False
        if body:
            super().on_body(body)

    # what a request asks of its transport

    def write(self, data: bytes) -> None:
        """Say something, unless it is over."""
        if not self.is_closing():
            self.transport.write(data)

    def is_closing(self) -> bool:
        """Whether nothing more is said."""
        return self._phase is Phase.END or self.transport.is_closing()

    def close(self) -> None:
        """Say no more, and close when the caller has finished, too."""
        if self.is_closing():
            return
        if self._in_message:
            self._say_goodbye()
        else:
            self.transport.close()

    def _say_goodbye(self) -> None:
        self.flow.resume_reading()
        self.transport.write_eof()
        self._n_bytes = 0
        self._enter(Phase.END, REST_SECONDS)

    def on_response_complete(self) -> None:
        """Go on with the next request, if there is one."""
        self.server_state.total_requests += 1
        if self.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        self._follow()

    # how it ends

    def _follow(self) -> None:
        """Wait for what comes next, after what has come and what has been answered."""
        if self._phase is Phase.END:
            return
        if self._waits():
            self._phase = Phase.ANSWER
        elif not self._in_message:
            if self._phase is not Phase.NEXT:
                self._enter(Phase.NEXT, self.timeout_keep_alive)
        elif self._in_headers:
            if self._phase is not Phase.HEADERS:
                self._enter(Phase.HEADERS, HEADER_SECONDS)
        elif self._phase is not Phase.REST:
            self._n_bytes = 0
            self._enter(Phase.REST, REST_SECONDS)

    def _enter(self, phase: str, seconds: float) -> None:
        """Wait from now on; a timer that is there ends no later, and then looks again."""
        self._phase, self._deadline = phase, self.loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self.loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        """End what has taken too long."""
        self._timer = None
        if self._phase is Phase.ANSWER:
            return
        if self.loop.time() < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._look)
        elif self._phase is Phase.HEADERS:
            self._refuse(refused("slow", part="headers"))
        elif self._phase is Phase.NEXT:
            self.transport.close()
        else:
            self.transport.abort()

    def _refuse(self, error: BadRequestError) -> None:
        """Answer what is no request, and say no more."""
        if self.is_closing():
            return
        if not self.flow.write_paused:
            rest = NO_BODY if self._gateway is None else self._gateway.refuse(error)
            self.transport.write(STATUS_LINE[error.status] + b"connection: close\r\n" + rest)
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._say_goodbye()

    def pause_writing(self) -> None:
        """An answer waits to be taken."""
        super().pause_writing()
        n_bytes = self._n_untaken()
        self.untaken.add(self, n_bytes)
        self._take_timer = self.loop.call_later(TAKE_SECONDS, self._look_taken, n_bytes)

    def resume_writing(self) -> None:
        """It has been taken."""
        super().resume_writing()
        self.untaken.discard(self)
        if self._take_timer is not None:
            self._take_timer.cancel()

    def _n_untaken(self) -> int:
        """Bytes of answers that we hold, and that the system holds for us."""
        queued = ioctl(self.transport.get_extra_info("socket"), TIOCOUTQ, b"\0" * 4)
        return self.transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)

    def _look_taken(self, n_before: int) -> None:
        n_bytes = self._n_untaken()
        if n_before - n_bytes < MIN_TAKEN_BYTES:
            self.transport.abort()
        else:
            self._take_timer = self.loop.call_later(TAKE_SECONDS, self._look_taken, n_bytes)

    def shutdown(self) -> None:
        """Stop, but answer what the caller has sent in the meantime."""
        self._draining = True
        if self._waits():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(DRAIN_SECONDS, self._close_unless_asked)

    def _close_unless_asked(self) -> None:
        if not (self._in_headers or self._waits()):
            self.close()


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
    # where BentoML's worker takes it from
    vars(uvicorn)["Server"] = DrainingServer
    return True


def traced() -> bool:
    """Whether BentoML's configuration asks for spans, and has somewhere to send them."""
    tracing = getattr(BentoMLContainer, "tracing", None)
    return tracing is not None and bool(
        tracing.exporter_type.get() and (tracing.sample_rate.get() or 0) > 0
    )
