"""A server in a thread, and what is said to it and heard of it over real sockets."""

import json
import re
import socket
import time
from http.client import HTTPConnection
from threading import Thread
from typing import Any, NamedTuple

import uvicorn

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def request_of(body: bytes, *headers: str, path: str = "/predict", method: str = "POST") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "host: x", f"content-type: {JSON}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def whole(row: dict[str, Any], *headers: str) -> bytes:
    """A request for the prediction of a row."""
    body = json.dumps({"rows": [row]}).encode()
    return request_of(body, f"content-length: {len(body)}", *headers)


def statuses(answered: bytes) -> list[int]:
    """Of the responses among the bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", answered)]


def problem_of(response: "Response", status: int, detail: str) -> Any:
    """Check that a response is a problem of this kind; returns it."""
    assert response.status == status
    assert response.headers["content-type"] == "application/problem+json"
    assert SECURITY.items() <= response.headers.items()
    said = response.said
    assert (said["status"], said["request_id"]) == (status, response.headers["x-request-id"])
    assert detail in said["detail"]
    return said


class Running:
    """A server in a thread of its own, spoken to through real sockets."""

    def __init__(self, app: Any, **options: Any) -> None:
        self.config = uvicorn.Config(
            app, host="127.0.0.1", port=0, lifespan="off", log_level="critical", **options
        )
        self._server = uvicorn.Server(self.config)
        self._thread = Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=10)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def send(self, data: bytes) -> bytes:
        """All that is answered to bytes, until the connection is closed or quiet."""
        is_one = data.count(b" HTTP/1.") == 1
        with self.connect() as connection:
            connection.sendall(data)
            return read_all(connection, after_answer=0.25 if is_one else None)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> "Response":
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        found = Response(response.status, dict(response.getheaders()), response.read())
        connection.close()
        return found

    def predict(self, *rows: dict[str, Any], **headers: str) -> "Response":
        body = json.dumps({"rows": rows}).encode()
        return self.ask("POST", "/predict", body, content_type="application/json", **headers)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)


def read_all(
    connection: socket.socket, quiet_seconds: float = 1.0, after_answer: float | None = None
) -> bytes:
    """All that comes until it is quiet: for how long, may be said for when one answer is whole."""
    connection.settimeout(quiet_seconds)
    data = b""
    try:
        while part := connection.recv(65_536):
            data += part
            if after_answer and _is_whole(data):
                connection.settimeout(after_answer)
    except (TimeoutError, ConnectionResetError):
        pass
    return data


def _is_whole(data: bytes) -> bool:
    """Whether there is a whole answer of known length."""
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\ncontent-length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


async def inner_app(scope: Any, receive: Any, send: Any) -> None:
    """Stands for BentoML's own application: pages, health and metrics."""
    body = f"inner {scope['path']}".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
