"""How a table is learned of which nothing is known yet: parameters of modelling that suit it."""

from typing import Any

from kedro_mlops.task.record import TaskName
from kedro_mlops.task.tasks import TASKS

LINEAR = {"classifier": "logistic_regression", "regressor": "ridge"}
# of the minute and more that a search may take; what it takes to fit the winner comes on top
MAX_TUNING_SECONDS = 45
# fewer labelled rows are cross-validated
FEW_ROWS = 5_000
# values, times classes, of which boosted trees learn in about a second; and in half a minute
CELLS_OF_A_TRIAL, CELLS_OF_A_MODEL = 1_000_000, 20_000_000
# rows that come into memory of a narrow table
MAX_ROWS = 1_000_000
# of so many columns a trial takes seconds, however few the rows
WIDE = 500
# values that are looked at to see how much each feature matters
CELLS_OF_IMPORTANCE = 400_000
# fewer rows say too little of what suits all of them
LEAST_ROWS = 2_000


def later_share(n_rows: int) -> float:
    """Of all rows, the last that a first model does not learn from, so that it can be watched.

    At least 20 rows, if that is not more than a tenth.
    """
    return round(min(0.1, max(0.05, 20 / max(n_rows, 1))), 2)


def modelling_for(
    task: TaskName, n_rows: int, n_features: int, n_classes: int = 2, n_workers: int = 2
) -> dict[str, Any]:
    """Parameters of ``Modelling`` for a table.

    Args:
        task: What is asked.
        n_rows: Labelled rows.
        n_features: Columns that a model is given.
        n_classes: Of a label that is one of several.
        n_workers: Cores.
    """
    width = max(1, n_features) * (n_classes if n_classes > 2 else 1)
    searched, learned = (
        max(LEAST_ROWS, cells // width) for cells in (CELLS_OF_A_TRIAL, CELLS_OF_A_MODEL)
    )
    return {
        # those of rows that have a date; the others are split by shares
        "validation_days": 7,
        "test_days": 7,
        "validation_share": 0.15,
        "test_share": 0.15,
        "later_share": later_share(n_rows),
        "min_rows": 5,
        "cross_validation": {
            "folds": 5 if n_features <= WIDE else 3,
            "below_rows": FEW_ROWS,
            "more_trials": 1,
        },
        "n_trials": {LINEAR[TASKS[task].estimator]: 6, "gradient_boosting": 40},
        "broad_search": True,
        "max_tuning_seconds": MAX_TUNING_SECONDS,
        "max_rows": min(MAX_ROWS, learned),
        "max_tuning_rows": searched if searched < n_rows else None,
        # of wide tables each share takes long
        "learning_curve": [0.125, 0.25, 0.5] if n_features <= WIDE else [],
        "patience": 20,
        "prefer_simpler": False,
        "n_workers": n_workers,
        "importance": {
            "n_rows": max(100, min(4_000, CELLS_OF_IMPORTANCE // max(1, n_features))),
            "n_repeats": 2 if n_features <= 100 else 1,
        },
    }
