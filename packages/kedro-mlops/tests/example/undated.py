"""Rows that have no date: loans, one by one, and readings, of which each patient has several."""

from typing import Any

import numpy as np
import pandas as pd

from kedro_mlops.contract.columns import Columns, Contract, Lookup, column
from kedro_mlops.prediction_log.contract import PredictionColumns

UNEMPLOYMENT = {"north": 0.05, "south": 0.1}


class Loan(Contract):
    """What is known of a loan when it is asked for."""

    loan: str = column("Number of the loan", key=True, example="L1")
    region: str = column(
        "Where", feature=True, segment=True, isin=["north", "south"], example="north"
    )
    income: float = column("A year, €", feature=True, ge=0, nullable=True, example=30_000)
    age: int = column("Years", feature=True, ge=18, le=99, example=40)
    unemployment: float = column(
        "Share of the people of the region",
        feature=True,
        nullable=True,
        lookup=Lookup("regions", by="region", column="unemployment", daily=False),
    )


class Default(Contract):
    """What became of it."""

    defaulted: pd.BooleanDtype = column(
        "Whether it was not paid back", label="binary", nullable=True
    )


class ObservedLoan(Default, Loan):
    """One row to learn from."""


class LoanPrediction(PredictionColumns, Loan, of=Default):
    """One row of the prediction log."""

    class Config:
        unique = ["prediction_id"]  # noqa: RUF012


class Reading(Contract):
    """One of the readings of a patient."""

    patient: int = column("Whose it is", key=True, group=True, example=1)
    number: int = column("Which of the patient's", key=True, example=1)
    pulse: float = column("A minute", feature=True, example=70)


class Severity(Contract):
    """What it turned out to mean."""

    severity: str = column(
        "How bad it is", label="multiclass", isin=["low", "middle", "high"], nullable=True
    )


class ObservedReading(Severity, Reading):
    """One row to learn from."""


class ReadingPrediction(PredictionColumns, Reading, of=Severity):
    """One row of the prediction log."""

    class Config:
        unique = ["prediction_id"]  # noqa: RUF012


class Home(Contract):
    """What is known of a home that is for sale."""

    home: int = column("Number of the home", key=True, example=1)
    area: float = column("Square metres", feature=True, gt=0, example=80)


class Price(Contract):
    """What it was sold for."""

    price: float = column("Thousand €", label="regression", unit="k€", nullable=True)


class ObservedHome(Price, Home):
    """One row to learn from."""


class HomePrediction(PredictionColumns, Home, of=Price):
    """One row of the prediction log."""

    class Config:
        unique = ["prediction_id"]  # noqa: RUF012


HOMES, LOGGED_HOMES = Columns.of(ObservedHome), Columns.of(HomePrediction)
LOANS, LOGGED_LOANS = Columns.of(ObservedLoan), Columns.of(LoanPrediction)
READINGS, LOGGED_READINGS = Columns.of(ObservedReading), Columns.of(ReadingPrediction)


def loans(
    n_rows: int, positive: float = 0.3, unlabelled: float = 0.0, seed: int = 0
) -> pd.DataFrame:
    """Loans, of which those with little income are more often not paid back."""
    rng = np.random.default_rng(seed)
    income = rng.gamma(4, 10_000, n_rows)
    risk = pd.Series(-income / 20_000 + rng.normal(0, 0.5, n_rows)).rank(pct=True)
    missing = rng.random(n_rows) < unlabelled
    label: Any = pd.array(risk > 1 - positive, dtype="boolean")
    label[missing] = pd.NA
    region = rng.choice(["north", "south"], n_rows)
    return pd.DataFrame(
        {
            "loan": [f"L{seed}-{i}" for i in range(n_rows)],
            "region": region,
            "income": income,
            "age": rng.integers(18, 99, n_rows),
            "unemployment": [UNEMPLOYMENT[name] for name in region],
            "defaulted": label,
        }
    )


def readings(n_patients: int, seed: int = 0) -> pd.DataFrame:
    """Between one and eight readings of each patient, whose severity follows the pulse."""
    rng = np.random.default_rng(seed)
    each = rng.integers(1, 9, n_patients)
    patient = np.repeat(np.arange(n_patients), each)
    pulse = rng.normal(70, 10, n_patients)[patient] + rng.normal(0, 8, len(patient))
    severity = np.digitize(pulse + rng.normal(0, 3, len(pulse)), [66, 80])
    return pd.DataFrame(
        {
            "patient": patient,
            "number": np.concatenate([np.arange(n) for n in each]),
            "pulse": pulse,
            "severity": np.array(["low", "middle", "high"])[severity],
        }
    )


def homes(n_rows: int, seed: int = 0) -> pd.DataFrame:
    """Homes whose prices follow their area."""
    rng = np.random.default_rng(seed)
    area = rng.uniform(30, 200, n_rows)
    price = 3 * area + rng.normal(0, 40, n_rows)
    return pd.DataFrame({"home": range(n_rows), "area": area, "price": price})
