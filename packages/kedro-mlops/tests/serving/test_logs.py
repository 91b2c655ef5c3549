"""What the service says of the requests that it refused."""

import io
import json
import logging

import pytest

from kedro_mlops.serving import logs


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


@pytest.fixture
def others(monkeypatch):
    """Loggers of others, with a handler as BentoML gives them, and what comes out of it."""
    stream, handler = io.StringIO(), logging.StreamHandler()
    handler.setStream(stream)
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    for name in ("", "uvicorn.error"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [handler])
    # a server of other tests may have been told to be silent
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    yield lambda: stream.getvalue().splitlines()
    logging.getLogger("uvicorn.error").propagate = True


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_what_libraries_say_is_written_like_all_else_and_once(others, monkeypatch, log_format):
    monkeypatch.setattr(logs, "_flood", logs.Flood())
    service = logging.getLogger(logs.SERVICE)
    monkeypatch.setattr(service, "handlers", [])
    monkeypatch.setattr(service, "propagate", service.propagate)

    logs.configure(log_format)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("asyncio").error("out of system resources", exc_info=ValueError("why"))

    if log_format == "json":
        first, second = map(json.loads, others())
        assert (first["logger"], first["level"]) == ("uvicorn.error", "WARNING")
        assert second["exception"] == "ValueError: why"
    else:
        assert others() == [
            "[WARNING] Invalid HTTP request received.",
            "[ERROR] out of system resources",
            "ValueError: why",
        ]


def test_of_a_flood_of_others_the_first_lines_are_written_too(others, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(logs, "_flood", logs.Flood(clock))
    service = logging.getLogger(logs.SERVICE)
    monkeypatch.setattr(service, "handlers", [])
    monkeypatch.setattr(service, "propagate", service.propagate)
    logs.configure("text")
    service.handlers[0].setStream(logging.getLogger().handlers[0].stream)

    for _ in range(1000):
        logging.getLogger("asyncio").error("garbage")
    logging.getLogger("uvicorn.error").warning("another")
    clock.now += 1
    logs.RequestLog().flush()

    said = others()
    assert said[:-1] == ["[ERROR] garbage"] * logs.MOST_OF_ONE + ["[WARNING] another"]
    assert said[-1].endswith(f"{1000 - logs.MOST_OF_ONE} more lines of asyncio in a second")


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
        "logger": "kedro_mlops.serving.logs",
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
    log.flush()
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
