"""What the service says of the requests that it refused."""

import io
import json
import logging

import pytest

from flight_delays.serving import logs


@pytest.fixture
def said():
    """What the service's loggers write, as JSON lines."""
    service, stream = logging.getLogger(logs.SERVICE), io.StringIO()
    before = service.handlers[:], service.level, service.propagate
    logs.configure("json")
    service.handlers[0].setStream(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    service.handlers[:], service.propagate = before[0], before[2]
    service.setLevel(before[1])


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_refused_request_is_a_line_with_its_id_and_a_failed_one_an_error(said):
    log = logs.RequestLog()

    log.write("one", 422, "invalid", "/predict", 0.0015)
    log.write("two", 503, "unlogged", "/predict", 0.002)

    refused, failed = said()
    assert refused.pop("time").endswith("+00:00")
    assert refused.pop("message").startswith("one: 422 (invalid)")
    assert refused == {
        "level": "INFO",
        "logger": "flight_delays.serving.logs",
        "request_id": "one",
        "status": 422,
        "reason": "invalid",
        "path": "/predict",
        "duration_ms": 1.5,
    }
    assert (failed["level"], failed["request_id"]) == ("ERROR", "two")


def test_of_a_flood_the_first_lines_are_written_and_how_many_were_not(said):
    clock = Clock()
    log = logs.RequestLog(clock)

    for status in [401] * 100 + [422] * 100:
        log.write("id", status, "reason", "/predict", 0)
    at_once = said()
    clock.now += 1
    log.tell()
    log.write("later", 422, "invalid", "/predict", 0)

    statuses = [line["status"] for line in at_once]
    assert (statuses.count(401), statuses.count(422)) == (5, 45)
    told, later = said()[50:]
    assert told["message"].startswith("150 more requests")
    assert later["request_id"] == "later"


def test_what_a_caller_sends_cannot_make_a_line_of_its_own(said):
    log = logs.RequestLog()

    log.write("id", 404, "path", '/a\n{"level": "ERROR"}', 0)

    [line] = said()
    assert line["level"] == "INFO"


def test_an_exception_is_in_its_line(said):
    try:
        raise ValueError("what went wrong")
    except ValueError:
        logging.getLogger(logs.SERVICE + ".front").exception("it failed", extra={"request_id": "x"})

    [line] = said()
    assert line["request_id"] == "x"
    assert "ValueError: what went wrong" in line["exception"]
