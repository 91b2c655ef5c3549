"""What the engine says before labels come beside what turns out, on tables of scikit-learn's."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import betabinom
from sklearn import datasets
from sklearn.pipeline import Pipeline

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.modelling.fitting import fit, fit_loss_estimate
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import scores_of
from kedro_mlops.task.outputs import Floats
from kedro_mlops.task.task import Costs

from . import intervals

LABEL = "label"
CLASSES = ("iris", "wine", "digits")
# columns that are predicted from the others
NUMBERS = {
    "diabetes": ["target"],
    "linnerud": ["Weight"],
    "iris": ["petal width (cm)", "sepal width (cm)"],
    "wine": ["alcohol", "color_intensity", "proline"],
    "breast_cancer": ["mean smoothness", "mean texture", "worst concavity"],
    "digits": ["pixel_3_4", "pixel_5_2"],
}
LOSS_IS_ESTIMATED = {"diabetes: target", "wine: alcohol", "digits: pixel_3_4"}
FAMILIES_OF = {
    "classifier": ("logistic_regression", "gradient_boosting"),
    "regressor": ("ridge", "gradient_boosting"),
}
N_SPLITS = 3
COVERAGE, CONFIDENCE = 0.8, 0.99


class Table(NamedTuple):
    """Rows, whose label is a number or a code, and their contract."""

    name: str
    columns: Columns
    rows: pd.DataFrame


class Covered(NamedTuple):
    """Fresh rows, how many of them lie in their intervals, and how many are to be expected."""

    n_rows: int
    n_covered: int
    low: int
    high: int

    @property
    def is_as_expected(self) -> bool:
        return self.low <= self.n_covered <= self.high


def tables_of_classes() -> list[Table]:
    found = []
    for name in CLASSES:
        read = _load(name)
        rows = read.data.assign(label=read.target)
        classes = [str(each) for each in read.target_names]
        found.append(Table(name, _contract(rows, str, label="multiclass", isin=classes), rows))
    return found


def tables_of_numbers() -> list[Table]:
    found = []
    for name, labels in NUMBERS.items():
        read = _load(name)
        for label in labels:
            rows = read.data.drop(columns=label, errors="ignore")
            rows = rows.assign(label=read.frame[label].astype(float))
            columns = _contract(rows, float, label="regression", coverage=COVERAGE)
            found.append(Table(f"{name}: {label}", columns, rows))
    return found


def _load(name: str) -> Any:
    return getattr(datasets, f"load_{name}")(as_frame=True)


def _contract(rows: pd.DataFrame, label_type: type, **label: Any) -> Columns:
    features = rows.columns.drop(LABEL)
    members = {name: column(name, feature=True) for name in features}
    members[LABEL] = column("What is predicted", **label)
    types = {**dict.fromkeys(features, float), LABEL: label_type}
    return Columns.of(type("Table", (Contract,), {"__annotations__": types, **members}))


class Parts(NamedTuple):
    """A model that learned from half of a table, and what it says of the others."""

    model: Pipeline
    test: pd.DataFrame
    of_test: Floats
    fresh: pd.DataFrame
    of_fresh: Floats


def scored(table: Table, family: str, seed: int) -> Parts:
    """Learn from half of the rows, and score a quarter that is known, and one that is fresh."""
    order = np.random.default_rng(seed).permutation(len(table.rows))
    *known, test, fresh = (table.rows.iloc[part] for part in np.array_split(order, 4))
    chosen = FAMILIES[family]
    model = fit(table.columns, chosen, chosen.default, seed, *known)
    of_test, of_fresh = (
        scores_of(table.columns.task.output(), model, rows[table.columns.features])
        for rows in (test, fresh)
    )
    return Parts(model, test, of_test, fresh, of_fresh)


def estimate(table: Table, family: str, seed: int) -> tuple[float, float]:
    """The loss of fresh rows: as it is expected without their labels, and as it is."""
    task, parts = table.columns.task, scored(table, family, seed)
    calibration = task.calibrate(task.labels(parts.test[LABEL]), parts.of_test)
    losses, of_loss = None, fit_loss_estimate(table.columns, parts.model, parts.test, seed)
    if of_loss is not None:
        told = task.output().named(parts.of_fresh)
        losses = of_loss.predict(parts.fresh.assign(**told)).clip(0)
    expected = task.expected(parts.of_fresh, calibration, losses)
    one, other = (
        float(task.row_loss(labels, parts.of_fresh).mean())
        for labels in (expected, task.labels(parts.fresh[LABEL]))
    )
    return one, other


def cover(table: Table, family: str, seed: int) -> Covered:
    """How many fresh rows lie in intervals whose width follows from other rows.

    To be expected is what a beta-binomial distribution says, not a binomial one: the width is of a
    sample, too (Vovk, 2012, "Conditional validity of inductive conformal predictors").
    """
    task, parts = table.columns.task, scored(table, family, seed)
    rule = task.choose_rule(task.labels(parts.test[LABEL]), parts.of_test, Costs())
    ends = task.decided(task.output(rule).of_rows(parts.of_fresh))
    label, n_known = parts.fresh[LABEL].to_numpy(), len(parts.test)
    n_covered = int(((ends[:, 0] <= label) & (label <= ends[:, 1])).sum())
    rank = int(np.ceil((n_known + 1) * COVERAGE))
    low, high = betabinom.interval(CONFIDENCE, len(label), rank, n_known + 1 - rank)
    return Covered(len(label), n_covered, int(low), int(high))


def measure() -> None:
    """Print the loss that was expected and the one that came, and the intervals of numbers."""
    numbers = tables_of_numbers()
    estimated = [table for table in numbers if table.name in LOSS_IS_ESTIMATED]
    columns = ("estimated", "realised", "difference")
    print("loss of fresh rows, estimated without their labels\n")
    print(f"{'':20}{'':22}{'split':>5}" + "".join(f"{name:>12}" for name in columns))
    for table in [*tables_of_classes(), *estimated]:
        for family in FAMILIES_OF[table.columns.task.estimator]:
            for split in range(N_SPLITS):
                one, other = estimate(table, family, split)
                figures = f"{one:12.4g}{other:12.4g}{one - other:+12.3g}"
                print(f"{table.name:20}{family:22}{split:5}{figures}")
    print(f"\nfresh rows in intervals that are to hold {COVERAGE:.0%}, and what chance allows\n")
    for table in numbers:
        found = cover(table, "ridge", seed=0)
        shares = [count / found.n_rows for count in found[1:]]
        print("{:32}{:5} rows{:8.1%} [{:.1%}, {:.1%}]".format(table.name, found.n_rows, *shares))
    intervals.measure()
