"""What stands before BentoML's own application: keys, limits and the quick way to predictions.

It is an ASGI application around another. Requests for predictions are answered here; what the inner
application is asked for, its pages, health and metrics, has passed the same checks.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from kedro_mlops.core.errors import ProjectError

from .answers import identifiers
from .app_state import ARROW, JSON_TYPE, AppState, Reply
from .limits import OutOfTimeError, Share, deadline
from .problem_details import JSON, PAGE, PROBLEM, SECURITY, Headers, problem
from .refusals import BadRequestError

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
T = TypeVar("T")
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREDICT, INFO, READY = "/predict", "/info", "/readyz"
# of the inner application: what may be asked for, and which switch opens it
INNER = {
    "/livez": "health",
    READY: "health",
    "/healthz": "health",
    "/metrics": "metrics",
    "/schema.json": "docs",
}
ASSETS = "/static_content/"
DOCS = ("/", "/docs.json")
PASSED = "kedro_mlops.passed"
# the body of a request that is larger than this is read by another thread
LARGE_BODY = 16_384
N_THREADS = 2
# what judging a body that is not larger takes at most
SMALL_MEMORY = 1_000_000
RETRY_AFTER: Headers = ((b"retry-after", b"1"),)
CLOSE: Headers = ((b"connection", b"close"),)
QUICK_HEADERS, REFUSED_HEADERS = (
    b"content-type: %b\r\n" % kind
    + b"".join(b"%b: %b\r\n" % pair for pair in SECURITY)
    + b"content-length: %d\r\nx-request-id: %b\r\n\r\n%b"
    for kind in (JSON, PROBLEM)
)
WELL_FORMED = re.compile(rb"[\w.-]{1,64}")


class Gateway:
    """The outermost application of the service.

    Args:
        app: The application behind it.
        state: Gives what answers, once the service has started; None before.
    """

    def __init__(self, app: App, state: Callable[[], AppState | None]) -> None:
        self._app = app
        self._desk = state
        self._new_id = identifiers()
        self._threads = ThreadPoolExecutor(N_THREADS, "large")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it pass."""
        if scope["type"] == "lifespan" or PASSED in scope:
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1003})
        await self._answer(scope, receive, send)
        return None

    def answer_fast(self, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes | None:
        """Answer a small request for predictions at once, if it is right and all is at hand.

        Returns:
            The rest of the headers and the body; None where there is more to it.
        """
        start = time.perf_counter()
        state, found = self._desk(), dict(headers)
        plain = found.get(b"content-type") == JSON_TYPE and b"content-encoding" not in found
        if (
            state is None
            or not plain
            or len(body) > LARGE_BODY
            or ARROW in found.get(b"accept", b"")
        ):
            return None
        if state.in_progress >= state.settings.max_waiting:
            return None
        try:
            _check_key(state, PREDICT, found)
            # what is not right beyond doubt is judged by another thread
            rows = state.reader.read_at_once(body)
            completed = None if rows is None else state.predictor.complete(rows)
            answer = None if completed is None else state.predictor.answer(completed)
        except Exception:  # noqa: BLE001 - the long way says what is wrong, and logs it
            return None
        if answer is None:
            return None
        state.metrics.request(PREDICT, 200, time.perf_counter() - start)
        return QUICK_HEADERS % (len(answer), self._request_id(found), answer)

    def refuse(self, error: BadRequestError) -> bytes:
        """Log and count what is no request that could be answered.

        Returns:
            The rest of the headers and the body.
        """
        state, request_id = self._desk(), self._new_id()
        reply = _error(error, request_id, 0)
        if state is not None:
            _tell(state, "other", reply, request_id, 0)
        return REFUSED_HEADERS % (len(reply.body), request_id.encode(), reply.body)

    def _request_id(self, headers: Mapping[bytes, bytes]) -> bytes:
        given = headers.get(b"x-request-id")
        if given is not None and WELL_FORMED.fullmatch(given):
            return given
        return self._new_id().encode()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        path, headers = scope["path"], dict(scope["headers"])
        request_id = self._request_id(headers).decode()
        state = self._desk()
        if state is None:
            starting = BadRequestError(503, "starting", "The service is starting; try again.")
            await _send(send, _error(starting, request_id, 0), request_id)
            return
        state.in_progress += 1
        share = Share(state.room)
        try:
            reply = await self._reply(state, scope, headers, receive, send, request_id, share)
        finally:
            state.in_progress -= 1
            share.give_back()
        if reply is not None:
            await _send(send, reply, request_id)
            _tell(state, path, reply, request_id, time.perf_counter() - start)

    async def _reply(
        self,
        state: AppState,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        send: Send,
        request_id: str,
        share: Share,
    ) -> Reply | None:
        """What to answer; None if it has been answered, or nobody waits for it."""
        path, body = scope["path"], b""
        try:
            _check_key(state, path, headers)
            if path != PREDICT:
                return await self._others(state, scope, receive, send)
            _check_method(scope, "POST")
            if state.in_progress > state.settings.max_waiting:
                raise BadRequestError(503, "overloaded", "Too many requests; try again in a while.")
            kind = _content_type(headers)
            body = await _body(receive, headers, state, share)
            return await self._predict(state, kind, body, headers)
        except BadRequestError as error:
            # kept with its frames, it would keep the body until garbage is collected
            refusal = error.with_traceback(None)
        except _DisconnectedError:
            return None
        except ProjectError as error:
            logger.error("%s: %s", request_id, error, extra={"request_id": request_id})
            state.metrics.child(state.metrics.log_failures).inc()
            refusal = BadRequestError(503, "unlogged", "Predictions cannot be logged at present.")
        except Exception:
            logger.exception("%s: it failed", request_id, extra={"request_id": request_id})
            refusal = BadRequestError(500, "bug", "It is logged.")
        if path != READY:
            state.metrics.child(state.metrics.invalid, refusal.reason).inc()
        return _error(refusal, request_id, len(body))

    async def _predict(
        self, state: AppState, kind: bytes, body: bytes, headers: Mapping[bytes, bytes]
    ) -> Reply:
        accept = headers.get(b"accept", b"*/*")
        check = deadline(state.settings.request_seconds)
        if kind != JSON_TYPE or len(body) > LARGE_BODY or ARROW in accept:
            memory = state.settings.memory_for(len(body))
            return await self._apart(state, memory, state.answer_large, kind, body, accept, check)
        rows = state.reader.read_at_once(body)
        if rows is None:
            rows = await self._apart(state, SMALL_MEMORY, state.reader.judged, body, check)
        completed = state.predictor.complete(rows)
        if completed is None:
            completed = await _in_time(state.look_ups.complete(rows), state)
        return Reply(200, state.predictor.answer(completed), JSON)

    async def _apart(
        self, state: AppState, memory: int, work: Callable[..., T], *arguments: Any
    ) -> T:
        """Let another thread do it, as soon as one is free, if there is the memory for it."""
        share = Share(state.room)
        share.take(memory)
        future = self._threads.submit(work, *arguments)
        # it takes memory until it ends, also if nobody waits for it any more
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(share.give_back))
        return await _in_time(asyncio.wrap_future(future), state)

    async def _others(
        self, state: AppState, scope: Scope, receive: Receive, send: Send
    ) -> Reply | None:
        """Pages, health and metrics."""
        path = scope["path"]
        if path == INFO:
            _check_method(scope, "GET", "POST")
            return Reply(200, state.info, JSON)
        if path in DOCS:
            _check_method(scope, "GET", "HEAD")
            return state.docs[path]
        if path not in INNER and not path.startswith(ASSETS):
            raise BadRequestError(404, "path", f"There is nothing at {path[:100]}; see / .")
        _check_method(scope, "GET", "HEAD")
        if path == READY and state.unready:
            raise BadRequestError(503, "unready", state.unready)
        await self._inner(scope, receive, send)
        return None

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application behind answer, with the same headers."""

        async def secured(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *SECURITY, *PAGE]
            await send(message)

        await self._app({**scope, PASSED: True}, receive, secured)


def _tell(state: AppState, path: str, reply: Reply, request_id: str, seconds: float) -> None:
    """Log a refusal, and count the request."""
    # who waits until it is ready asks often; that it no longer is, the state says itself
    if reply.refused not in ("", "unready"):
        state.log.write(request_id, reply.status, reply.refused, path, seconds)
    known = path if path in (PREDICT, INFO, *INNER, *DOCS) else "other"
    state.metrics.request(known, reply.status, seconds)


class _DisconnectedError(Exception):
    """The caller has gone."""


def _check_key(state: AppState, path: str, headers: Mapping[bytes, bytes]) -> None:
    if not state.keys.needed or _switch(path) in state.opened:
        return
    if not state.keys.knows(headers.get(b"authorization")):
        raise BadRequestError(401, "key", "Send a valid key: `Authorization: Bearer <key>`.")


def _switch(path: str) -> str:
    """The switch that opens a path without a key; one that is in nobody's list for the rest."""
    if path.startswith(ASSETS) or path in DOCS:
        return "docs"
    return INNER.get(path, "predictions")


