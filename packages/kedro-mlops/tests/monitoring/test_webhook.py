import json
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kedro_mlops.monitoring import webhook
from kedro_mlops.monitoring.webhook import ATTEMPTS, notify

SECRET = "/services/s3cret"
MESSAGE = {"alerts": [{"kind": "drift", "message": "3 of the last 4 — naïve"}]}


class Receiver(ThreadingHTTPServer):
    """Answers with the statuses it is given, the last one for ever, and keeps what it is sent."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = list(statuses)
        self.received: list[tuple[str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{SECRET}?token=t0ken"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.headers["Content-Type"], body))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Starts receivers, and stops them."""
    monkeypatch.setattr(webhook, "BACKOFF_SECONDS", 0.01)
    started: list[Receiver] = []

    def start(*statuses: int) -> Receiver:
        server = Receiver(*statuses)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def dead_url(monkeypatch: pytest.MonkeyPatch) -> str:
    """Nobody listens there."""
    monkeypatch.setattr(webhook, "BACKOFF_SECONDS", 0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}{SECRET}"


def said(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


def test_a_message_is_posted_as_json(receiver, caplog):
    server = receiver(200)

    notify(server.url, MESSAGE).join()

    [(content_type, body)] = server.received
    assert content_type == "application/json"
    assert json.loads(body) == MESSAGE
    assert said(caplog) == []


def test_a_receiver_that_is_busy_is_asked_again(receiver, caplog):
    server = receiver(500, 500, 200)

    notify(server.url, MESSAGE).join()

    assert [json.loads(body) for _, body in server.received] == [MESSAGE] * 3
    assert said(caplog) == []


def test_a_receiver_that_stays_broken_is_given_up_and_that_is_logged(receiver, caplog):
    server = receiver(503)

    notify(server.url, MESSAGE).join()

    assert len(server.received) == ATTEMPTS
    [warning] = said(caplog)
    assert "127.0.0.1 was not reached" in warning


def test_what_a_receiver_refuses_is_not_sent_again(receiver, caplog):
    server = receiver(403)

    notify(server.url, MESSAGE).join()

    assert len(server.received) == 1
    [warning] = said(caplog)
    assert "HTTPError" in warning


def test_where_nobody_listens_the_caller_does_not_wait(dead_url, caplog):
    thread = notify(dead_url, MESSAGE)

    # it goes on trying while the caller does something else
    assert thread.is_alive()
    thread.join()
    assert len(said(caplog)) == 1


def test_a_path_may_be_a_secret_and_is_never_logged(dead_url, receiver, caplog):
    caplog.set_level(logging.DEBUG)

    for url in (dead_url, receiver(500).url, receiver(200).url, "nonsense" + SECRET):
        notify(url, MESSAGE).join()

    assert len(said(caplog)) == 3
    assert "127.0.0.1" in said(caplog)[0]
    everything = " ".join(said(caplog, logging.DEBUG))
    assert "s3cret" not in everything
    assert "t0ken" not in everything


def test_others_are_still_warned_of_their_own_connections(dead_url, caplog):
    notify(dead_url, MESSAGE).join()

    logging.getLogger("urllib3.connectionpool").warning("Retrying")

    assert said(caplog)[-1] == "Retrying"
