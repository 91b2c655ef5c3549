"""Callers that ask without a pause, each over one connection, and remember what came of it."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from driving.asking import JSON
from driving.project import HOST

SECONDS = 30


@dataclass
class Load:
    """What the callers have seen.

    Attributes:
        answered: The ids of the predictions that came.
        refused: The statuses of other answers.
        n_broken: Requests to which nothing came, for the connection broke.
        n_goodbyes: Connections that the server ended with an answer that said so.
    """

    answered: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    n_broken: int = 0
    n_goodbyes: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def load(
    port: int,
    body: bytes,
    headers: dict[str, str],
    n_callers: int,
    *,
    again: bool = False,
    anew: bool = False,
) -> Iterator[Load]:
    """Callers that ask while the block runs.

    Args:
        port: Where the server listens.
        body: What they send.
        headers: And with it.
        n_callers: How many they are.
        again: Whether they connect again when a connection has ended.
        anew: Whether they connect for each request, until nobody listens.
    """
    seen = Load()
    headers = {"Content-Type": JSON} | headers

    def call() -> None:
        connection = _connected(port)
        while not seen.stopped.is_set():
            try:
                last = _ask(connection, body, headers, seen)
            except (OSError, http.client.HTTPException):
                seen.n_broken += 1
                last = True
            if last:
                connection.close()
                if not again:
                    return
                connection = _connected(port)
        connection.close()

    def call_anew() -> None:
        while not seen.stopped.is_set():
            connection = http.client.HTTPConnection(HOST, port, timeout=SECONDS)
            try:
                connection.connect()
            except OSError:
                return
            try:
                _ask(connection, body, headers, seen)
            except (OSError, http.client.HTTPException):
                seen.n_broken += 1
            connection.close()

    callers = [
        threading.Thread(target=call_anew if anew else call, daemon=True) for _ in range(n_callers)
    ]
    for caller in callers:
        caller.start()
    try:
        yield seen
    finally:
        seen.stopped.set()
        for caller in callers:
            caller.join(SECONDS)


def _connected(port: int) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(HOST, port, timeout=SECONDS)
    with contextlib.suppress(OSError):
        connection.connect()
    return connection


def _ask(
    connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str], seen: Load
) -> bool:
    """Whether that was the last answer of the connection."""
    connection.request("POST", "/predict", body, headers)
    response = connection.getresponse()
    content = response.read()
    if response.status == 200:
        seen.answered += [row["prediction_id"] for row in json.loads(content)["predictions"]]
    else:
        seen.refused.append(response.status)
    last = response.headers.get("connection", "").lower() == "close"
    seen.n_goodbyes += last
    return last
