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
from .app_state import AppState
from .instances import unwrap
from .limits import OutOfTimeError, Share, deadline
from .paths import ASSETS, COUNTED, DOCS, INFO, INNER, PREDICT, READY
from .problem_details import ARROW, JSON, PAGE, PROBLEM, SECURITY, Reply, refusal
from .refusals import BadRequestError, refused
from .requests import DisconnectedError, Receive, Request, Scope, Send, check_key
from .served import Served

logger = logging.getLogger(__name__)

T = TypeVar("T")
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PASSED = "kedro_mlops.passed"
# the body of a request that is larger than this is read by another thread; a row that is explained
# takes many times as long
LARGE_BODY, LARGE_EXPLAINED = 16_384, 2_048
# for them, and as many for others that are not answered at once
N_THREADS = 2
# what takes no more than this waits for its turn, however many there are
SMALL_MEMORY = 1_000_000
# of a body that is taken out of what a cloud wraps it in
COPIES = 4
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
        self._state = state
        self._new_id = identifiers()
        self._large = ThreadPoolExecutor(N_THREADS, "large")
        self._small = ThreadPoolExecutor(N_THREADS, "small")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it pass."""
        if scope["type"] == "lifespan" or PASSED in scope:
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1003})
        return await self._answer(scope, receive, send)

    def is_fast(self, url: bytes) -> bool:
        """Whether a path stands for predictions as they are asked of us."""
        state = self._state()
        return state is not None and url in state.also_fast

    def answer_fast(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes,
        explain: bool = False,
        asked: str = PREDICT,
    ) -> bytes | None:
        """Answer a small request for predictions at once, if it is right and all is at hand.

        Returns:
            The rest of the headers and the body; None where there is more to it.
        """
        start = time.perf_counter()
        state, found = self._state(), dict(headers)
        plain = found.get(b"content-type") == JSON and b"content-encoding" not in found
        if (
            state is None
            or not plain
            or _is_large(state.served, body, explain)
            or ARROW in found.get(b"accept", b"")
            or state.in_progress >= state.settings.max_waiting
        ):
            return None
        try:
            check_key(state, asked, found.get(b"authorization"))
            # what is not right beyond doubt is judged by another thread
            served = state.served
            rows = served.reader.read_at_once(body)
            completed = None if rows is None else served.predictor.complete(rows)
            answer = None if completed is None else served.predictor.answer(completed, explain)
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
        state, request_id = self._state(), self._new_id()
        reply = refusal(error, request_id)
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
        headers, state = dict(scope["headers"]), self._state()
        request_id = self._request_id(headers).decode()
        if state is None:
            await _send(send, refusal(refused("starting"), request_id), request_id)
            return
        request = Request(state, scope, receive, send, request_id, headers, Share(state.room))
        state.in_progress += 1
        try:
            reply = await self._reply(request)
        finally:
            state.in_progress -= 1
            request.share.give_back()
        if reply is not None:
            await _send(send, reply, request_id)
            _tell(state, request.path, reply, request_id, time.perf_counter() - start)

    async def _reply(self, request: Request) -> Reply | None:
        """What to answer; None if it has been answered, or nobody waits for it."""
        state, body = request.state, b""
        said = {"request_id": request.id}
        try:
            check_key(state, request.asked, request.headers.get(b"authorization"))
            if request.path != PREDICT:
                return await self._others(request)
            request.check_method("POST")
            explain = request.explains()
            if state.in_progress > state.settings.max_waiting:
                raise refused("overloaded")
            kind = request.content_type()
            body = await request.body()
            if request.asked in state.wrapped and kind == JSON:
                body, explain = await self._unwrapped(state, body)
            accept = request.headers.get(b"accept", b"*/*")
            return await self._predict(state, kind, body, accept, explain)
        except BadRequestError as error:
            # kept with its frames, it would keep the body until garbage is collected
            reason = error.with_traceback(None)
        except DisconnectedError:
            return None
        except ProjectError as error:
            logger.error("%s: %s", request.id, error, extra=said)
            state.metrics.child(state.metrics.log_failures).inc()
            reason = refused("unlogged")
        except Exception:
            logger.exception("%s: it failed", request.id, extra=said)
            reason = refused("bug")
        if request.path != READY:
            state.metrics.child(state.metrics.invalid, reason.reason).inc()
        return refusal(reason, request.id, len(body))

    async def _unwrapped(self, state: AppState, body: bytes) -> tuple[bytes, bool]:
        """A request as a cloud wraps it, as one of ours."""
        if len(body) <= LARGE_BODY:
            return unwrap(body)
        return await self._apart(state, COPIES * len(body), unwrap, body)

    async def _predict(
        self, state: AppState, kind: bytes, body: bytes, accept: bytes, explain: bool
    ) -> Reply:
        served, check = state.served, deadline(state.settings.request_seconds)
        memory = _memory_for(state, kind, body, explain)
        if kind != JSON or _is_large(served, body, explain) or ARROW in accept:
            work = served.answer_large
            return await self._apart(state, memory, work, kind, body, accept, check, explain)
        rows = served.reader.read_at_once(body)
        if rows is None:
            rows = await self._apart(state, memory, served.reader.judged, body, check)
        completed = served.predictor.complete(rows)
        if completed is None:
            completed = await _in_time(state.look_ups.complete(rows), state)
        return Reply(200, served.predictor.answer(completed, explain), JSON)

    async def _apart(
        self, state: AppState, memory: int, work: Callable[..., T], *arguments: Any
    ) -> T:
        """Let another thread do it, as soon as one is free.

        There has to be the memory for what takes much. Of what takes little, only what its few
        threads are at takes any.
        """
        share, threads = Share(state.room), self._small
        if memory > SMALL_MEMORY:
            share.take(memory)
            threads = self._large
        future = threads.submit(work, *arguments)
        # it takes memory until it ends, also if nobody waits for it any more
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(share.give_back))
        return await _in_time(asyncio.wrap_future(future), state)

    async def _others(self, request: Request) -> Reply | None:
        """Pages, health and metrics."""
        path, state = request.path, request.state
        if path == INFO:
            request.check_method("GET", "POST")
            return Reply(200, state.info, JSON)
        if path not in DOCS and path not in INNER and not path.startswith(ASSETS):
            raise refused("path", path=path[:100])
        request.check_method("GET", "HEAD")
        if path in DOCS:
            return state.served.docs[path]
        if path == READY and state.unready:
            raise refused("unready", why=state.unready)
        await self._inner(request)
        return None

    async def _inner(self, request: Request) -> None:
        """Let the application behind answer, with the same headers."""

        async def secured(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *SECURITY, *PAGE]
            await request.send(message)

        path = {"path": request.path, "raw_path": request.path.encode()}
        await self._app({**request.scope, **path, PASSED: True}, request.receive, secured)


def _is_large(served: Served, body: bytes, explain: bool) -> bool:
    """Whether a body is answered by another thread, as a table.

    So are all of several rows where a model is not compiled: it takes milliseconds for one, and
    not much more for a table.
    """
    return _has_many_bytes(body, explain) or (not served.compiled and _most_rows(body) > 1)


def _has_many_bytes(body: bytes, explain: bool) -> bool:
    return len(body) > (LARGE_EXPLAINED if explain else LARGE_BODY)


def _most_rows(body: bytes) -> int:
    """The rows of JSON, or more, where texts have braces."""
    # a brace for all, and one for each row
    return max(1, body.count(b"{") - 1)


def _memory_for(state: AppState, kind: bytes, body: bytes, explain: bool) -> int:
    """What it takes to read and answer a body, beside it."""
    spec, settings = state.served.spec, state.settings
    # how many rows a body of Arrow has, is told by reading it
    if kind != JSON or _has_many_bytes(body, explain):
        return settings.memory_for(len(body), len(spec.features) if explain else 0)
    return settings.memory_for_rows(_most_rows(body), len(spec.fields), explain)


def _tell(state: AppState, path: str, reply: Reply, request_id: str, seconds: float) -> None:
    """Log a refusal, and count the request."""
    # who waits until it is ready asks often; that it no longer is, the state says itself
    if reply.refused not in ("", "unready"):
        state.log.write(request_id, reply.status, reply.refused, path, seconds)
    state.metrics.request(path if path in COUNTED else "other", reply.status, seconds)


async def _in_time(future: Awaitable[T], state: AppState) -> T:
    try:
        return await asyncio.wait_for(future, state.settings.request_seconds)
    except (TimeoutError, OutOfTimeError):
        raise refused("timeout") from None


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
