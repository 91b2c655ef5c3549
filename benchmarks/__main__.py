"""Measures the project against the obvious way, side by side in one run.

Usage: ``make bench`` after ``make run``; ``make bench ARGS="--only serving"`` for a part of it,
``make bench ARGS="--copies 30"`` for more rows in the engine, ``--seconds 30`` for a longer load.
Prints the machine, every figure of both, and their ratio: above one, ours is better; of drift, also
how many bare scans it takes, and Evidently, which uv fetches, beside it; of monitoring, how many
times its drift alone; of data engineering, our share of what pandas takes. What callers notice of
champions that come while the service runs (``--only swaps``). And what is estimated without labels
beside what turned out, and intervals (``--only estimates``), and how well few rows are learned
(``--only quality``), and how a table is profiled that becomes a project (``--only adoption``, with
``--copies 30`` ten million rows), which need no run. What ten times as many rows take is measured
only if asked for (``--only growth``), and so are Delta tables (``--only delta``).
"""

import argparse

from benchmarks import (
    adoption,
    data_engineering,
    delta,
    engine,
    estimates,
    growth,
    monitoring,
    quality,
    scoring,
    serving,
    swaps,
)
from benchmarks.machine import describe

PARTS = (
    "engine", "data_engineering", "scoring", "monitoring", "adoption", "serving", "swaps",
    "estimates", "quality",
)  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "--only", choices=(*PARTS, "delta", "growth"), help="measure just this part"
    )
    arguments.add_argument("--copies", type=int, default=10, help="how often the data is repeated")
    arguments.add_argument("--seconds", type=float, default=10, help="length of each load")
    arguments.add_argument("--rounds", type=int, default=3, help="loads of each kind, in turns")
    options = arguments.parse_args()
    print(describe())
    for part in [options.only] if options.only else PARTS:
        print(f"\n{part}: ", end="")
        if part == "engine":
            engine.measure(options.copies)
        elif part == "data_engineering":
            data_engineering.measure(options.copies)
        elif part == "scoring":
            scoring.measure(options.copies)
        elif part == "monitoring":
            monitoring.measure(options.copies)
        elif part == "adoption":
            adoption.measure(options.copies)
        elif part == "delta":
            delta.measure(options.copies)
        elif part == "growth":
            growth.measure(options.copies)
        elif part == "estimates":
            estimates.measure()
        elif part == "quality":
            quality.measure()
        elif part == "swaps":
            swaps.measure(options.rounds)
        else:
            serving.measure(options.seconds, options.rounds)


if __name__ == "__main__":
    main()
