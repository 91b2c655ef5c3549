"""What the pipeline ``data_engineering`` does, in pandas, each table in one frame.

Raw rows are checked by the same contracts and set aside with their reasons, every layer is written,
features are published, flights accounted for, and that no input knows the future is proved.
"""

import json
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import sqlalchemy as sa

from flight_delays.contracts import (
    LATE_MINUTES,
    DailyFeatures,
    Inputs,
    Observation,
    PlaneFeatures,
    PrimaryFlights,
    RawFlights,
    RawPlanes,
    RawWeather,
)

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.table_diff import differences

SCREENED = Path("data/02_intermediate")
LABEL_DELAY_MINUTES = 60
AS_OF, END = pd.Timestamp("2013-07-01"), pd.Timestamp("2013-08-01")
ENTITIES = ("carrier", "origin", "destination")
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


def engineer(folder: Path) -> None:
    """From raw rows to model input and feature tables."""
    raw = _screened(folder / "raw.parquet", RawFlights, folder)
    weather = _screened(SCREENED / "screened_weather.parquet", RawWeather, folder)
    planes = _screened(SCREENED / "screened_planes.parquet", RawPlanes, folder)
    hourly = weather.rename(columns=WEATHER).groupby(["origin", "departure_hour_utc"]).mean()
    flights = PrimaryFlights.validate(_joined(raw, hourly, END), lazy=True)
    flights.to_parquet(folder / "primary.parquet")
    _count(flights, folder)
    tables = {by: DailyFeatures.validate(_daily(flights, by, END), lazy=True) for by in ENTITIES}
    tables["plane"] = PlaneFeatures.validate(
        planes.rename(columns={"tailnum": "entity"}), lazy=True
    )
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")
    _looked_up(flights, tables)[Columns.of(Observation).names].to_parquet(
        folder / "model_input.parquet"
    )
    del flights
    _prove(raw, hourly, tables["plane"])
    _publish(tables, folder)


def _screened(path: Path, contract: type[pa.DataFrameModel], folder: Path) -> pd.DataFrame:
    """The rows that keep a contract; the others are written with their reasons."""
    raw = pd.read_parquet(path)
    reasons = pd.DataFrame(columns=["column", "check", "failure_case", "index"])
    try:
        contract.validate(raw, lazy=True)
    except pa.errors.SchemaErrors as errors:
        reasons = errors.failure_cases.astype({"failure_case": "str"})
    bad = raw.index.isin(reasons["index"])
    reasons.merge(raw[bad], left_on="index", right_index=True).to_parquet(
        folder / f"{contract.__name__}_quarantine.parquet"
    )
    valid = raw[~bad] if bad.any() else raw
    valid.to_parquet(folder / f"{contract.__name__}.parquet")
    return valid


def _joined(raw: pd.DataFrame, hourly: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
    """The flights until the end, with their weather, and the labels that are known by then."""
    flights = raw[[*FLIGHTS]].rename(columns=FLIGHTS)
    flights["scheduled_departure"] = _departure(raw)
    flights = flights[flights["scheduled_departure"] < end]
    minutes = flights["departure_delay_min"] + flights["air_time_min"] + LABEL_DELAY_MINUTES
    moment = flights["scheduled_departure"] + pd.to_timedelta(minutes, unit="min").dt.ceil("min")
    known = (moment < end) & flights["arrival_delay_min"].notna()
    late = (flights["arrival_delay_min"] > LATE_MINUTES).astype("boolean")
    flights = flights.assign(
        label_known_at=moment.where(known).astype("datetime64[us]"), late=late.where(known)
    )
    return flights.merge(hourly, "left", left_on=list(hourly.index.names), right_index=True)


def _departure(raw: pd.DataFrame) -> pd.Series:
    parts = raw[["year", "month", "day", "hour", "minute"]]
    return pd.to_datetime(parts).astype("datetime64[us]")


def _daily(flights: pd.DataFrame, by: str, end: pd.Timestamp) -> pd.DataFrame:
    """The late rate of the week before each day."""
    known = flights.dropna(subset=["late"])
    day = (known["label_known_at"].dt.normalize() + pd.Timedelta(days=1)).rename("day")
    daily = known["late"].astype(int).groupby([known[by], day]).agg(["size", "sum"])
    made = {}
    for entity, part in daily.groupby(level=0):
        counts = part.droplevel(0)
        days = pd.date_range(counts.index.min(), end, unit="us")
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


def _looked_up(flights: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Each flight with the features of its day."""
    flights["day"] = flights["scheduled_departure"].dt.normalize()
    for by in ENTITIES:
        rates = tables[by].rename(columns={"late_rate_7d": f"{by}_late_rate_7d", "entity": by})
        flights = flights.merge(rates.drop(columns="flights_7d"), "left", [by, "day"])
    planes = tables["plane"].add_prefix("plane_")
    return flights.merge(planes, "left", left_on="tail_number", right_on="plane_entity")


def _count(flights: pd.DataFrame, folder: Path) -> None:
    """What became of the flights."""
    cancelled = flights["departure_delay_min"].isna()
    diverted = ~cancelled & flights["arrival_delay_min"].isna()
    labelled = flights["late"].notna()
    counts = {
        "flights": len(flights),
        "late": int(flights["late"].sum()),
        "on_time": int((labelled & ~flights["late"].fillna(True)).sum()),
        "cancelled": int(cancelled.sum()),
        "diverted": int(diverted.sum()),
        "not_yet_known": int((~cancelled & ~diverted & ~labelled).sum()),
    }
    (folder / "flight_counts.json").write_text(json.dumps(counts))


def _prove(raw: pd.DataFrame, hourly: pd.DataFrame, planes: pd.DataFrame) -> None:
    """Prove by the flights of one day that no input depends on what is known afterwards."""
    near = raw[(raw["year"] == AS_OF.year) & raw["month"].isin([AS_OF.month - 1, AS_OF.month])]
    departs, tomorrow = _departure(near), AS_OF + pd.Timedelta(days=1)
    recent = near[(departs >= AS_OF - pd.Timedelta(days=14)) & (departs < tomorrow)]
    blind = recent.copy()
    blind.loc[_departure(recent) >= AS_OF, Columns.of(RawFlights).hindsight] = float("nan")
    made = []
    for told in (recent, blind):
        flights = _joined(told, hourly, tomorrow)
        tables = {by: _daily(flights, by, tomorrow) for by in ENTITIES}
        inputs = _looked_up(flights, {**tables, "plane": planes})
        made.append(inputs.loc[inputs["scheduled_departure"] >= AS_OF, Columns.of(Inputs).names])
    names = Columns.of(Inputs)
    assert not differences(*made, names.keys, names.names).any(axis=None), "inputs know the future"


def _publish(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """The feature tables into SQLite."""
    engine = sa.create_engine(f"sqlite:///{folder}/online.db")
    with engine.begin() as connection:
        for name, table in tables.items():
            keys = [key for key in ("entity", "day") if key in table]
            table.set_index(keys).to_sql(name, connection, if_exists="replace")
