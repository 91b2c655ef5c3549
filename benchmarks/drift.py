"""Measures drift and its reference beside a bare scan of the same columns, pandas and Evidently.

Each is a process of its own. Seconds are those of the processor, which what else runs on the
machine changes least.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd

from flight_delays.contracts import Observation

from benchmarks.engines import ROWS_A_COPY, connect, write_rows
from benchmarks.processes import measure_apart, measure_here, text
from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.dated import windows_back
from kedro_mlops.measures.drift_profile import compare, profile
from kedro_mlops.measures.drift_reference import Profile
from kedro_mlops.measures.tally import tally_windows

DATA = Path("data/05_model_input/model_input.parquet")
CONTRACT = Columns.of(Observation)
MOMENT, SCORE = CONTRACT.event_time, "probability"
NUMERIC = [*CONTRACT.features_of_kind("numeric"), SCORE]
CATEGORIES = CONTRACT.features_of_kind("categorical", "boolean")
COLUMNS = [*NUMERIC, *CATEGORIES, MOMENT]
# the rows are of seven months: a training of four and 13 weeks that are watched in four windows
TRAINED_UNTIL, END = pd.Timestamp("2013-05-01"), pd.Timestamp("2013-07-31")
WINDOWS = [END - pd.Timedelta(weeks=weeks) for weeks in (3, 6, 9)]
# more rows take it long
EVIDENTLY, EVIDENTLY_ROWS = "0.7.23", 2_000_000


def scan(folder: Path) -> None:
    """The greatest value of every column."""
    table = _rows(folder, "watched")
    table.aggregate(**{name: table[name].max() for name in COLUMNS}).to_pyarrow()


def reference(folder: Path) -> None:
    """As a training does it: with how much its weeks differ."""
    table = _rows(folder, "watched")
    profile(table, NUMERIC, CATEGORIES, windows_back(table[MOMENT], END, 7))


def reference_in_pandas(folder: Path) -> None:
    """Bins between deciles and categories, counted once."""
    frame = pd.read_parquet(folder / "watched.parquet", columns=COLUMNS)
    for name in NUMERIC:
        edges = frame[name].quantile([i / 10 for i in range(1, 10)]).drop_duplicates().to_list()
        bins = pd.cut(frame[name], [float("-inf"), *edges, float("inf")])
        bins.value_counts(dropna=False)
    for name in CATEGORIES:
        frame[name].value_counts(dropna=False)


def drift(folder: Path) -> None:
    """All features and the score of four windows, against a reference that is there."""
    _drift(folder, "watched")


def drift_of_few(folder: Path) -> None:
    """The same of as many rows as Evidently is given."""
    _drift(folder, "few")


def _drift(folder: Path, name: str) -> None:
    table = _rows(folder, name)
    known = Profile.model_validate_json((folder / "reference.json").read_text())
    newest_first = [(table[MOMENT] >= start, back) for back, start in enumerate(WINDOWS)]
    window = ibis.cases(*newest_first, else_=len(WINDOWS))
    for tally in tally_windows(table, known.grids, CATEGORIES, window).values():
        compare(known, tally)


def _rows(folder: Path, name: str) -> ir.Table:
    return connect().read_parquet(folder / f"{name}.parquet")


def measure(folder: Path, copies: int) -> None:
    """Print seconds and peak memory of each, and how many bare scans that is."""
    n_rows = prepare(folder, copies)
    print(f"\n{n_rows:,} rows, {len(COLUMNS)} columns\n")
    print(f"{'':34}{'processor':>18}{'scans':>8}")
    bare = _apart(scan, folder)
    print(f"{'bare scan':34}{text(bare)}")
    rows: dict[str, Callable[[Path], None]] = {
        "reference profile, weeks apart": reference,
        "the same in pandas, without weeks": reference_in_pandas,
        "drift, 4 windows": drift,
    }
    for name, function in rows.items():
        measured = _apart(function, folder)
        print(f"{name:34}{text(measured)}{measured[0] / bare[0]:7.1f}x")
    ours = _apart(drift_of_few, folder)
    few = f"drift of {min(n_rows, EVIDENTLY_ROWS):,} rows"
    print(f"{few:34}{text(ours)}")
    if shutil.which("uv") is None:
        print("Evidently is not measured: uv, which makes its environment, is not on the PATH.")
        return
    theirs = _in_evidently(folder)
    few = f"the same in Evidently {EVIDENTLY}"
    print(f"{few:34}{text(theirs)}{theirs[0] / ours[0]:7.0f} times")


def prepare(folder: Path, copies: int) -> int:
    """Write the rows that are watched many times over, with a score, and the reference."""
    connection = connect()
    connection.raw_sql("SELECT setseed(0.5)")
    columns = ", ".join([*NUMERIC[:-1], *CATEGORIES, MOMENT])
    later = f"{MOMENT} >= TIMESTAMP '{TRAINED_UNTIL}' AND {MOMENT} < TIMESTAMP '{END}'"
    scored = f"SELECT {columns}, random() AS {SCORE} FROM '{DATA}'"
    n_rows = copies * ROWS_A_COPY
    for name, n in (("watched", n_rows), ("few", min(n_rows, EVIDENTLY_ROWS))):
        query = f"{scored}, {{copies}} WHERE {later}"
        write_rows(connection, query, n, folder / f"{name}.parquet")
    known = f"{folder}/known.parquet"
    connection.raw_sql(f"COPY ({scored} WHERE {MOMENT} < '{TRAINED_UNTIL}') TO '{known}'")
    table = connection.read_parquet(known)
    found = profile(table, NUMERIC, CATEGORIES, windows_back(table[MOMENT], TRAINED_UNTIL, 7))
    (folder / "reference.json").write_text(found.model_dump_json())
    return n_rows


def _in_evidently(folder: Path) -> tuple[float, float]:
    """In an environment of its own: it does not install beside the locked pandas."""
    told = {"moment": MOMENT, "windows": [str(start) for start in WINDOWS],
            "numeric": NUMERIC, "categories": CATEGORIES}  # fmt: skip
    packages = (f"evidently=={EVIDENTLY}", "pandas<3", "pyarrow")
    command = ["uv", "run", "--no-project", "--quiet", "--python", "3.11"]
    command += [part for package in packages for part in ("--with", package)]
    command += ["python", "benchmarks/drift_in_evidently.py", str(folder), json.dumps(told)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds, gigabytes = done.stdout.split()[-2:]
    return float(seconds), float(gigabytes)


def _apart(function: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    _, processor, gigabytes = measure_apart("benchmarks.drift", function.__name__, folder)
    return processor, gigabytes


if __name__ == "__main__":
    measure_here(globals()[sys.argv[1]], Path(sys.argv[2]))
