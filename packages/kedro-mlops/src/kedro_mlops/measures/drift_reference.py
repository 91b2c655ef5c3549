"""What monitoring compares with, as it travels with a model."""

from pydantic import BaseModel, ConfigDict

from kedro_mlops.task.task import Calibration


class Profile(BaseModel):
    """A table of counts, and how much windows of that table differed.

    Attributes:
        n_rows: Number of rows.
        edges: Inner bin edges per numeric column, ascending.
        counts: Per column, bin to number of rows; numeric bins are numbered from 0.
        means: Per numeric column, bin to the mean of its values.
        spread: Standard deviation per numeric column.
        normal: Per column and measure, the farthest that a window was from all that preceded it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_rows: int
    edges: dict[str, list[float]]
    counts: dict[str, dict[str, int]]
    means: dict[str, dict[str, float]]
    spread: dict[str, float]
    normal: dict[str, dict[str, float]]


class Reference(BaseModel):
    """What monitoring compares with: the training rows, and the scores on the test window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_days: int
    features: Profile
    score: Profile
    calibration: Calibration | None
