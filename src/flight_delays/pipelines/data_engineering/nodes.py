"""From raw flights, weather and planes to what the model learns from."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _
from pydantic import Field

from flight_delays.contracts import (
    LATE_MINUTES,
    Inputs,
    Observation,
    PrimaryFlights,
    RawFlights,
    RawPlanes,
    RawWeather,
)

from kedro_mlops.contract.availability import prove_availability
from kedro_mlops.contract.columns import ENTITY, Columns
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.contract.sample import about
from kedro_mlops.contract.screening_account import TableAccount
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.time_params import AsOf, Horizon, Parameters
from kedro_mlops.feature_store.point_in_time import look_up, trailing_means

WINDOW_DAYS = 7
# the feature tables with a row a day, and the column whose values are their entities
DAILY_FEATURES = {
    "carrier_features": "carrier",
    "origin_features": "origin",
    "destination_features": "destination",
}
INPUTS = Columns.of(Inputs)
# Spark forgets of what it reads that it has a zone
UTC = "timestamp('UTC')"
# of two weeks: what no input may know, a part of them shows as well as all
PROVING_FLIGHTS = 500_000

Screened = tuple[ir.Table, ir.Table, TableAccount]


class DataEngineering(Parameters):
    """Parameters of the data engineering pipeline."""

    label_delay_hours: float = Field(
        ge=0, le=8784, description="Hours from landing until the arrival delay is known"
    )
    history_days: int | None = Field(
        gt=0, le=36_525, description="Days before as-of to use; null: all"
    )


def screen_flights(raw: pd.DataFrame) -> Screened:
    """Part the flights that keep the raw contract, and make what keeps its own, from the others."""
    return screen(raw, RawFlights, derive_flight, PrimaryFlights)


def screen_weather(raw: pd.DataFrame) -> Screened:
    """Part the hours of weather that keep the raw contract from those that break it."""
    return screen(raw, RawWeather)


def screen_planes(raw: pd.DataFrame) -> Screened:
    """Part the planes that keep the raw contract from those that break it."""
    return screen(raw, RawPlanes)


def land_flights(raw: ir.Table, as_of: AsOf, horizon: Horizon, params: DataEngineering) -> ir.Table:
    """Name the columns, and keep the flights scheduled until the end of the horizon."""
    _check_as_of(raw, as_of)
    raw = raw.filter(_day(raw) < ibis.literal(as_of.after(horizon.days).date()))
    if params.history_days is not None:
        raw = raw.filter(_day(raw) >= ibis.literal(as_of.before(params.history_days).date()))
    return raw.select(**derive_flight(raw), departure_hour_utc=raw.time_hour.cast(UTC))


def derive_flight(raw: Mapping[str, ir.Value]) -> dict[str, ir.Value]:
    """What a raw flight says, under the names of the project."""
    return {
        "carrier": raw["carrier"],
        "origin": raw["origin"],
        "scheduled_departure": _scheduled_departure(raw),
        "flight_number": raw["flight"],
        "destination": raw["dest"],
        "distance_mi": raw["distance"],
        "tail_number": raw["tailnum"],
        "departure_delay_min": raw["dep_delay"],
        "arrival_delay_min": raw["arr_delay"],
        "air_time_min": raw["air_time"],
    }


def _scheduled_departure(raw: Mapping[str, ir.Value]) -> ir.TimestampValue:
    return _day(raw).cast("timestamp") + (raw["hour"] * 60 + raw["minute"]).as_interval("m")


def _day(raw: Mapping[str, ir.Value]) -> ir.DateValue:
    return ibis.date(raw["year"], raw["month"], raw["day"])


def _check_as_of(raw: ir.Table, as_of: AsOf) -> None:
    days = raw.aggregate(first=_day(raw).min(), last=_day(raw).max())
    [found] = days.to_pyarrow().to_pylist()
    next_day = found["last"] + pd.Timedelta(days=1)
    if not found["first"] < as_of.root <= next_day:
        raise ProjectError(
            f"as_of={as_of} is outside the flights, which are of {found['first']} to "
            f"{found['last']}. Choose a day after {found['first']} and not after {next_day}, "
            f"e.g. `kedro run --params as_of={found['last']}`."
        )


def land_weather(raw: ir.Table) -> ir.Table:
    """Name the columns; one row per airport and hour."""
    hourly = raw.group_by("origin", departure_hour_utc=_.time_hour.cast(UTC))
    return hourly.aggregate(
        temperature_f=_.temp.mean(),
        dew_point_f=_.dewp.mean(),
        humidity_pct=_.humid.mean(),
        wind_direction_deg=_.wind_dir.mean(),
        wind_speed_mph=_.wind_speed.mean(),
        wind_gust_mph=_.wind_gust.mean(),
        precipitation_in=_.precip.mean(),
        pressure_mb=_.pressure.mean(),
        visibility_mi=_.visib.mean(),
    )


def land_planes(raw: ir.Table) -> ir.Table:
    """Name the columns of the register of planes; it is a feature table as it is."""
    return raw.rename({ENTITY: "tailnum"})


def join_flights(
    flights: ir.Table, weather: ir.Table, as_of: AsOf, horizon: Horizon, params: DataEngineering
) -> ir.Table:
    """Join the weather at departure, and label what is known at the end of the horizon.

    A flight lands ``air_time`` after it took off, and its delay is known ``label_delay_hours``
    later. Cancelled and diverted flights have neither label nor moment.
    """
    now = ibis.literal(as_of.after(horizon.days))
    minutes = _.departure_delay_min + _.air_time_min + params.label_delay_hours * 60
    labelled = flights.mutate(
        label_known_at=_.scheduled_departure + minutes.ceil().cast("int64").as_interval("m"),
        late=_.arrival_delay_min > LATE_MINUTES,
    ).mutate(known=(_.label_known_at < now) & _.late.notnull())
    labelled = labelled.mutate(
        label_known_at=_.known.ifelse(_.label_known_at, ibis.null("timestamp")),
        late=_.known.ifelse(_.late, ibis.null("boolean")),
    ).drop("known")
    return labelled.left_join(weather, ["origin", "departure_hour_utc"]).drop(
        "origin_right", "departure_hour_utc_right"
    )


def build_feature_tables(flights: ir.Table, as_of: AsOf, horizon: Horizon) -> dict[str, ir.Table]:
    """The daily features of each kind of entity."""
    last_day = as_of.after(horizon.days)
    return {table: daily_features(flights, by, last_day) for table, by in DAILY_FEATURES.items()}


def daily_features(flights: ir.Table, by: str, last_day: pd.Timestamp) -> ir.Table:
    """Late rate and number of flights per entity and day, over the 7 days before.

    A flight counts from the first day that begins after its delay is known, so that the row of a
    day holds nothing that was not known when the day began. An entity has a row for every day from
    its first known flight on.

    Args:
        flights: Labelled flights.
        by: The column whose values are the entities.
        last_day: The last day that gets rows.
    """
    rates = trailing_means(flights, by, "late", "label_known_at", last_day, WINDOW_DAYS)
    return rates.rename(flights_7d="n_rows", late_rate_7d="mean")


def assemble_model_input(
    flights: ir.Table, planes: ir.Table, **daily_features: ir.Table
) -> ir.Table:
    """Join every flight with the features of its day, and keep what the contract declares."""
    table = look_up(flights, INPUTS, {"plane_features": planes, **daily_features})
    return table.select(Columns.of(Observation).names)


def check_availability(
    raw: ir.Table, weather: ir.Table, planes: ir.Table, as_of: AsOf, params: DataEngineering
) -> dict[str, Any]:
    """Prove, by the flights of one day, that no input depends on what is known only afterwards."""
    day = _newest_day(raw, as_of)
    first, last = day.before(2 * WINDOW_DAYS), day.after(1)
    # the engine skips the parts of a file that are of other months
    days = pd.date_range(first, last)
    near = raw.year.isin({*days.year.tolist()}) & raw.month.isin({*days.month.tolist()})
    recent = raw.filter(near & (_day(raw) >= first.date()) & (_day(raw) < last.date()))
    recent = about(recent, [*Columns.of(RawFlights).unique], PROVING_FLIGHTS).cache()
    later = _scheduled_departure(recent) >= ibis.literal(day.moment)
    build = partial(_inputs_of_day, weather=weather, planes=planes, day=day, params=params)
    hidden = Columns.of(RawFlights).hindsight
    return {"day": str(day), **prove_availability(recent, hidden, later, INPUTS, build)}


def _newest_day(raw: ir.Table, as_of: AsOf) -> AsOf:
    """The as-of day; or the last one before it that has flights."""
    newest = raw.filter(_day(raw) <= ibis.literal(as_of.root)).select(day=_day(raw)).day.max()
    return AsOf(newest.to_pyarrow().as_py())


def _inputs_of_day(
    raw: ir.Table, weather: ir.Table, planes: ir.Table, day: AsOf, params: DataEngineering
) -> pd.DataFrame:
    until = Horizon(days=1)
    flights = join_flights(land_flights(raw, day, until, params), weather, day, until, params)
    flights = flights.cache()
    inputs = assemble_model_input(flights, planes, **build_feature_tables(flights, day, until))
    due = inputs.filter(inputs[INPUTS.event_time] >= ibis.literal(day.moment))
    rows: pd.DataFrame = due.select(INPUTS.names).to_pandas()
    return rows


def count_flights(flights: ir.Table) -> dict[str, int]:
    """Account for every flight: labelled, cancelled, diverted, or not yet known."""
    cancelled = _.departure_delay_min.isnull()
    diverted = ~cancelled & _.arrival_delay_min.isnull()
    labelled = _.late.notnull()
    counts = flights.aggregate(
        flights=_.count(),
        late=_.late.sum(),
        on_time=(labelled & ~_.late).sum(),
        cancelled=cancelled.sum(),
        diverted=diverted.sum(),
        not_yet_known=(~cancelled & ~diverted & ~labelled).sum(),
    )
    [row] = counts.to_pyarrow().to_pylist()
    return {name: int(value or 0) for name, value in row.items()}
