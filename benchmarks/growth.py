"""Measures what ten times as many rows take, of all that is asked of large tables.

Each is a process of its own; seconds are those of the processor, and by the clock. With
``--copies 30`` it is ten million rows, and a hundred million. What a part reads is written before,
and removed after it: at most some 10 GB of disk.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks import data_engineering, drift, engine, monitoring, scoring
from benchmarks.engines import connect
from benchmarks.processes import measure_apart, measure_here, text
from kedro_mlops.contract.validation import ContractValidator

CONTRACT = "flight_delays.contracts.RawFlights"


def check(folder: Path) -> None:
    """All rules, and that the key is unique."""
    ContractValidator(CONTRACT).validate(connect().read_parquet(folder / "raw.parquet"))


class Part(NamedTuple):
    """What reads the same rows.

    Attributes:
        prepare: Writes them into a folder, so many times over, and says how many these are.
        measured: Functions that take the folder, and their modules, by what they are called.
    """

    prepare: Callable[[Path, int], int]
    measured: dict[str, tuple[str, Callable[[Path], None]]]


PARTS = [
    Part(
        data_engineering.prepare,
        {
            "contract check": (__name__, check),
            "data engineering": ("benchmarks.data_engineering", data_engineering.in_engine),
        },
    ),
    Part(
        engine.repeat_bad_rows,
        {"quarantine, a third bad": ("benchmarks.engine", engine.quarantine_in_engine)},
    ),
    Part(
        drift.prepare,
        {
            "reference profile": ("benchmarks.drift", drift.reference),
            "drift, 4 windows": ("benchmarks.drift", drift.drift),
        },
    ),
    Part(
        lambda folder, copies: scoring.repeat_rows(folder, copies * scoring.ROWS_A_COPY),
        {"batch scoring": ("benchmarks.scoring", scoring.in_batches)},
    ),
    Part(
        lambda folder, copies: monitoring.prepare(folder, copies * scoring.ROWS_A_COPY),
        {
            "drift of predictions": ("benchmarks.monitoring", monitoring.drift_alone),
            "monitoring": ("benchmarks.monitoring", monitoring.whole),
        },
    ),
]


def measure(copies: int) -> None:
    """Print seconds and peak memory of so many rows, and of ten times as many."""
    if not (scoring.DATA.exists() and scoring.CHAMPION.exists()):
        raise SystemExit("There is no champion yet: `make run` makes one.")
    print(f"\n{'':42}{'processor':>18}{'clock':>12}")
    for part in PARTS:
        few, many = (_measured(part, times) for times in (copies, 10 * copies))
        for name in part.measured:
            seconds, memory = (many[name][i] / few[name][i] for i in range(2))
            print(f"{name}: times {seconds:.1f}, and {memory:.1f} of the memory", flush=True)


def _measured(part: Part, copies: int) -> dict[str, tuple[float, float]]:
    """Seconds and peak memory by name, printed as they come."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        n_rows = part.prepare(Path(scratch), copies)
        for name, (module, function) in part.measured.items():
            clock, *figures = measure_apart(module, function.__name__, Path(scratch))
            found[name] = figures[0], figures[1]
            said = f"{name}, {n_rows:,} rows"
            print(f"{said:42}{text(found[name])}{clock:10.1f} s", flush=True)
    return found


if __name__ == "__main__":
    measure_here(globals()[sys.argv[1]], Path(sys.argv[2]))
