"""Four months of parcels in which a model can learn something, and the feature tables of them."""

from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from example.contracts import COURIERS, DEPOTS, Observation
from kedro_mlops.contract.columns import Columns

FIRST_DAY = pd.Timestamp("2013-01-01")
N_DAYS, PER_DAY, N_VANS = 120, 75, 60
AREAS = [f"Q{first}{second}" for first in "ABCDE" for second in "ABC"]
DAYS = 7


@dataclass(frozen=True)
class History:
    """What the modelling nodes learn from, and what the service looks up."""

    features: dict[str, ir.Table]
    vans: ir.Table
    model_input: ir.Table


def make_history(seed: int = 0) -> History:
    """Parcels of every day, each with what was known of its kind when its day began."""
    rng = np.random.default_rng(seed)
    parcels, vans = _parcels(rng), _vans(rng)
    tables = {of: _daily_rates(parcels, of) for of in ("courier", "depot", "area")}
    for of, table in tables.items():
        rates = table.rename(columns={"entity": of, "late_rate_7d": f"{of}_late_rate_7d"})
        parcels = parcels.merge(rates.drop(columns="parcels_7d"), how="left", on=[of, "day"])
    own = vans.rename(columns={"entity": "van", "year": "van_year", "volume": "van_volume"})
    rows = parcels.merge(own, how="left", on="van")[Columns.of(Observation).names]
    return History(
        {f"{of}_features": ibis.memtable(table).cache() for of, table in tables.items()},
        ibis.memtable(vans).cache(),
        ibis.memtable(rows).cache(),
    )


def _parcels(rng: np.random.Generator) -> pd.DataFrame:
    n = N_DAYS * PER_DAY
    day = np.repeat(np.arange(N_DAYS), PER_DAY)
    minutes = np.sort(rng.triangular(5 * 60, 18 * 60, 24 * 60 - 1, (N_DAYS, PER_DAY)).astype(int))
    courier = rng.choice(len(COURIERS), n, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    area = rng.choice(len(AREAS), n)
    wind = np.clip(_wandering(rng, 20, 9)[day] + rng.normal(0, 3, n), 0, 200)
    temperature = 18 * np.sin(day / 80 - 0.9) + _wandering(rng, 5, 4)[day]
    hour = minutes.ravel() / 60
    # a courier has bad weeks
    trouble = np.stack([_wandering(rng, 0, 0.5) for _ in COURIERS])[courier, day]
    risk = -1.7 + 0.16 * (hour - 14) + 0.07 * (wind - 20) + trouble + (area % 5 == 0) * 0.5
    late = rng.random(n) < 1 / (1 + np.exp(-risk))
    leaves = FIRST_DAY + pd.to_timedelta(day * 1440 + minutes.ravel(), unit="min")
    known = leaves + pd.to_timedelta(rng.integers(90, 360, n) + late * 45, unit="min")
    number = np.tile(np.arange(1, PER_DAY + 1), N_DAYS) + 100
    lost = number % 40 == 0
    rows: dict[str, Any] = {
        "courier": np.array(COURIERS)[courier],
        "parcel_number": number,
        "depot": rng.choice(DEPOTS, n, p=[0.4, 0.35, 0.25]),
        "leaves_at": leaves,
        "area": np.array(AREAS)[area],
        "distance_km": 40.0 + 90 * area + rng.integers(0, 30, n),
        "van": [
            None if gone else f"V{i}"
            for i, gone in zip(rng.integers(0, N_VANS + 5, n), rng.random(n) < 0.01, strict=True)
        ],
        "temperature_c": np.where(rng.random(n) < 0.01, np.nan, np.round(temperature, 1)),
        "humidity_pct": np.round(
            np.clip(_wandering(rng, 60, 10)[day] + rng.normal(0, 8, n), 0, 100), 1
        ),
        "wind_kmh": np.round(wind, 1),
        "gust_kmh": np.where(wind > 25, np.round(wind * 1.4, 1), np.nan),
        "late": pd.array(np.where(lost, None, late), dtype="boolean"),
        "known_at": pd.Series(known).mask(lost),
        "day": leaves.normalize(),
    }
    return pd.DataFrame(rows)


def _wandering(rng: np.random.Generator, mean: float, spread: float) -> np.ndarray:
    """A value of each day, near that of the day before."""
    values = np.zeros(N_DAYS)
    for i in range(1, N_DAYS):
        values[i] = 0.85 * values[i - 1] + rng.normal(0, spread * 0.53)
    return mean + values


def _vans(rng: np.random.Generator) -> pd.DataFrame:
    year = rng.integers(1995, 2013, N_VANS).astype(float)
    return pd.DataFrame(
        {
            "entity": [f"V{i}" for i in range(N_VANS)],
            "year": np.where(rng.random(N_VANS) < 0.1, np.nan, year),
            "volume": rng.choice([6.0, 9.0, 14.0], N_VANS),
        }
    )


def _daily_rates(parcels: pd.DataFrame, of: str) -> pd.DataFrame:
    """For each entity and day, what was known of the days before."""
    known = parcels.dropna(subset="late").assign(day=lambda rows: rows["known_at"].dt.normalize())
    daily = known.groupby([of, "day"])["late"].agg(["size", "sum"]).astype(float)
    days = pd.date_range(FIRST_DAY, periods=N_DAYS + 1)
    every = pd.MultiIndex.from_product([sorted(parcels[of].unique()), days], names=[of, "day"])
    of_day = daily.reindex(every, fill_value=0.0).groupby(level=0)
    before = of_day.transform(lambda values: values.rolling(DAYS, min_periods=1).sum().shift(1))
    before = before.fillna(0.0)
    rate = (before["sum"] / before["size"]).where(before["size"] > 0)
    table = pd.DataFrame({"parcels_7d": before["size"].astype(int), "late_rate_7d": rate})
    table = table.reset_index().rename(columns={of: "entity"})
    return table[table["day"].between(FIRST_DAY, days[-1])]
