"""What the data is: the file an owner edits first.

Each table is declared once, as a Pandera model. The catalog validates against it, and quarantine,
the model's preprocessing, the service's API, the prediction log, monitoring and the data dictionary
are built from it. Classes inherit from each other where tables share columns.
"""

from typing import Annotated

import pandas as pd

from kedro_mlops.contract.columns import Contract, Lookup, column, real_moment
from kedro_mlops.prediction_log.contract import PredictionColumns

Timestamp = Annotated[pd.DatetimeTZDtype, "us", "UTC"]

CARRIERS = [
    "9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV",
]  # fmt: skip
ORIGINS = ["EWR", "JFK", "LGA"]
AIRPORT = r"[A-Z]{3}$"
LATE_MINUTES = 15
# in minutes
A_DAY, A_WEEK = 1_440, 10_080
MAX_MILES = 10_000


class RawFlights(Contract):
    """Departures from New York as the source gives them; times are local."""

    departs = real_moment("year", "month", "day", "hour", "minute")

    year: int = column("Year of departure", known_ahead=True, ge=2000, le=2100)
    month: int = column("Month of departure", known_ahead=True, ge=1, le=12)
    day: int = column("Day of departure", known_ahead=True, ge=1, le=31)
    hour: int = column("Scheduled hour of departure", known_ahead=True, ge=0, le=23)
    minute: int = column("Scheduled minute of departure", known_ahead=True, ge=0, le=59)
    dep_delay: float = column(
        "Departure delay in minutes; missing if cancelled", ge=-A_DAY, le=A_WEEK, nullable=True
    )
    arr_delay: float = column(
        "Arrival delay in minutes; missing if cancelled or diverted",
        ge=-A_DAY,
        le=A_WEEK,
        nullable=True,
    )
    air_time: float = column("Minutes in the air", ge=0, le=A_DAY, nullable=True)
    carrier: str = column("Two-character carrier code", known_ahead=True, isin=CARRIERS)
    flight: int = column("Flight number", known_ahead=True, ge=1)
    tailnum: str = column("Tail number of the plane", known_ahead=True, nullable=True)
    origin: str = column("Airport of departure", known_ahead=True, isin=ORIGINS)
    dest: str = column("Airport of arrival", known_ahead=True, str_matches=AIRPORT)
    distance: float = column("Miles between the airports", known_ahead=True, gt=0, le=MAX_MILES)
    time_hour: Timestamp = column("Scheduled hour of departure, UTC", known_ahead=True)

    class Config:
        unique = ["year", "month", "day", "carrier", "flight", "origin"]


class RawWeather(Contract):
    """Hourly observations at the airports of departure."""

    origin: str = column("Airport", isin=ORIGINS)
    time_hour: Timestamp = column("Hour of the observation, UTC")
    temp: float = column("Temperature, °F", ge=-60, le=140, nullable=True)
    dewp: float = column("Dew point, °F", ge=-60, le=140, nullable=True)
    humid: float = column("Relative humidity, %", ge=0, le=100, nullable=True)
    wind_dir: float = column("Wind direction, degrees", ge=0, le=360, nullable=True)
    wind_speed: float = column("Wind speed, mph", ge=0, le=200, nullable=True)
    wind_gust: float = column("Wind gust, mph", ge=0, le=250, nullable=True)
    precip: float = column("Precipitation, inches", ge=0, le=20, nullable=True)
    pressure: float = column("Sea level pressure, millibars", ge=800, le=1100, nullable=True)
    visib: float = column("Visibility, miles", ge=0, le=100, nullable=True)


class RawPlanes(Contract):
    """The register of planes."""

    tailnum: str = column("Tail number")
    year: float = column("Year of manufacture", ge=1900, le=2100, nullable=True)
    seats: float = column("Number of seats", ge=0, nullable=True)

    class Config:
        unique = ["tailnum"]


