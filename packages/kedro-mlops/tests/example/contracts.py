"""What the example's data is: parcels, and whether they came late."""

import pandas as pd

from kedro_mlops.contract.columns import Contract, Lookup, column
from kedro_mlops.prediction_log.contract import PredictionColumns

COURIERS = ["AB", "CD", "EF", "GH", "JK"]
DEPOTS = ["EAST", "NORTH", "WEST"]
AREA = r"[A-Z]{3}$"


class Parcel(Contract):
    """What is known of a parcel, and of the weather, when it is about to leave."""

    courier: str = column(
        "Who carries it", key=True, feature=True, segment=True, isin=COURIERS, example="AB"
    )
    parcel_number: int = column("Number of the courier", key=True, ge=1, example=1545)
    depot: str = column(
        "Where it leaves", key=True, feature=True, segment=True, isin=DEPOTS, example="EAST"
    )
    leaves_at: pd.Timestamp = column(
        "When it leaves",
        key=True,
        event_time=True,
        feature=True,
        example="2013-07-15T17:30:00",
    )
    area: str = column("Where it goes", feature=True, str_matches=AREA, example="QAA")
    distance_km: float = column("How far", feature=True, gt=0, le=10_000, example=1400)
    van: str = column("Which van", nullable=True, example="V1")
    temperature_c: float = column(
        "Temperature, °C", feature=True, ge=-60, le=60, nullable=True, example=8.5
    )
    humidity_pct: float = column(
        "Relative humidity, %", feature=True, ge=0, le=100, nullable=True, example=57.3
    )
    wind_kmh: float = column(
        "Wind speed, km/h", feature=True, ge=0, le=300, nullable=True, example=12.7
    )
    gust_kmh: float = column(
        "Gusts, km/h; missing if there are none",
        feature=True,
        ge=0,
        le=400,
        nullable=True,
        example=None,
    )

    class Config:
        unique = ["courier", "parcel_number", "depot", "leaves_at"]


class Outcome(Contract):
    """What really happened, once it is known."""

    late: pd.BooleanDtype = column(
        "Whether it came late; missing if it is lost", label="binary", nullable=True
    )
    known_at: pd.Timestamp = column("When that is known", label_time=True, nullable=True)


class DailyFeatures(Contract):
    """Aggregates of one entity on one day, from what was known when the day began."""

    entity: str = column("Courier, depot or area")
    day: pd.Timestamp = column("Day on which the values may be used")
    parcels_7d: int = column("Parcels of the 7 days before", ge=0)
    late_rate_7d: float = column("Share of them that came late", ge=0, le=1, nullable=True)

    class Config:
        unique = ["entity", "day"]


class VanFeatures(Contract):
    """What is known of a van."""

    entity: str = column("Which van")
    year: float = column("Year it was built", nullable=True)
    volume: float = column("Cubic metres", nullable=True)

    class Config:
        unique = ["entity"]


def late_rate(of: str) -> float:
    """The share of late parcels in the 7 days before, by the value of another column."""
    lookup = Lookup(f"{of}_features", by=of, column="late_rate_7d")
    return column(f"Late rate of the {of}", feature=True, ge=0, le=1, nullable=True, lookup=lookup)


class Inputs(Parcel):
    """What is known of a parcel when it is predicted."""

    courier_late_rate_7d: float = late_rate("courier")
    depot_late_rate_7d: float = late_rate("depot")
    area_late_rate_7d: float = late_rate("area")
    van_year: float = column(
        "Year the van was built",
        feature=True,
        nullable=True,
        lookup=Lookup("van_features", by="van", column="year", daily=False),
    )
    van_volume: float = column(
        "Cubic metres of the van",
        feature=True,
        ge=0,
        nullable=True,
        lookup=Lookup("van_features", by="van", column="volume", daily=False),
    )


class Observation(Outcome, Inputs):
    """One row to learn from."""


class Prediction(PredictionColumns, Inputs, of=Outcome):
    """One row of the prediction log."""

    class Config:
        unique = ["prediction_id"]
