"""From the values of a column to labels as tasks have them."""

from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.core.errors import ContractError, ProjectError
from kedro_mlops.task.binary import Binary
from kedro_mlops.task.multiclass import Multiclass
from kedro_mlops.task.regression import Regression
from kedro_mlops.task.task import Costs, Task


def labelled(annotation: Any, **said: Any) -> Columns:
    class Labelled(Contract):
        outcome: annotation = column("Outcome", nullable=True, **said)

    return Columns.of(Labelled)


KINDS = {"label": "multiclass", "isin": ["low", "mid", "high"]}
CASES = [
    ((pd.BooleanDtype, {"label": "binary"}), [True, False, None], [1, 0, np.nan]),
    (
        (str, {"label": "binary", "isin": ["yes", "no"], "positive": "yes"}),
        ["yes", "no", None],
        [1, 0, np.nan],
    ),
    (
        (pd.Int64Dtype, {"label": "binary", "isin": [1, 2], "positive": 1}),
        [1, 2, None],
        [1, 0, np.nan],
    ),
    (
        (str, KINDS),
        ["high", "low", None, "mid"],
        [[0, 0, 1], [1, 0, 0], [np.nan] * 3, [0, 1, 0]],
    ),
    ((float, {"label": "regression"}), [1.5, -2.0, None], [1.5, -2.0, np.nan]),
    ((pd.Int64Dtype, {"label": "regression"}), [3, 4, None], [3, 4, np.nan]),
    # that only some are there is no matter of what it is
    ((pd.Int64Dtype, {"label": "regression", "isin": [3, 4]}), [3, 4, None], [3, 4, np.nan]),
]


@pytest.mark.parametrize(("declared", "values", "expected"), CASES)
@pytest.mark.parametrize("missing", [True, False])
def test_labels_are_read_by_their_values_and_missing_ones_stay_missing(
    declared: tuple[Any, dict[str, Any]], values: list[Any], expected: list[Any], missing: bool
) -> None:
    columns = labelled(declared[0], **declared[1])
    kept = [i for i, value in enumerate(values) if missing or value is not None]
    dtype = "string" if isinstance(values[0], str) else pd.Series(values).convert_dtypes().dtype
    rows = pd.DataFrame({"i": kept, "outcome": pd.Series([values[i] for i in kept], dtype=dtype)})

    table = columns.outcomes(ibis.memtable(rows)).order_by("i").cache()

    found = table.to_pandas()["outcome"]
    np.testing.assert_array_equal(columns.task.labels(found), [expected[i] for i in kept])
    assert table.outcome.isnull().sum().to_pyarrow().as_py() == missing
    assert pd.api.types.is_numeric_dtype(found)


@pytest.mark.parametrize(
    ("annotation", "said", "task"),
    [
        (bool, {"label": "binary"}, Binary("outcome", (False, True))),
        # the positive one is last, however they are listed
        (
            str,
            {"label": "binary", "isin": ["yes", "no"], "positive": "yes"},
            Binary("outcome", ("no", "yes")),
        ),
        (str, KINDS, Multiclass("outcome", ("low", "mid", "high"))),
        (
            float,
            {"label": "regression"},
            Regression("outcome", coverage=0.9, loss="mean_squared_error"),
        ),
        (
            float,
            {"label": "regression", "unit": "km", "coverage": 0.8, "loss": "mean_absolute_error"},
            Regression("outcome", unit="km", coverage=0.8, loss="mean_absolute_error"),
        ),
    ],
)
def test_a_task_is_what_its_label_says(annotation: Any, said: dict[str, Any], task: Task) -> None:
    assert labelled(annotation, **said).task == task


NUMBER = {"label": "regression"}
MISPLACED = [
    ("loss", "mean_absolute_error"), ("coverage", 0.8), ("coverage", 0.0), ("unit", "km"),
]  # fmt: skip
OTHERS = [(bool, {"label": "binary"}), (str, KINDS), (float, {})]


@pytest.mark.parametrize(
    ("annotation", "said", "reason"),
    [
        (str, {**KINDS, "isin": ["a", "b"]}, r"isin=\['a', 'b'\]: name three values at least"),
        (str, {**KINDS, "isin": ["a", "b", "a"]}, "name three values at least"),
        (str, {**KINDS, "positive": "low"}, "says positive='low', which is said of a binary label"),
        (float, {**NUMBER, "positive": 1}, "says positive=1, which is said of a binary label"),
        (float, {**NUMBER, "loss": "log_loss"}, "says loss='log_loss': use one of mean_squared"),
        (float, {**NUMBER, "coverage": 1.0}, "says coverage=1: it is a share, between 0 and 1"),
        (float, {**NUMBER, "coverage": 0.0}, "says coverage=0: it is a share, between 0 and 1"),
        (float, {"positive": 1}, "says positive=1, which is said of a binary label alone"),
        *(
            (annotation, {**said, name: value}, f"says {name}={value!r}, which .* regression label")
            for annotation, said in OTHERS
            for name, value in MISPLACED
        ),
    ],
)
def test_what_contradicts_the_task_of_a_label_is_refused(
    annotation: Any, said: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ContractError, match=rf"Labelled\.outcome .*{reason}"):
        labelled(annotation, **said)


@pytest.mark.parametrize(
    ("task", "costs"),
    [
        (Binary("late"), {"of_classes": {"a": {"b": 2}}}),
        (Multiclass("kind", ("a", "b", "c")), {"false_positive": 2}),
        (Regression("days"), {"false_negative": 3}),
    ],
)
def test_costs_of_another_task_are_refused(task, costs):
    with pytest.raises(ProjectError, match=rf"costs\.{next(iter(costs))} is not a cost of a"):
        task.check_costs(Costs(**costs))

    # as they are recorded: all of them
    task.check_costs(Costs(**Costs().model_dump()))
