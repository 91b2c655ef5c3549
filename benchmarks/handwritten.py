"""The service that people write by hand: FastAPI, Pydantic, pandas and the champion's pipeline.

Written lean, and given an advantage: its features are a dictionary in memory, and it has no keys,
no log, no metrics and no limits. ``make bench`` starts it; alone:
``python -m benchmarks.handwritten --port 3001``.
"""

import argparse
import sqlite3
import uuid
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from flight_delays.contracts import CARRIERS, ORIGINS

from kedro_mlops.models.package import ModelPackage

CHAMPION = Path("data/06_models/champion")
STORE = Path("data/04_feature/online.db")
MAX_ROWS = 10_000
MAX_AGE_DAYS = 7
RATES = {
    "carrier": "carrier_late_rate_7d",
    "origin": "origin_late_rate_7d",
    "destination": "destination_late_rate_7d",
}
PLANE = ["plane_year", "plane_seats"]
UNKNOWN_PLANE = (None, None)
LOOKED_UP = {*RATES.values(), *PLANE}
DTYPES = dict.fromkeys(RATES, object) | {"scheduled_departure": "datetime64[us]"}


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    carrier: Literal[tuple(CARRIERS)]  # type: ignore[valid-type]
    flight_number: int = Field(ge=1)
    origin: Literal[tuple(ORIGINS)]  # type: ignore[valid-type]
    scheduled_departure: datetime
    destination: str = Field(pattern="^[A-Z]{3}$")
    distance_mi: float = Field(gt=0, le=10_000)
    tail_number: str | None = None
    temperature_f: float | None = Field(None, ge=-60, le=140)
    dew_point_f: float | None = Field(None, ge=-60, le=140)
    humidity_pct: float | None = Field(None, ge=0, le=100)
    wind_direction_deg: float | None = Field(None, ge=0, le=360)
    wind_speed_mph: float | None = Field(None, ge=0, le=200)
    wind_gust_mph: float | None = Field(None, ge=0, le=250)
    precipitation_in: float | None = Field(None, ge=0, le=20)
    pressure_mb: float | None = Field(None, ge=800, le=1100)
    visibility_mi: float | None = Field(None, ge=0, le=100)


class Request(BaseModel):
    rows: Annotated[list[Row], Field(min_length=1, max_length=MAX_ROWS)]


class Answer(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    prediction_id: str
    probability: float
    decision: bool
    model_version: str
    missing_features: list[str]


class Answers(BaseModel):
    predictions: list[Answer]


class Features:
    """The feature tables as dictionaries."""

    def __init__(self, store: Path) -> None:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            self.rates = {name: _daily(connection, f"{name}_features") for name in RATES}
            planes = connection.execute("SELECT entity, year, seats FROM plane_features")
            self.planes = {entity: values for entity, *values in planes}

    def of(self, row: Row) -> dict[str, float | None]:
        day = row.scheduled_departure.date()
        found = {
            feature: self._rate(self.rates[name], getattr(row, name), day)
            for name, feature in RATES.items()
        }
        plane = self.planes.get(row.tail_number, UNKNOWN_PLANE)
        return found | dict(zip(PLANE, plane, strict=True))

    @staticmethod
    def _rate(rates: dict[tuple[str, date], Any], entity: str, day: date) -> float | None:
        for age in range(MAX_AGE_DAYS + 1):
            key = (entity, day - timedelta(age))
            if key in rates:
                return rates[key]
        return None


def _daily(connection: sqlite3.Connection, table: str) -> dict[tuple[str, date], Any]:
    rows = connection.execute(f"SELECT entity, day, late_rate_7d FROM {table}")
    return {(entity, datetime.fromisoformat(day).date()): rate for entity, day, rate in rows}


package = ModelPackage.read(max(CHAMPION.glob("*/champion")))
pipeline, metadata = package.estimator, package.metadata
features = Features(STORE)
app = FastAPI()


@app.get("/readyz")
async def ready() -> str:
    return "ready"


@app.post("/predict")
async def predict(request: Request) -> Answers:
    looked_up = [features.of(row) for row in request.rows]
    frame = _frame(request.rows, looked_up)
    probabilities = pipeline.predict_proba(frame)[:, 1].tolist()
    return Answers(
        predictions=[
            Answer(
                prediction_id=uuid.uuid4().hex,
                probability=probability,
                decision=probability >= metadata.rule.threshold,
                model_version=metadata.version,
                missing_features=[name for name, value in found.items() if value is None],
            )
            for probability, found in zip(probabilities, looked_up, strict=True)
        ]
    )


def _frame(rows: list[Row], looked_up: list[dict[str, float | None]]) -> pd.DataFrame:
    """The features in the order and the types of the pipeline: each array is built once."""
    sent = [row.__dict__ for row in rows]
    return pd.DataFrame(
        {
            name: np.array(
                [values[name] for values in (looked_up if name in LOOKED_UP else sent)],
                dtype=DTYPES.get(name, float),
            )
            for name in metadata.features
        }
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=3001)
    options = arguments.parse_args()
    uvicorn.run(
        app,
        port=options.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
