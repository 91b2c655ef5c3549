"""Measures what the project does set by set, beside pandas and the least that must be done.

That is a bare scan of the columns with the aggregate of the key, or writing the rows unseen. Each
is a process of its own; seconds are those of the processor.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import ibis
import pandas as pd
import pandera.pandas as pa

from flight_delays.contracts import Observation, RawFlights
from flight_delays.pipelines.data_engineering.nodes import daily_features

from benchmarks import drift
from benchmarks.engines import connect
from benchmarks.processes import measure_apart, measure_here, text
from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.contract.repeated import repeated_keys
from kedro_mlops.contract.validation import ContractValidator

DATA = Path("data")
CONTRACT = "flight_delays.contracts.Observation"
Benchmark = Callable[[Path], None]
LAST_DAY = pd.Timestamp("2013-08-01")


def validate_in_engine(folder: Path) -> None:
    ContractValidator(CONTRACT).validate(connect().read_parquet(folder / "rows.parquet"))


def validate_in_pandas(folder: Path) -> None:
    frame = pd.read_parquet(folder / "rows.parquet")
    schema = Observation.to_schema()
    schema.coerce = True
    schema.validate(frame, lazy=True)


def quarantine_in_engine(folder: Path) -> None:
    raw = connect().read_parquet(folder / "raw.parquet")
    valid, quarantined, _ = screen(raw, RawFlights)
    valid.to_parquet(folder / "valid.parquet")
    quarantined.to_parquet(folder / "quarantined.parquet")


def quarantine_in_pandas(folder: Path) -> None:
    raw = pd.read_parquet(folder / "raw.parquet")
    try:
        RawFlights.validate(raw, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        bad = raw.index.isin(cases["index"])
        raw[~bad].to_parquet(folder / "valid.parquet")
        cases.astype({"failure_case": "str"}).merge(
            raw, left_on="index", right_index=True
        ).to_parquet(folder / "quarantined.parquet")


def features_in_engine(folder: Path) -> None:
    connection = ibis.duckdb.connect()
    table = daily_features(
        connection.read_parquet(folder / "flights.parquet"), "destination", LAST_DAY
    )
    connection.create_table("features", table)


def features_in_pandas(folder: Path) -> None:
    known = pd.read_parquet(folder / "flights.parquet").dropna(subset=["late"])
    known["day"] = known["label_known_at"].dt.normalize() + pd.Timedelta(days=1)
    known["late"] = known["late"].astype(int)
    daily = known.groupby(["destination", "day"])["late"].agg(["size", "sum"])
    for _, part in daily.groupby(level=0):
        days = part.droplevel(0).reindex(pd.date_range("2013-01-02", LAST_DAY), fill_value=0)
        days.rolling(7, min_periods=1).sum()


def scan(folder: Path) -> None:
    """The greatest value of every column, and the rows that a key has more than one of."""
    table = ibis.duckdb.connect().read_parquet(folder / "rows.parquet")
    columns = Columns.of(Observation)
    table.aggregate(**{name: table[name].max() for name in columns.names}).to_pyarrow()
    repeated_keys(table, columns.unique)


def write_unseen(folder: Path) -> None:
    """The raw rows, whatever they are."""
    raw = connect().read_parquet(folder / "raw.parquet")
    raw.to_parquet(folder / "unseen.parquet")


# ours, the same in pandas, and the least that any engine has to do
COMPARED: dict[str, tuple[Benchmark, Benchmark, Benchmark | None]] = {
    "validate the contract": (validate_in_engine, validate_in_pandas, scan),
    "quarantine, 1/3 bad": (quarantine_in_engine, quarantine_in_pandas, write_unseen),
    "daily feature table": (features_in_engine, features_in_pandas, None),
}


def measure(copies: int) -> None:
    """Print seconds and peak memory of all, on the real rows many times over."""
    if not (DATA / "05_model_input/model_input.parquet").exists():
        raise SystemExit("There is no data yet: `make run` makes it.")
    with tempfile.TemporaryDirectory() as folder:
        n_rows = repeat_data(Path(folder), copies)
        print(f"{n_rows:,} rows\n")
        print(f"{'':24}{'engine':>18}{'pandas':>18}{'ratio':>8}{'bare':>18}{'times':>8}")
        for name, (ours, in_pandas, bare) in COMPARED.items():
            engine, pandas = _apart(ours, Path(folder)), _apart(in_pandas, Path(folder))
            said = f"{name:24}{text(engine)}{text(pandas)}{pandas[0] / engine[0]:7.1f}x"
            if bare:
                least = _apart(bare, Path(folder))
                said += f"{text(least)}{engine[0] / least[0]:7.1f}x"
            print(said, flush=True)
        drift.measure(Path(folder), copies)


def _apart(function: Benchmark, folder: Path) -> tuple[float, float]:
    _, seconds, gigabytes = measure_apart("benchmarks.engine", function.__name__, folder)
    return seconds, gigabytes


def repeat_data(folder: Path, copies: int) -> int:
    """Write the real rows many times over, each copy with flight numbers of its own."""
    connection = ibis.duckdb.connect()
    for name, source in (("rows", "05_model_input/model_input"), ("flights", "03_primary/flights")):
        connection.raw_sql(
            f"COPY (SELECT * REPLACE (flight_number + 10000 * copy AS flight_number), copy "
            f"FROM '{DATA / source}.parquet', range({copies}) AS copies(copy)) "
            f"TO '{folder / name}.parquet'"
        )
    repeat_bad_rows(folder, copies)
    return int(connection.read_parquet(folder / "rows.parquet").count().execute())


def repeat_bad_rows(folder: Path, copies: int) -> int:
    """Write the raw rows many times over, a third of them with a distance that no flight has."""
    connection = connect()
    connection.raw_sql(
        f"COPY (SELECT * REPLACE (flight + 10000 * copy AS flight, "
        f"if(flight % 3 = 0, -distance, distance) AS distance) "
        f"FROM '{DATA}/02_intermediate/screened_flights.parquet', range({copies}) AS copies(copy)) "
        f"TO '{folder}/raw.parquet'"
    )
    return int(connection.read_parquet(folder / "raw.parquet").count().to_pyarrow().as_py())


if __name__ == "__main__":
    measure_here(globals()[sys.argv[1]], Path(sys.argv[2]))
