"""Measures what ten times as many rows take: the raw flights, checked and made into model input.

Each is a process of its own; seconds are those of the processor, and by the clock. With
``--copies 30`` it is ten million rows, and a hundred million, whose files take some 10 GB of disk.
"""

import sys
import tempfile
from pathlib import Path

import ibis

from benchmarks import data_engineering
from benchmarks.processes import measure_apart, measure_here, text
from kedro_mlops.contract.validation import ContractValidator

CONTRACT = "flight_delays.contracts.RawFlights"
# as conf/base/globals.yml has it
MEMORY_LIMIT = "1GB"


def check(folder: Path) -> None:
    """All rules, and that the key is unique."""
    engine = ibis.duckdb.connect(memory_limit=MEMORY_LIMIT)
    ContractValidator(CONTRACT).validate(engine.read_parquet(folder / "raw.parquet"))


PARTS = {
    "contract check": (__name__, check.__name__),
    "data engineering": ("benchmarks.data_engineering", data_engineering.in_engine.__name__),
}


def measure(copies: int) -> None:
    """Print seconds and peak memory of so many rows, and of ten times as many."""
    if not (data_engineering.SCREENED / "screened_flights.parquet").exists():
        raise SystemExit("There is no data yet: `make run` makes it.")
    measured: dict[str, list[float]] = {part: [] for part in PARTS}
    print(f"\n{'':36}{'processor':>18}{'clock':>12}")
    for times in (copies, 10 * copies):
        with tempfile.TemporaryDirectory() as scratch:
            n_rows = data_engineering.prepare(Path(scratch), times)
            for part, (module, function) in PARTS.items():
                clock, *figures = measure_apart(module, function, Path(scratch))
                measured[part].append(figures[0])
                named = f"{part}, {n_rows:,} rows"
                print(f"{named:36}{text((figures[0], figures[1]))}{clock:10.1f} s", flush=True)
    for part, (few, many) in measured.items():
        print(f"{part}, times {many / few:.1f}")


if __name__ == "__main__":
    measure_here(globals()[sys.argv[1]], Path(sys.argv[2]))
