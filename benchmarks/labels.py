"""Measures what monitoring makes of labelled predictions, whatever was asked.

Each is a process of its own; seconds are those of the processor. What takes part is all that looks
at labels: metrics with intervals, of the horizon and of four windows, what was to be expected of
them without labels, and the calibration curve. The rows are drawn at random, of 212 days.
"""

import sys
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.engines import connect
from benchmarks.processes import measure_apart, measure_here
from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.measures.metrics import Bootstrap, measure
from kedro_mlops.measures.seen import Expectation, calibration_curve, see, see_parts
from kedro_mlops.task.task import Calibration

DAYS = pd.date_range("2013-01-01", periods=5, freq="53D")
BOOTSTRAP = Bootstrap(n_resamples=200, confidence=0.9, seed=0)
# numbers between 0 and 1, as if at random, which depend on the row alone
CHANCE = "(hash(key + {0}) % 1000000007) / 1000000007.0"
FIRST, SECOND, THIRD = (CHANCE.format(salt * 1_000_000_007) for salt in (1, 2, 3))
# how far a normal number is, nearly
ERROR = f"({FIRST} + {SECOND} + {THIRD} - 1.5) * (1 + 4 * a)"


class Undated(Contract):
    """What is known of a row."""

    key: int = column("Number", key=True)
    a: float = column("A feature", feature=True)
    b: float = column("Another", feature=True)


class Dated(Undated):
    """And when it was."""

    at: pd.Timestamp = column("When", event_time=True)
    known_at: pd.Timestamp = column("When it is known", label_time=True, nullable=True)


class OfClasses(Dated):
    """One of three."""

    label: str = column("Which", label="multiclass", isin=["x", "y", "z"], nullable=True)


class OfNumbers(Dated):
    """A number."""

    label: float = column("How many", label="regression", nullable=True)


class OfTwo(Undated):
    """One of two."""

    label: bool = column("Whether", label="binary", nullable=True)


CLASSES, NUMBERS, TWO = (Columns.of(contract) for contract in (OfClasses, OfNumbers, OfTwo))
SAID = {
    "several classes": "a * 0.9 AS probability_x, (1 - a * 0.9) * b AS probability_y, "
    "1 - probability_x - probability_y AS probability_z, "
    f"CASE WHEN {FIRST} < probability_x THEN 0 WHEN {FIRST} < probability_x + probability_y "
    "THEN 1 ELSE 2 END AS label, CASE WHEN probability_x > 0.5 THEN 'x' "
    "WHEN probability_y > 0.4 THEN 'y' ELSE 'z' END AS prediction",
    "numbers": "100 + 30 * a + b AS prediction, prediction - 2 AS prediction_low, "
    f"prediction + 2 AS prediction_high, prediction + {ERROR} AS label",
    "two classes, no dates": f"a AS probability, a > 0.5 AS decision, ({FIRST} < a)::int AS label",
}


def several_classes(folder: Path) -> None:
    """The chances of three."""
    calibration = Calibration(intercept=[0.0, 0.1, -0.1], slope=0.9)
    _watch(CLASSES, folder / "several classes.parquet", Expectation(calibration))


def numbers(folder: Path) -> None:
    """Estimates, and how far they are off, which a model expects."""
    rng = np.random.default_rng(0)
    learned = pd.DataFrame(rng.random((10_000, 2)), columns=["a", "b"])
    model = HistGradientBoostingRegressor().fit(learned, (1 + 4 * learned["a"]) ** 2 / 4)
    expectation = Expectation(losses=lambda rows: np.asarray(model.predict(rows[["a", "b"]])))
    _watch(NUMBERS, folder / "numbers.parquet", expectation)


def two_classes_without_dates(folder: Path) -> None:
    """A probability."""
    calibration = Calibration(intercept=0.1, slope=0.9)
    _watch(TWO, folder / "two classes, no dates.parquet", Expectation(calibration))


PARTS = {
    "several classes": several_classes,
    "numbers": numbers,
    "two classes, no dates": two_classes_without_dates,
}


def prepare(folder: Path, n_rows: int, name: str) -> None:
    """Write labelled predictions; one label in thirty is not known."""
    at = f"make_timestamp({DAYS[0].value // 1000} + (key % {212 * 24 * 60}) * 60000000)"
    rows = (
        f"SELECT range AS key, {at} AS at, {CHANCE.format(4)} AS a, {CHANCE.format(5)} AS b, "
        f"{SAID[name]} FROM range({n_rows})".replace("(key", "(range")
    )
    known = "SELECT * REPLACE (CASE WHEN key % 30 > 0 THEN label::double END AS label) FROM rows"
    engine = connect()
    engine.raw_sql(f"COPY (WITH rows AS ({rows}) {known}) TO '{folder}/{name}.parquet'")


def apart(name: str, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory."""
    _, processor, gigabytes = measure_apart(__name__, PARTS[name].__name__, folder)
    return processor, gigabytes


def _watch(contract: Columns, file: Path, expectation: Expectation) -> None:
    engine = connect()
    labelled, task = engine.read_parquet(file), contract.task
    whole = see(contract, labelled, expectation)
    measure(whole.known, BOOTSTRAP)
    windows = see_parts(contract, labelled, "at", [*pairwise(DAYS)], expectation)
    for part in chain([whole], windows):
        measure(part.known, BOOTSTRAP, task.main_metrics)
        measure(part.expected(), BOOTSTRAP, task.estimated_metrics)
    calibration_curve(contract, labelled)


if __name__ == "__main__":
    functions: dict[str, Callable[[Path], None]] = {f.__name__: f for f in PARTS.values()}
    measure_here(functions[sys.argv[1]], Path(sys.argv[2]))
