"""The guarded protocol: slow and huge headers, and answers on the spot."""

import json
import re
import socket
import time

import pytest
from example.http import JSON, read_all, request_of, statuses, whole
from uvicorn import config

from kedro_mlops.serving import fast_lane as protocol
from kedro_mlops.serving.fast_lane import MAX_HEADER_BYTES, GuardedProtocol, install

SECONDS = 0.4


@pytest.fixture
def server(state, serve, monkeypatch):
    monkeypatch.setattr(protocol, "HEADER_SECONDS", SECONDS)
    monkeypatch.setattr(protocol, "REST_SECONDS", SECONDS)
    return serve(state())


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

    assert statuses(answered) == ([408] if sent else [])
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


# what is left of a request that is answered, and answers that are left


def closed_within(connections, seconds, *, sending=b""):
    """Whether all have been closed by then, although each goes on to send."""
    deadline, left = time.perf_counter() + seconds, set(connections)
    while left and time.perf_counter() < deadline:
        time.sleep(0.05)
        for connection in list(left):
            connection.setblocking(False)
            try:
                connection.send(sending)
                if connection.recv(65_536) == b"":
                    left.discard(connection)
            except BlockingIOError:
                pass
            except OSError:
                left.discard(connection)
    return not left


ANSWERED_EARLY = request_of(b"", "content-length: 100000", path="/info", method="GET")


def test_a_body_that_is_answered_already_is_not_waited_for(server):
    connections = [server.connect() for _ in range(20)]
    for connection in connections:
        connection.sendall(ANSWERED_EARLY)

    assert closed_within(connections, SECONDS + 2, sending=b"x")


def test_a_body_that_is_answered_already_is_read_only_so_far(server, monkeypatch):
    monkeypatch.setattr(protocol, "REST_SECONDS", 60)
    monkeypatch.setattr(protocol, "MAX_REST_BYTES", 10_000)
    with server.connect() as connection:
        connection.sendall(ANSWERED_EARLY + b"x" * 9_000)
        assert not closed_within([connection], 0.3)

        assert closed_within([connection], 2, sending=b"x" * 2_000)


def test_a_kept_connection_is_not_kept_by_empty_lines(server, monkeypatch):
    monkeypatch.setattr(server.config, "timeout_keep_alive", SECONDS)
    with server.connect() as connection:
        connection.sendall(request_of(b"", path="/info", method="GET"))

        assert closed_within([connection], SECONDS + 2, sending=b"\r\n")


@pytest.mark.parametrize("headers", [{}, {"content_type": "text/csv"}])
def test_who_sends_far_too_much_sees_why(state, serve, headers):
    server = serve(state(max_body_megabytes=0.01))

    seen = [
        server.ask("POST", "/predict", b" " * 20_000_000, **{"content_type": JSON} | headers)
        for _ in range(5)
    ]

    assert {response.status for response in seen} == {415 if headers else 413}


def bulk_of(example, *headers):
    body = json.dumps({"rows": [example] * 10_000}).encode()
    return request_of(body, f"content-length: {len(body)}", *headers)