def _check_method(scope: Scope, *allowed: str) -> None:
    if scope["method"] not in allowed:
        allow = ((b"allow", ", ".join(allowed).encode()),)
        raise BadRequestError(405, "method", f"Use {' or '.join(allowed)}.", headers=allow)


def _content_type(headers: Mapping[bytes, bytes]) -> bytes:
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind not in (JSON_TYPE, ARROW):
        raise BadRequestError(
            415, "content_type", f"Send {JSON_TYPE.decode()} or {ARROW.decode()}."
        )
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise BadRequestError(415, "content_encoding", "Send the body without compression.")
    return kind


async def _body(
    receive: Receive, headers: Mapping[bytes, bytes], state: AppState, share: Share
) -> bytes:
    """The request's body, as long as it is not too large, nor too slow."""
    declared, limit = headers.get(b"content-length"), state.settings.max_body
    if declared is not None and int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(state.settings.request_seconds):
            return await _received(receive, limit, share)
    except TimeoutError:
        raise BadRequestError(408, "slow", "The body took too long to arrive.") from None


async def _received(receive: Receive, limit: int, share: Share) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _DisconnectedError
        share.take(len(message["body"]))
        body += message["body"]
        if len(body) > limit:
            raise _too_large(limit)
        more = message.get("more_body", False)
    return bytes(body)


def _too_large(limit: int) -> BadRequestError:
    return BadRequestError(
        413, "too_large", f"A request may have {limit:,} bytes; send the rows in several."
    )


async def _in_time(future: Awaitable[T], state: AppState) -> T:
    try:
        return await asyncio.wait_for(future, state.settings.request_seconds)
    except (TimeoutError, OutOfTimeError):
        raise BadRequestError(503, "timeout", "It took too long; try again.") from None


def _error(error: BadRequestError, request_id: str, n_body: int) -> Reply:
    headers: Headers = error.headers
    if error.status == 503:
        headers = RETRY_AFTER
    elif error.status in (408, 413):
        headers = CLOSE
    elif error.status == 401:
        headers = ((b"www-authenticate", b"Bearer"),)
    return Reply(error.status, problem(error, request_id, n_body), PROBLEM, headers, error.reason)


async def _send(send: Send, reply: Reply, request_id: str) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [
                (b"content-type", reply.kind),
                (b"content-length", b"%d" % len(reply.body)),
                (b"x-request-id", request_id.encode()),
                *SECURITY,
                *reply.headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": reply.body})
