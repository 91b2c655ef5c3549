"""Measures what ten times as many rows take: the raw flights, checked by their contract.

Each is a process of its own; seconds are those of the processor. With ``--copies 30`` it is ten
million rows, and a hundred million, whose file takes 0.7 GB of disk and minutes to write.
"""

import sys
import tempfile
from pathlib import Path

import ibis

from benchmarks.processes import measure_apart, measure_here, text
from kedro_mlops.contract.validation import ContractValidator

SOURCE = Path("data/02_intermediate/screened_flights.parquet")
CONTRACT = "flight_delays.contracts.RawFlights"
# as conf/base/globals.yml has it
MEMORY_LIMIT = "1GB"


def check(folder: Path) -> None:
    """All rules, and that the key is unique."""
    engine = ibis.duckdb.connect(memory_limit=MEMORY_LIMIT)
    ContractValidator(CONTRACT).validate(engine.read_parquet(folder / "raw.parquet"))


def measure(copies: int) -> None:
    """Print seconds and peak memory of so many rows, and of ten times as many."""
    if not SOURCE.exists():
        raise SystemExit("There is no data yet: `make run` makes it.")
    measured = []
    print()
    for times in (copies, 10 * copies):
        with tempfile.TemporaryDirectory() as scratch:
            n_rows = prepare(Path(scratch), times)
            _, *figures = measure_apart("benchmarks.growth", check.__name__, Path(scratch))
        measured.append(figures)
        print(f"check of {n_rows:13,} rows{text((figures[0], figures[1]))}", flush=True)
    print(f"{'times':27}{measured[1][0] / measured[0][0]:8.1f}")


def prepare(folder: Path, copies: int) -> int:
    """Write the raw flights many times over, each copy with flight numbers of its own."""
    engine = ibis.duckdb.connect(memory_limit=MEMORY_LIMIT)
    engine.raw_sql(
        f"COPY (SELECT * EXCLUDE (copy) REPLACE (flight + 10000 * copy AS flight) "
        f"FROM '{SOURCE}', range({copies}) AS copies(copy)) TO '{folder}/raw.parquet'"
    )
    return int(engine.read_parquet(folder / "raw.parquet").count().execute())


if __name__ == "__main__":
    measure_here(globals()[sys.argv[1]], Path(sys.argv[2]))
