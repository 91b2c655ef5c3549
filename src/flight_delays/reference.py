"""What monitoring compares with, as it travels with a model."""

from pydantic import BaseModel, ConfigDict


class Profile(BaseModel):
    """A table of counts.

    Attributes:
        n_rows: Number of rows.
        edges: Inner bin edges per numeric column, ascending.
        counts: Per column, bin to number of rows; numeric bins are numbered from 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_rows: int
    edges: dict[str, list[float]]
    counts: dict[str, dict[str, int]]


class Reference(BaseModel):
    """What monitoring compares with: the training rows, and the scores on the test window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_days: int
    features: Profile
    score: Profile
