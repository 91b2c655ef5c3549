"""The server stops while callers connect, and somebody else goes on to listen on its socket."""

import socket
import threading
import time

import pytest
import uvicorn
from example.http import inner_app, read_all, request_of, statuses

from kedro_mlops.serving import stopping
from kedro_mlops.serving.fast_lane import GuardedProtocol
from kedro_mlops.serving.stopping import DrainingServer

N_CALLERS = 50
ASK = request_of(b"", path="/livez", method="GET")


@pytest.fixture
def listening(monkeypatch):
    """A socket that the one who started the server has, too."""
    monkeypatch.setattr(GuardedProtocol, "wrap", None)
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as ours:
        yield ours


class Served:
    """A server in a thread, on a socket of others, as BentoML starts it."""

    def __init__(self, listening, app=inner_app):
        config = uvicorn.Config(app, http=GuardedProtocol, lifespan="off", log_level="critical")
        self.server = DrainingServer(config)
        sockets = [listening.dup()]
        self.thread = threading.Thread(target=self.server.run, args=(sockets,), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)

    def stop(self):
        self.server.should_exit = True

    def stops_within(self, seconds):
        self.thread.join(seconds)
        return not self.thread.is_alive()


def connect(listening, timeout=5):
    return socket.create_connection(listening.getsockname(), timeout)


async def sleepy_app(scope, receive, send):
    """Takes the whole loop for a while, so that nobody is let in meanwhile."""
    if scope["path"] == "/info":
        time.sleep(0.5)
    await inner_app(scope, receive, send)


def test_who_has_connected_before_is_answered(listening):
    served = Served(listening, sleepy_app)
    kept = connect(listening)
    kept.sendall(request_of(b"", path="/info", method="GET"))
    time.sleep(0.1)
    waiting = [connect(listening) for _ in range(N_CALLERS)]
    for caller in waiting:
        caller.sendall(ASK)
    served.stop()

    answers = [read_all(caller) for caller in (kept, *waiting)]

    assert served.stops_within(5)
    assert [statuses(answer) for answer in answers] == [[200]] * (N_CALLERS + 1)


def test_who_connects_later_is_neither_taken_nor_reset_and_is_answered_by_the_next(listening):
    first = Served(listening)
    with connect(listening) as caller:
        caller.sendall(ASK[:10])
        first.stop()
        time.sleep(stopping.ACCEPT_SECONDS + 0.3)
        with pytest.raises(TimeoutError):
            connect(listening, timeout=0.3)
        caller.sendall(ASK[10:])
        answer = read_all(caller)
    assert first.stops_within(5)

    second = Served(listening)
    with connect(listening) as caller:
        caller.sendall(ASK)
        again = read_all(caller)
    second.stop()

    assert statuses(answer) == statuses(again) == [200]
    assert second.stops_within(5)


def test_it_ends_although_somebody_does_not(listening, monkeypatch):
    monkeypatch.setattr(stopping, "STOP_SECONDS", 0.5)
    served = Served(listening)
    with connect(listening) as slow:
        slow.sendall(ASK[:10])
        time.sleep(0.1)
        served.stop()

        assert served.stops_within(5)
