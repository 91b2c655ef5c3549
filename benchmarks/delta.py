"""Measures Delta tables beside Parquet: the raw flights, many times over, written, and checked.

Each is a process of its own. One table has its rows where they are; one has partitions, and is
brought together before.
"""

import sys
import tempfile
from pathlib import Path

import ibis.expr.types as ir

from benchmarks import data_engineering
from benchmarks.engines import connection
from benchmarks.processes import measure_apart, measure_here, text
from kedro_mlops.contract.delta_tables import DeltaTableDataset
from kedro_mlops.contract.tables import TableDataset
from kedro_mlops.contract.validation import ContractValidator

CONTRACT = "flight_delays.contracts.RawFlights"


def write_delta(folder: Path) -> None:
    _delta(folder, "delta").save(_rows(folder, "raw.parquet"))


def write_partitions(folder: Path) -> None:
    save_args = {"partition_by": ["month"]}
    _delta(folder, "partitions", save_args=save_args).save(_rows(folder, "raw.parquet"))


def write_parquet(folder: Path) -> None:
    file = str(folder / "written.parquet")
    save_args = {"use_tmp_file": True}
    TableDataset(filepath=file, connection=connection(), save_args=save_args).save(
        _rows(folder, "raw.parquet")
    )


def check_delta(folder: Path) -> None:
    ContractValidator(CONTRACT).validate(_delta(folder, "delta").load())


def check_partitions(folder: Path) -> None:
    ContractValidator(CONTRACT).validate(_delta(folder, "partitions").load())


def check_parquet(folder: Path) -> None:
    ContractValidator(CONTRACT).validate(_rows(folder, "written.parquet"))


def _delta(folder: Path, name: str, **args: object) -> DeltaTableDataset:
    return DeltaTableDataset(filepath=str(folder / name), connection=connection(), **args)


def _rows(folder: Path, name: str) -> ir.Table:
    return TableDataset(filepath=str(folder / name), connection=connection()).load()


def measure(copies: int) -> None:
    """Print seconds and peak memory of each."""
    if not (data_engineering.SCREENED / "screened_flights.parquet").exists():
        raise SystemExit("There is no data yet: `make run` makes it.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        n_rows = data_engineering.prepare(folder, copies)
        print(f"{n_rows:,} raw rows\n")
        for function in (
            write_parquet, write_delta, write_partitions,
            check_parquet, check_delta, check_partitions,
        ):  # fmt: skip
            _, *figures = measure_apart("benchmarks.delta", function.__name__, folder)
            print(f"{function.__name__:24}{text((figures[0], figures[1]))}", flush=True)
        counted = {_delta(folder, name).stats()["rows"] for name in ("delta", "partitions")}
        assert counted == {n_rows}, "other rows"


if __name__ == "__main__":
    measure_here(globals()[sys.argv[1]], Path(sys.argv[2]))
