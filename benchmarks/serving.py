"""Measures the champion's release against the service that people write by hand.

Each server has a core of its own, and the load comes from the other one, over loopback, with keys;
every request has another real row. Loads are sent in turns, so that what else the machine does
befalls both, and the median of the rounds counts.
"""

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import servers
from benchmarks.bodies import ARROW, JSON, bulk, real_rows, write_single
from benchmarks.load import Load, send
from benchmarks.servers import KEY, Server

SINGLE_ROWS, BULK_ROWS = 2_000, 10_000
CLIENTS = 16
BULK_REPEATS = 15
EXPLAIN = "?explain=true"
WARM_UP_SECONDS = 2
OK = 200
# the service by hand reads JSON alone, so that is what Arrow is compared with
FORMATS = {JSON: "JSON", ARROW: "Arrow"}
Bulk = dict[str, float]


@dataclass
class Measured:
    """The figures of one server."""

    alone: list[Load] = field(default_factory=list)
    many: list[Load] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    bulk_pinned: Bulk = field(default_factory=dict)
    bulk_free: Bulk = field(default_factory=dict)

    def median(self, of: Callable[[Load], float], *, clients: int) -> float:
        return statistics.median(map(of, self.alone if clients == 1 else self.many))


def measure(seconds: float, rounds: int) -> None:
    """Print every figure of both, and their ratio."""
    rows = bulk(real_rows(BULK_ROWS))
    with tempfile.TemporaryDirectory() as folder:
        bodies = write_single(real_rows(SINGLE_ROWS), Path(folder) / "bodies.jsonl")
        print(f"{SINGLE_ROWS:,} different rows; wrk alone sends {_ceiling(bodies):,.0f}/s")
        with _both(pinned=True) as pair:
            difference = _disagreement(pair, rows[JSON])
            measured = [Measured() for _ in pair]
            _load(pair, measured, bodies, seconds, rounds)
            for server, found in zip(pair, measured, strict=True):
                found.bulk_pinned = _bulk(server, rows)
                found.megabytes.append(server.megabytes())
            explained = _explained(pair[1], bodies, seconds, rounds)
    with _both(pinned=False) as pair:
        for server, found in zip(pair, measured, strict=True):
            found.bulk_free = _bulk(server, rows)
    print(f"the same answers: they differ by {difference:.0e} at most\n")
    _show(*measured)
    print(explained)


@contextlib.contextmanager
def _both(*, pinned: bool) -> Iterator[tuple[Server, Server]]:
    with servers.by_hand(pinned=pinned) as by_hand, servers.ours(pinned=pinned) as ours:
        yield by_hand, ours


def _ceiling(bodies: Path) -> float:
    with servers.echo() as echo:
        return send(echo.predict_url, bodies, KEY, CLIENTS, WARM_UP_SECONDS).per_second


def _disagreement(pair: tuple[Server, Server], body: bytes) -> float:
    """The largest difference between the two probabilities of a row; it also warms the caches."""
    answers = [json.loads(_posted(server, body, JSON))["predictions"] for server in pair]
    return max(abs(a["probability"] - b["probability"]) for a, b in zip(*answers, strict=True))


def _load(
    pair: tuple[Server, Server], measured: list[Measured], bodies: Path, seconds: float, rounds: int
) -> None:
    for server, found in zip(pair, measured, strict=True):
        send(server.predict_url, bodies, KEY, CLIENTS, WARM_UP_SECONDS)
        found.megabytes.append(server.megabytes())
    for _ in range(rounds):
        for server, found in zip(pair, measured, strict=True):
            found.alone.append(_sent(server, bodies, 1, seconds))
            found.many.append(_sent(server, bodies, CLIENTS, seconds))
    for server, found in zip(pair, measured, strict=True):
        found.megabytes.append(server.megabytes())


def _explained(server: Server, bodies: Path, seconds: float, rounds: int) -> str:
    """How much longer it takes if predictions are explained."""
    said = []
    for clients in (1, CLIENTS):
        loads = [
            [_sent(server, bodies, clients, seconds, query).p99_ms for query in ("", EXPLAIN)]
            for _ in range(rounds)
        ]
        plain, explained = map(statistics.median, zip(*loads, strict=True))
        said.append(f"{explained:.2f} ms with {clients}, {explained / plain:.1f} x the plain one")
    return f"p99 explained, by clients: {'; '.join(said)}"


def _sent(server: Server, bodies: Path, clients: int, seconds: float, query: str = "") -> Load:
    load = send(f"{server.predict_url}{query}", bodies, KEY, clients, seconds)
    if load.failed:
        raise SystemExit(f"{load.failed:,} of {load.requests:,} requests were not answered: {load}")
    return load


def _bulk(server: Server, bodies: dict[str, bytes]) -> Bulk:
    """Rows a second in every format that the server knows."""
    return {
        name: BULK_ROWS / _seconds(server, bodies[content_type], content_type)
        for content_type, name in FORMATS.items()
        if server.post(bodies[content_type], content_type)[0] == OK
    }


def _seconds(server: Server, body: bytes, content_type: str) -> float:
    times = []
    for _ in range(BULK_REPEATS):
        start = time.perf_counter()
        _posted(server, body, content_type)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _posted(server: Server, body: bytes, content_type: str) -> bytes:
    status, answer = server.post(body, content_type)
    if status != OK:
        raise SystemExit(f"The server answered {status}: {answer[:500].decode(errors='replace')}")
    return answer


def _show(by_hand: Measured, ours: Measured) -> None:
    print(f"{'':36}{'by hand':>14}{'ours':>14}{'ratio':>8}")
    for name, figure, unit, more_is_better in _figures():
        theirs, own = figure(by_hand), figure(ours)
        cells = "".join(f"{_text(value, unit):>14}" for value in (theirs, own))
        print(f"{name:36}{cells}{_ratio(theirs, own, more_is_better=more_is_better):>8}")


def _figures() -> Iterator[tuple[str, Callable[[Measured], float], str, bool]]:
    yield f"requests/s, {CLIENTS} clients", _of("per_second", CLIENTS), "/s", True
    yield "p50, alone", _of("p50_ms", 1), "ms", False
    yield f"p50, {CLIENTS} clients", _of("p50_ms", CLIENTS), "ms", False
    yield f"p99, {CLIENTS} clients", _of("p99_ms", CLIENTS), "ms", False
    for name in FORMATS.values():
        yield f"rows/s, {BULK_ROWS:,} as {name}", _at("bulk_free", name), "/s", True
    for name in FORMATS.values():
        yield f"rows/s, {BULK_ROWS:,} as {name}, one core", _at("bulk_pinned", name), "/s", True
    for position, moment in enumerate(("before the load", "after it", "after bulk requests")):
        yield f"memory {moment}", _at("megabytes", position), "MB", False


def _of(name: str, clients: int) -> Callable[[Measured], float]:
    return lambda measured: measured.median(lambda load: getattr(load, name), clients=clients)


def _at(name: str, key: str | int) -> Callable[[Measured], float]:
    def figure(measured: Measured) -> float:
        figures = getattr(measured, name)
        return figures.get(key, figures["JSON"]) if isinstance(figures, dict) else figures[key]

    return figure


def _text(value: float, unit: str) -> str:
    return f"{value:.2f} {unit}" if value < 10 else f"{value:,.0f} {unit}"


def _ratio(theirs: float, own: float, *, more_is_better: bool) -> str:
    ratio = own / theirs if more_is_better else theirs / own
    return f"{ratio:.1f}x" if ratio >= 1 else f"{ratio:.2f}x"
