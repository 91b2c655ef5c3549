"""The guarded protocol: slow and huge headers, and answers on the spot."""

import json
import re
import time

import pytest
from uvicorn import config

from flight_delays.serving import protocol
from flight_delays.serving.protocol import MAX_HEADER_BYTES, GuardedProtocol, install
from tests.serving.conftest import read_all
from tests.serving.test_front import request_of, statuses, whole

SECONDS = 0.4


@pytest.fixture
def server(desk, serve, monkeypatch):
    monkeypatch.setattr(protocol, "HEADER_SECONDS", SECONDS)
    return serve(desk())


def dribble(connection, data, pause=0.1):
    """Send byte by byte until the other side has had enough."""
    start = time.perf_counter()
    try:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(pause)
    except OSError:
        pass
    return time.perf_counter() - start


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET /livez HTTP/1.1\r\nhost: x\r\n"])
def test_headers_that_do_not_come_are_not_waited_for(server, sent):
    start = time.perf_counter()

    answered = server.send(sent) if sent else read_all(server.connect())

    assert statuses(answered) == [408]
    assert SECONDS - 0.1 < time.perf_counter() - start < SECONDS + 0.9


def test_headers_that_come_byte_by_byte_are_cut(server):
    with server.connect() as connection:
        seconds = dribble(connection, b"GET /livez HTTP/1.1\r\nx: " + b"y" * 100, pause=0.05)
        answered = read_all(connection)

    assert seconds < SECONDS + 1
    assert statuses(answered) in ([408], [])


def test_of_a_kept_connection_the_next_headers_must_come_in_time_too(server, example):
    with server.connect() as connection:
        connection.sendall(whole(example) + b"GET /livez HT")
        answered = read_all(connection)

    assert statuses(answered) == [200, 408]


def test_a_kept_connection_may_be_quiet_between_requests(server, example):
    with server.connect() as connection:
        connection.sendall(whole(example))
        first = read_all(connection, quiet_seconds=SECONDS + 0.3)
        connection.sendall(whole(example, "connection: close"))
        second = read_all(connection)

    assert (statuses(first), statuses(second)) == ([200], [200])


def test_a_body_may_take_longer_than_headers(server, example):
    request = whole(example, "connection: close")
    with server.connect() as connection:
        connection.sendall(request[:-20])
        time.sleep(SECONDS + 0.2)
        connection.sendall(request[-20:])
        answered = read_all(connection)

    assert statuses(answered) == [200]


def test_headers_that_are_huge_are_refused(server):
    with server.connect() as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nx: " + b"y" * MAX_HEADER_BYTES)
        time.sleep(0.1)
        answered = read_all(connection)

    assert statuses(answered) == [431]


def test_large_headers_are_read(server):
    request = request_of(
        b"", f"x: {'y' * 30_000}", "connection: close", path="/livez", method="GET"
    )

    assert statuses(server.send(request)) == [200]


def test_a_large_body_is_no_large_header(server, example):
    import json

    body = json.dumps({"rows": [example]}).encode().ljust(3 * MAX_HEADER_BYTES)
    request = request_of(body, f"content-length: {len(body)}")

    answered = server.send(request + whole(example, "connection: close"))

    assert statuses(answered) == [200, 200]


@pytest.mark.parametrize(
    "rubbish", [b"\x16\x03\x01\x02\x00\x01\x00", b"HELLO\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_what_is_no_http_is_answered_and_closed(server, rubbish):
    answered = server.send(rubbish)

    assert statuses(answered) in ([400], [408])
    assert b"Traceback" not in answered


# small requests are answered on the spot


def parts(answered):
    """Headers and body of a response, without what no two have in common."""
    head, _, body = answered.partition(b"\r\n\r\n")
    named = [line for line in head.split(b"\r\n") if not line.startswith(b"date:")]
    [answer] = json.loads(body)["predictions"]
    return sorted(named), {**answer, "prediction_id": None}


def in_pieces(server, request, *, pause=0.1):
    with server.connect() as connection:
        for piece in (request[:-30], request[-30:-5], request[-5:]):
            connection.sendall(piece)
            time.sleep(pause)
        return read_all(connection)


def test_on_the_spot_or_piece_by_piece_the_answer_is_the_same(server, example):
    request = whole(example, "x-request-id: mine")

    at_once, slowly = server.send(request), in_pieces(server, request)

    assert parts(at_once) == parts(slowly)
    assert b"x-request-id: mine" in at_once


@pytest.mark.parametrize("header", ["connection: close", "expect: 100-continue", "accept: */*"])
def test_a_request_may_ask_for_more_and_is_answered(server, example, header):
    answered = server.send(whole(example, header))

    assert statuses(answered)[-1] == 200
    assert b"prediction_id" in answered


def test_requests_that_come_together_are_answered_in_their_order(server, example):
    wrong = whole(example | {"origin": "BOS"}, "x-request-id: wrong")
    info = request_of(b"", path="/info", method="GET")
    right = [whole(example, f"x-request-id: right-{i}") for i in range(3)]

    answered = server.send(right[0] + wrong + right[1] + info + right[2])

    assert statuses(answered) == [200, 422, 200, 200, 200]
    assert re.findall(rb"x-request-id: (right-\d|wrong)", answered) == [
        b"right-0", b"wrong", b"right-1", b"right-2",
    ]  # fmt: skip


def test_a_response_is_one_packet(server, example):
    with server.connect() as connection:
        connection.sendall(whole(example))
        connection.settimeout(5)
        packet = connection.recv(65_536)

    assert packet.startswith(b"HTTP/1.1 200")
    assert packet.endswith(b"}]}")


# putting it in place


@pytest.fixture
def protocols(monkeypatch):
    """uvicorn's protocols, which are left as they were."""
    monkeypatch.setattr(config, "HTTP_PROTOCOLS", dict(config.HTTP_PROTOCOLS, auto="its own"))
    monkeypatch.setattr(GuardedProtocol, "wrap", None)
    return config.HTTP_PROTOCOLS


def test_the_uvicorn_of_the_lock_file_speaks_through_it(protocols):
    assert install(lambda app: ["wrapped", app])

    assert protocols["auto"] == "flight_delays.serving.protocol:GuardedProtocol"
    assert GuardedProtocol.wrap("app") == ["wrapped", "app"]
    assert GuardedProtocol.wrap("app") is GuardedProtocol.wrap("app")


@pytest.mark.parametrize("version", ["0.99.0", "1.0", "0.5.4"])
def test_an_unknown_uvicorn_is_left_alone(protocols, monkeypatch, caplog, version):
    monkeypatch.setattr(protocol, "version", lambda name: version)

    assert not install(lambda app: app)

    assert protocols["auto"] == "its own"
    assert GuardedProtocol.wrap is None
    assert "several times slower" in caplog.text


def test_where_there_is_no_uvicorn_nothing_is_put_in_place(protocols, monkeypatch):
    def missing(name):
        raise protocol.PackageNotFoundError(name)

    monkeypatch.setattr(protocol, "version", missing)

    assert not install(lambda app: app)
