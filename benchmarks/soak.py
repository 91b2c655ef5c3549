"""Ten minutes of load on the champion's release: does it stay as fast, and as small?

Usage: ``make soak`` after ``make run``, or ``make soak ARGS="--minutes 2 --clients 32"``.
Prints every minute, and how p99 and memory drifted, by the medians of the first and the last three
minutes. It fails if any request was not answered with 200.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

from benchmarks import servers
from benchmarks.bodies import real_rows, write_single
from benchmarks.load import Load, send
from benchmarks.machine import describe
from benchmarks.servers import KEY, Server

ROWS = 2_000
WARM_UP_SECONDS = 5
# minutes at either end: one alone is as good as the machine's mood
SEVERAL = 3


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--minutes", type=int, default=10)
    arguments.add_argument("--clients", type=int, default=16)
    arguments.add_argument("--seconds", type=float, default=60, help="length of a minute")
    options = arguments.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as folder, servers.ours() as server:
        bodies = write_single(real_rows(ROWS), Path(folder) / "bodies.jsonl")
        warm_up = send(server.predict_url, bodies, KEY, options.clients, WARM_UP_SECONDS)
        print(f"{options.clients} clients, {ROWS:,} different rows\n")
        print(f"{'minute':>6}{'requests/s':>14}{'p50':>12}{'p99':>12}{'memory':>12}{'failed':>10}")
        minutes = [
            _minute(number, server, bodies, options.clients, options.seconds)
            for number in range(1, options.minutes + 1)
        ]
    _conclude([load for load, _ in minutes], [megabytes for _, megabytes in minutes], warm_up)


def _minute(
    number: int, server: Server, bodies: Path, clients: int, seconds: float
) -> tuple[Load, float]:
    load = send(server.predict_url, bodies, KEY, clients, seconds)
    megabytes = server.megabytes()
    print(
        f"{number:6}{load.per_second:14,.0f}{load.p50_ms:9.2f} ms{load.p99_ms:9.2f} ms"
        f"{megabytes:9.1f} MB{load.failed:10,}",
        flush=True,
    )
    return load, megabytes


def _conclude(loads: list[Load], megabytes: list[float], warm_up: Load) -> None:
    p99 = [load.p99_ms for load in loads]
    print(f"\np99 drifted by {_drift(p99):+.1%}, memory by {_drift(megabytes):+.1%}")
    failed = sum(load.failed for load in [warm_up, *loads])
    if failed or not all(load.requests for load in loads):
        raise SystemExit(f"{failed:,} requests were not answered with 200, or none were answered.")
    print(f"{sum(load.requests for load in loads):,} requests, each answered with 200")


def _drift(figures: list[float]) -> float:
    """How much more, relatively, the last minutes have than the first ones."""
    return median(figures[-SEVERAL:]) / median(figures[:SEVERAL]) - 1


if __name__ == "__main__":
    main()
