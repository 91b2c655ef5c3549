"""What is recorded of a model's task: its name, its classes, and how it decides.

Without NumPy: who only asks what models there are does not wait for its import.
"""

from dataclasses import dataclass
from typing import Literal

TaskName = Literal["binary", "multiclass", "regression"]
# a value of a label that is one of some
Class = bool | int | str

# the metrics of each that are named first
LISTED: dict[TaskName, tuple[str, ...]] = {
    "binary": ("roc_auc", "log_loss", "precision", "recall", "flagged_share"),
    "multiclass": ("roc_auc", "log_loss", "accuracy", "macro_f1"),
    "regression": ("root_mean_squared_error", "mean_absolute_error", "r2", "interval_coverage"),
}


@dataclass(frozen=True)
class DecisionRule:
    """What a decision follows from, besides the score; a task knows what it has.

    Attributes:
        threshold: The probability from which a row is decided positive.
        costs: What it costs to say a class (column) where another is true (row).
        margin: How far an interval reaches to both sides of a number; or, instead of it,
        margins: Numbers, and how far it reaches at each; between them, in a straight line.
        coverage: Share of the intervals that are to hold what really happens.
    """

    threshold: float | None = None
    costs: list[list[float]] | None = None
    margin: float | None = None
    coverage: float | None = None
    margins: list[tuple[float, float]] | None = None