def half_deaf(server):
    """A connection that takes little of an answer before it is read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    return connection


def length_of(answered):
    head, _, body = answered.partition(b"\r\n\r\n")
    return len(body), int(re.search(rb"content-length: (\d+)", head)[1])


def test_who_does_not_take_its_answer_does_not_get_it(server, example, monkeypatch):
    monkeypatch.setattr(protocol, "TAKE_SECONDS", SECONDS)
    with half_deaf(server) as deaf:
        deaf.sendall(bulk_of(example))
        time.sleep(3 * SECONDS + 3)
        got, whole_length = length_of(read_all(deaf))

    assert got < whole_length
    assert not GuardedProtocol.untaken._n_bytes


def test_who_takes_its_answer_slowly_gets_it(server, example, monkeypatch):
    monkeypatch.setattr(protocol, "TAKE_SECONDS", SECONDS)
    with half_deaf(server) as slow:
        slow.sendall(bulk_of(example))
        slow.settimeout(5)
        parts, start = [slow.recv(65_536)], time.perf_counter()
        while time.perf_counter() - start < 3 * SECONDS:
            parts.append(slow.recv(20_000))
            time.sleep(0.01)
        got, whole_length = length_of(b"".join(parts) + read_all(slow))

    assert got == whole_length


def test_of_many_answers_that_wait_the_oldest_are_given_up(server, example, monkeypatch):
    monkeypatch.setattr(protocol, "MAX_UNTAKEN_BYTES", 4_000_000)
    deaf = []
    for _ in range(4):
        deaf.append(half_deaf(server))
        deaf[-1].sendall(bulk_of(example))
        deaf[-1].settimeout(5)
        deaf[-1].recv(1, socket.MSG_PEEK)
    time.sleep(0.2)

    got = [length_of(read_all(connection)) for connection in deaf]

    assert [n < whole for n, whole in got] == [True, True, True, False]


# other protocols, and what is beside a body


@pytest.mark.parametrize(
    ("by", "protocol_"),
    [
        ("connection: Upgrade, HTTP2-Settings", "h2c"),
        ("connection: Upgrade, HTTP2-Settings", "websocket"),
        ("connection: Upgrade, HTTP2-Settings", "TLS/1.3"),
        ("proxy-connection: upgrade", "h2c"),
    ],
)
def test_who_would_rather_speak_another_protocol_is_answered_in_this_one(
    server, example, by, protocol_
):
    upgrade = [by, f"upgrade: {protocol_}", "http2-settings: AA"]
    in_one, later = whole(example, *upgrade), whole(example)

    with server.connect() as connection:
        connection.sendall(in_one[:-20])
        time.sleep(0.1)
        connection.sendall(in_one[-20:] + later)
        answered = read_all(connection)

    assert statuses(answered) == [200, 200]


@pytest.mark.parametrize("name", ["connection", "proxy-connection"])
def test_who_would_besides_be_answered_once_is(server, example, name):
    more = [f"{name}: close", "connection: upgrade", "upgrade: h2c"]

    answered = server.send(whole(example, *more))

    assert statuses(answered) == [200]
    assert b"\r\nconnection: close\r\n" in answered


def test_nobody_is_connected_to_elsewhere(server):
    answered = server.send(b"CONNECT example.org:80 HTTP/1.1\r\nhost: x\r\n\r\n")

    assert statuses(answered) == [400]


def test_few_requests_wait_for_another(server):
    slow = request_of(b"{", "content-length: 2")

    answered = server.send(slow + b"}" + b"GET /info HTTP/1.1\r\n\r\n" * 3_000)

    assert statuses(answered) == [429]


@pytest.mark.parametrize("beside", [b"1;" + b"y" * 1_000_000, b"0\r\n" + b"x: y\r\n" * 40_000])
def test_what_is_beside_a_body_is_not_read_without_end(server, beside):
    answered = server.send(request_of(b"1\r\n{\r\n", "transfer-encoding: chunked") + beside)

    assert statuses(answered) == [431]


def test_a_body_may_come_byte_by_byte(server, example):
    body = json.dumps({"rows": [example]}).encode().ljust(30_000)
    chunks = b"".join(b"1\r\n%b\r\n" % bytes([byte]) for byte in body)

    answered = server.send(request_of(chunks + b"0\r\n\r\n", "transfer-encoding: chunked"))

    assert statuses(answered) == [200]


def test_what_is_no_request_is_said_logged_and_counted_like_any_other(state, serve, caplog):
    one = state()
    server, before = serve(one), counted(one)
    caplog.set_level("INFO", "kedro_mlops.serving.logs")

    answered = server.send(b"HELLO\r\n\r\n")

    head, _, body = answered.partition(b"\r\n\r\n")
    said = json.loads(body)
    assert statuses(answered) == [400]
    assert b"content-type: application/problem+json" in head
    assert said["detail"] == "This is no request of HTTP/1.1."
    assert said["request_id"].encode() in head
    assert [r.request_id for r in caplog.records] == [said["request_id"]]
    assert counted(one) == before + 1


def counted(state):
    state.metrics.flush()
    return state.metrics.requests.labels("other", "400")._value.get()


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


def test_a_small_request_is_answered_without_a_task_for_it(server, example, monkeypatch):
    server.send(whole(example))  # what it looks up is at hand from now on
    begun = []
    monkeypatch.setattr(
        GuardedProtocol, "_start_asgi_task", lambda *arguments: begun.append(arguments)
    )

    answered = server.send(whole(example))

    assert statuses(answered) == [200]
    assert begun == []


@pytest.mark.parametrize("header", ["connection: close", "expect: 100-continue", "accept: */*"])
def test_a_request_may_ask_for_more_and_is_answered(server, example, header):
    answered = server.send(whole(example, header))

    assert statuses(answered)[-1] == 200
    assert b"prediction_id" in answered


def test_requests_that_come_together_are_answered_in_their_order(server, example):
    wrong = whole(example | {"depot": "BOS"}, "x-request-id: wrong")
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

    assert protocols["auto"] == "kedro_mlops.serving.fast_lane:GuardedProtocol"
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
