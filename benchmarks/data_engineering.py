"""Measures data engineering, from raw Parquet to model input and feature tables, beside pandas.

Each is a process of its own; seconds are those of the processor. The rows are the raw flights,
many times over. Ours is the whole pipeline as `kedro run` does it; beyond what is done in pandas,
it reads and checks again what it has written, proves that inputs are known before, and publishes.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import ibis
import pandas as pd
import pandera.pandas as pa
import sqlalchemy as sa
import yaml
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project

from flight_delays.contracts import (
    LATE_MINUTES,
    DailyFeatures,
    Observation,
    PlaneFeatures,
    PrimaryFlights,
    RawFlights,
    RawPlanes,
    RawWeather,
)

from benchmarks.processes import measure_apart, measure_here, text
from kedro_mlops.contract.columns import Columns
from kedro_mlops.feature_store.online_store import OnlineStoreDataset, publish

SCREENED = Path("data/02_intermediate")
N_FEATURES = 1_000_000
END, LABEL_DELAY_MINUTES = pd.Timestamp("2013-08-01"), 60


def in_engine(folder: Path) -> None:
    """The pipeline, of which only the source is another one."""
    bootstrap_project(Path.cwd())
    told = {"globals": {"data": str(folder / "data")}}
    session = settings.SESSION_CLASS.create(
        Path.cwd(), conf_source=str(folder / "conf"), runtime_params=told
    )
    with session:
        session.run(pipeline_names=["data_engineering"])


def in_pandas(folder: Path) -> None:
    """The same tables, each in one frame, checked by the same contracts, and written."""
    raw = _valid(pd.read_parquet(folder / "raw.parquet"), RawFlights)
    raw.to_parquet(folder / "screened.parquet")
    weather = _valid(pd.read_parquet(SCREENED / "screened_weather.parquet"), RawWeather)
    planes = _valid(pd.read_parquet(SCREENED / "screened_planes.parquet"), RawPlanes)
    hourly = weather.rename(columns=WEATHER).groupby(["origin", "departure_hour_utc"]).mean()
    flights = _landed(raw).merge(hourly, "left", left_on=list(hourly.index.names), right_index=True)
    flights = PrimaryFlights.validate(flights, lazy=True)
    flights.to_parquet(folder / "primary.parquet")
    for by in ("carrier", "origin", "destination"):
        daily = DailyFeatures.validate(_daily(flights, by), lazy=True)
        daily.to_parquet(folder / f"{by}.parquet")
        rates = daily.rename(columns={"late_rate_7d": f"{by}_late_rate_7d", "entity": by})
        rates = rates.drop(columns="flights_7d")
        flights["day"] = flights["scheduled_departure"].dt.normalize()
        flights = flights.merge(rates, "left", [by, "day"])
    registered = planes.rename(columns={"tailnum": "entity"})
    PlaneFeatures.validate(registered, lazy=True).to_parquet(folder / "plane.parquet")
    registered = registered.add_prefix("plane_")
    flights = flights.merge(registered, "left", left_on="tail_number", right_on="plane_entity")
    flights[Columns.of(Observation).names].to_parquet(folder / "model_input.parquet")


def publish_in_batches(folder: Path) -> None:
    """A feature table into SQLite, as the project does it."""
    table = ibis.duckdb.connect().read_parquet(folder / "features.parquet")
    store = OnlineStoreDataset(credentials={"con": f"sqlite:///{folder}/ours.db"})
    store.save(publish(features=table))


def publish_in_pandas(folder: Path) -> None:
    """The same by ``to_sql``."""
    frame = pd.read_parquet(folder / "features.parquet").set_index(["entity", "day"])
    engine = sa.create_engine(f"sqlite:///{folder}/pandas.db")
    frame.to_sql("features", engine)


WEATHER = {
    "time_hour": "departure_hour_utc", "temp": "temperature_f", "dewp": "dew_point_f",
    "humid": "humidity_pct", "wind_dir": "wind_direction_deg", "wind_speed": "wind_speed_mph",
    "wind_gust": "wind_gust_mph", "precip": "precipitation_in", "pressure": "pressure_mb",
    "visib": "visibility_mi",
}  # fmt: skip
FLIGHTS = {
    "carrier": "carrier", "origin": "origin", "flight": "flight_number", "dest": "destination",
    "distance": "distance_mi", "tailnum": "tail_number", "dep_delay": "departure_delay_min",
    "arr_delay": "arrival_delay_min", "air_time": "air_time_min",
    "time_hour": "departure_hour_utc",
}  # fmt: skip


def _valid(raw: pd.DataFrame, contract: type[pa.DataFrameModel]) -> pd.DataFrame:
    """The rows that keep a contract."""
    try:
        contract.validate(raw, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return raw[~raw.index.isin(errors.failure_cases["index"])]
    return raw


def _landed(raw: pd.DataFrame) -> pd.DataFrame:
    """The flights until the end, with the labels that are known by then."""
    flights = raw[[*FLIGHTS]].rename(columns=FLIGHTS)
    parts = raw[["year", "month", "day", "hour", "minute"]]
    flights["scheduled_departure"] = pd.to_datetime(parts).astype("datetime64[us]")
    flights = flights[flights["scheduled_departure"] < END]
    minutes = flights["departure_delay_min"] + flights["air_time_min"] + LABEL_DELAY_MINUTES
    moment = flights["scheduled_departure"] + pd.to_timedelta(minutes, unit="min").dt.ceil("min")
    known = (moment < END) & flights["arrival_delay_min"].notna()
    late = (flights["arrival_delay_min"] > LATE_MINUTES).astype("boolean")
    return flights.assign(
        label_known_at=moment.where(known).astype("datetime64[us]"), late=late.where(known)
    )


def _daily(flights: pd.DataFrame, by: str) -> pd.DataFrame:
    """The late rate of the week before each day."""
    known = flights.dropna(subset=["late"])
    day = (known["label_known_at"].dt.normalize() + pd.Timedelta(days=1)).rename("day")
    daily = known["late"].astype(int).groupby([known[by], day]).agg(["size", "sum"])
    made = {}
    for entity, part in daily.groupby(level=0):
        counts = part.droplevel(0)
        days = pd.date_range(counts.index.min(), END, unit="us")
        made[entity] = counts.reindex(days, fill_value=0).rolling(7, min_periods=1).sum()
    weeks = pd.concat(made, names=["entity", "day"]).reset_index()
    return pd.DataFrame(
        {
            "entity": weeks["entity"],
            "day": weeks["day"],
            "flights_7d": weeks["size"].astype("int64"),
            "late_rate_7d": (weeks["sum"] / weeks["size"]).where(weeks["size"] > 0),
        }
    )


def measure(copies: int) -> None:
    """Print seconds and peak memory of both."""
    if not (SCREENED / "screened_flights.parquet").exists():
        raise SystemExit("There is no data yet: `make run` makes it.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print(f"{prepare(folder, copies):,} raw rows\n")
        print(f"{'':24}{'processor':>18}{'clock':>12}")
        _compare(folder, {"pipeline": in_engine, "pandas": in_pandas})
        _same(folder)
        print(f"\n{N_FEATURES:,} rows of features into SQLite")
        _compare(folder, {"batches": publish_in_batches, "pandas": publish_in_pandas})


def _compare(folder: Path, functions: dict[str, Callable[[Path], None]]) -> None:
    """Print figures of two, and the share of the first."""
    measured = []
    for name, function in functions.items():
        clock, *figures = measure_apart("benchmarks.data_engineering", function.__name__, folder)
        measured.append(figures)
        print(f"{name:24}{text((figures[0], figures[1]))}{clock:10.1f} s", flush=True)
    shares = [ours / theirs for ours, theirs in zip(*measured, strict=True)]
    print(f"{'share':24}{shares[0]:8.2f}   {shares[1]:5.2f}")


def prepare(folder: Path, copies: int) -> int:
    """Write the raw flights many times over, and the configuration that reads them."""
    connection = ibis.duckdb.connect()
    connection.raw_sql(
        f"COPY (SELECT * EXCLUDE (copy) REPLACE (flight + 10000 * copy AS flight) "
        f"FROM '{SCREENED}/screened_flights.parquet', range({copies}) AS copies(copy)) "
        f"TO '{folder}/raw.parquet'"
    )
    connection.raw_sql(
        f"COPY (SELECT 'E' || i // 10 AS entity, TIMESTAMP '2013-01-01' + to_days((i % 10)::INT) "
        f"AS day, i % 97 AS flights_7d, if(i % 13 = 0, NULL, i % 1000 / 1000) AS late_rate_7d "
        f"FROM range({N_FEATURES}) AS features(i)) TO '{folder}/features.parquet'"
    )
    shutil.copytree("conf", folder / "conf")
    source = {
        "type": "kedro_mlops.contract.tables.TableDataset",
        "file_format": "parquet",
        "connection": "${globals:tables.connection}",
        "filepath": str(folder / "raw.parquet"),
        "load_args": None,
    }
    (folder / "conf/local").mkdir(exist_ok=True)
    (folder / "conf/local/catalog_raw.yml").write_text(yaml.safe_dump({"raw_flights": source}))
    return int(connection.read_parquet(folder / "raw.parquet").count().execute())


def _same(folder: Path) -> None:
    """Refuse figures of two that do not make the same."""
    connection, key = ibis.duckdb.connect(), Columns.of(Observation).keys
    [ours, theirs] = (
        connection.read_parquet(path / "model_input.parquet")
        for path in (folder / "data/05_model_input", folder)
    )
    names = ours.columns
    [[n, differ]] = connection.raw_sql(
        f"SELECT count(*), count(*) FILTER (NOT ({' AND '.join(_equal(name) for name in names)})) "
        f"FROM '{folder}/data/05_model_input/model_input.parquet' ours "
        f"JOIN '{folder}/model_input.parquet' theirs USING ({', '.join(key)})"
    ).fetchall()
    assert n == ours.count().execute() == theirs.count().execute(), "other rows"
    assert not differ, f"{differ} rows differ"


def _equal(name: str) -> str:
    return f"ours.{name} IS NOT DISTINCT FROM theirs.{name}"


if __name__ == "__main__":
    measure_here(globals()[sys.argv[1]], Path(sys.argv[2]))
