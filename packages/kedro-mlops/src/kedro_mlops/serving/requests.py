"""A request, and what must be so of it before it is answered."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from .app_state import AppState
from .limits import Share
from .paths import EXPLAIN, switch_of
from .problem_details import ARROW, JSON
from .refusals import refused

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class DisconnectedError(Exception):
    """The caller has gone."""


def check_key(state: AppState, path: str, authorization: bytes | None) -> None:
    """Refuse who has no key, and needs one."""
    if not state.keys.needed or switch_of(path) in state.opened:
        return
    # a cloud's own paths are those that it authenticates
    if not state.keys.knows(authorization) and path not in state.routes:
        raise refused("key")


@dataclass(slots=True)
class Request:
    """A request of HTTP.

    Attributes:
        share: What it takes of the memory that all share.
    """

    state: AppState
    scope: Scope
    receive: Receive
    send: Send
    id: str
    headers: dict[bytes, bytes]
    share: Share

    @property
    def asked(self) -> str:
        """The path as it was sent."""
        return str(self.scope["path"])

    @property
    def path(self) -> str:
        """What is asked for; the paths of a cloud stand for ours."""
        return self.state.routes.get(self.asked, self.asked)

    def check_method(self, *allowed: str) -> None:
        """Refuse other methods."""
        if self.scope["method"] not in allowed:
            headers = ((b"allow", ", ".join(allowed).encode()),)
            raise refused("method", headers, methods=" or ".join(allowed))

    def explains(self) -> bool:
        """Whether contributions of features are asked for; any other query is refused."""
        query = self.scope["query_string"].decode("latin-1")
        asked = parse_qsl(query, keep_blank_values=True)
        if asked and asked != [EXPLAIN]:
            raise refused("query", known="=".join(EXPLAIN))
        return bool(asked)

    def content_type(self) -> bytes:
        """The type of the body, which must be one that can be read."""
        kind = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind not in (JSON, ARROW):
            raise refused("content_type")
        if self.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise refused("content_encoding")
        return kind

    async def body(self) -> bytes:
        """The body, as long as it is not too large, nor too slow."""
        settings = self.state.settings
        if int(self.headers.get(b"content-length", 0)) > settings.max_body:
            raise refused("too_large", max_bytes=settings.max_body)
        try:
            async with asyncio.timeout(settings.request_seconds):
                return await self._received(settings.max_body)
        except TimeoutError:
            raise refused("slow", part="body") from None

    async def _received(self, limit: int) -> bytes:
        body, more = bytearray(), True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise DisconnectedError
            self.share.take(len(message["body"]))
            body += message["body"]
            if len(body) > limit:
                raise refused("too_large", max_bytes=limit)
            more = message.get("more_body", False)
        return bytes(body)