class Flight(Contract):
    """What is known of a flight, and of the weather, when it is about to depart."""

    carrier: str = column(
        "Two-character carrier code",
        key=True,
        feature=True,
        segment=True,
        isin=CARRIERS,
        example="UA",
    )
    flight_number: int = column("Flight number", key=True, ge=1, example=1545)
    origin: str = column(
        "Airport of departure",
        key=True,
        feature=True,
        segment=True,
        isin=ORIGINS,
        example="EWR",
    )
    scheduled_departure: pd.Timestamp = column(
        "Scheduled departure, local time",
        key=True,
        event_time=True,
        feature=True,
        example="2013-07-15T17:30:00",
    )
    destination: str = column(
        "Airport of arrival", feature=True, str_matches=AIRPORT, example="IAH"
    )
    distance_mi: float = column(
        "Miles between the airports", feature=True, gt=0, le=MAX_MILES, example=1400
    )
    tail_number: str = column("Tail number of the plane", nullable=True, example="N14228")
    temperature_f: float = column(
        "Temperature at departure, °F", feature=True, ge=-60, le=140, nullable=True, example=88.0
    )
    dew_point_f: float = column(
        "Dew point, °F", feature=True, ge=-60, le=140, nullable=True, example=71.1
    )
    humidity_pct: float = column(
        "Relative humidity, %", feature=True, ge=0, le=100, nullable=True, example=57.3
    )
    wind_direction_deg: float = column(
        "Wind direction, degrees", feature=True, ge=0, le=360, nullable=True, example=230
    )
    wind_speed_mph: float = column(
        "Wind speed, mph", feature=True, ge=0, le=200, nullable=True, example=12.7
    )
    wind_gust_mph: float = column(
        "Wind gust, mph; missing if there is none",
        feature=True,
        ge=0,
        le=250,
        nullable=True,
        example=None,
    )
    precipitation_in: float = column(
        "Precipitation in the hour, inches", feature=True, ge=0, le=20, nullable=True, example=0.1
    )
    pressure_mb: float = column(
        "Sea level pressure, millibars",
        feature=True,
        ge=800,
        le=1100,
        nullable=True,
        example=1011.2,
    )
    visibility_mi: float = column(
        "Visibility, miles", feature=True, ge=0, le=100, nullable=True, example=10
    )

    class Config:
        unique = ["carrier", "flight_number", "origin", "scheduled_departure"]


class Outcome(Contract):
    """What really happened, once it is known."""

    late: pd.BooleanDtype = column(
        f"Whether the flight arrived more than {LATE_MINUTES} minutes late; missing if cancelled, "
        "diverted or not yet known",
        label="binary",
        nullable=True,
    )
    label_known_at: pd.Timestamp = column(
        "Moment from which the label is known", label_time=True, nullable=True
    )


class PrimaryFlights(Outcome, Flight):
    """Flights with the weather at departure, and what became of them."""

    departure_delay_min: float = column("Departure delay in minutes", nullable=True)
    arrival_delay_min: float = column("Arrival delay in minutes", nullable=True)
    air_time_min: float = column("Minutes in the air", ge=0, nullable=True)


class DailyFeatures(Contract):
    """Aggregates of one entity on one day, from what was known when the day began."""

    entity: str = column("Carrier or airport")
    day: pd.Timestamp = column("Day on which the values may be used")
    flights_7d: int = column("Flights whose arrival became known in the 7 days before", ge=0)
    late_rate_7d: float = column("Share of them that were late", ge=0, le=1, nullable=True)

    class Config:
        unique = ["entity", "day"]


class PlaneFeatures(Contract):
    """What is known of a plane."""

    entity: str = column("Tail number")
    year: float = column("Year of manufacture", nullable=True)
    seats: float = column("Number of seats", nullable=True)

    class Config:
        unique = ["entity"]


class Inputs(Flight):
    """What is known of a flight when its delay is predicted."""

    carrier_late_rate_7d: float = column(
        "Late rate of the carrier in the 7 days before",
        feature=True,
        ge=0,
        le=1,
        nullable=True,
        lookup=Lookup("carrier_features", by="carrier", column="late_rate_7d"),
    )
    origin_late_rate_7d: float = column(
        "Late rate of the airport of departure in the 7 days before",
        feature=True,
        ge=0,
        le=1,
        nullable=True,
        lookup=Lookup("origin_features", by="origin", column="late_rate_7d"),
    )
    destination_late_rate_7d: float = column(
        "Late rate of the airport of arrival in the 7 days before",
        feature=True,
        ge=0,
        le=1,
        nullable=True,
        lookup=Lookup("destination_features", by="destination", column="late_rate_7d"),
    )
    plane_year: float = column(
        "Year the plane was built",
        feature=True,
        nullable=True,
        lookup=Lookup("plane_features", by="tail_number", column="year", daily=False),
    )
    plane_seats: float = column(
        "Seats of the plane",
        feature=True,
        ge=0,
        nullable=True,
        lookup=Lookup("plane_features", by="tail_number", column="seats", daily=False),
    )


class Observation(Outcome, Inputs):
    """One row to learn from: the inputs, and what really happened once it is known."""


class Prediction(PredictionColumns, Inputs, of=Outcome):
    """One row of the prediction log; personal data is left out of it."""

    class Config:
        unique = ["prediction_id"]
