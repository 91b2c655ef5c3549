"""A service's parts, made of a really released model and a real online store."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import prometheus_client
import pytest
import uvicorn

from kedro_mlops.runtime.serving_spec import ServingSpec
from kedro_mlops.serving.additions import Additions
from kedro_mlops.serving.app_state import AppState
from kedro_mlops.serving.fast_lane import GuardedProtocol
from kedro_mlops.serving.gateway import Gateway
from kedro_mlops.serving.settings import Settings
from tests.factories import spec_of


class Heard:
    """Hears of what is looked up."""

    def __init__(self) -> None:
        self.all = 0
        self.results: list[tuple[str, str]] = []
        self.ages: list[tuple[str, float]] = []

    def found_all(self) -> None:
        self.all += 1

    def looked_up(self, table: str, result: str) -> None:
        self.results.append((table, result))

    def feature_age(self, table: str, days: float) -> None:
        self.ages.append((table, days))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def fresh_metrics() -> Iterator[Callable[[], None]]:
    """Takes metrics back from Prometheus' registry, which knows each by name and only once."""
    registry = prometheus_client.REGISTRY
    known = set(registry._collector_to_names)

    def forget() -> None:
        for collector in set(registry._collector_to_names) - known:
            registry.unregister(collector)

    yield forget
    forget()


@pytest.fixture
def state(
    released: tuple[Path, ServingSpec],
    online_store: str,
    tmp_path: Path,
    fresh_metrics: Callable[[], None],
) -> Iterator[Callable[..., AppState]]:
    """Makes an app state; keyword arguments are settings, or what else it takes. One at a time."""
    made: list[AppState] = []

    def make(
        challenger: tuple[Path, ServingSpec] | None = None,
        additions: Additions | None = None,
        **changes: Any,
    ) -> AppState:
        fresh_metrics()
        said = {
            "feature_store_url": online_store,
            "prediction_log_dir": str(tmp_path / "log"),
            "threads": 2,
        }
        told = Settings(**{**said, **changes})
        made.append(AppState(*released, challenger, told, additions=additions))
        return made[-1]

    yield make
    for one in made:
        one.close()


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
        with self.connect() as connection:
            connection.sendall(data)
            return read_all(connection)

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


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        return json.loads(self.body)


def read_all(connection: socket.socket, quiet_seconds: float = 1.0) -> bytes:
    connection.settimeout(quiet_seconds)
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except (TimeoutError, ConnectionResetError):
        pass
    return b"".join(parts)


async def inner_app(scope: Any, receive: Any, send: Any) -> None:
    """Stands for BentoML's own application: pages, health and metrics."""
    body = f"inner {scope['path']}".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[bool, Running]]:
    """The guarded protocol before an application that has the gateway too, as BentoML's has; and
    that application alone, through uvicorn's own protocol. What they serve is ``SERVED``."""
    wrap, GuardedProtocol.wrap = GuardedProtocol.wrap, staticmethod(cache(_front))
    app = _front(inner_app)
    running = {True: Running(app, http=GuardedProtocol), False: Running(app, http="httptools")}
    yield running
    for server in running.values():
        server.stop()
    GuardedProtocol.wrap = wrap


SERVED: list[AppState] = []


def _front(app: Any) -> Gateway:
    return Gateway(app, lambda: SERVED[0] if SERVED else None)


@pytest.fixture
def serve(servers: dict[bool, Running]) -> Iterator[Callable[..., Running]]:
    """Serves an app's state, or none while the service starts; guarded or not."""

    def start(state: AppState | None, guarded: bool = True) -> Running:
        SERVED[:] = [state] if state else []
        return servers[guarded]

    yield start
    SERVED.clear()


@pytest.fixture(scope="session")
def example() -> dict[str, Any]:
    """A row as a caller sends it."""
    return {field.name: field.example for field in spec_of().sent}
