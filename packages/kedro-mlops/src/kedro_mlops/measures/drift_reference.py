"""What monitoring compares with, as it travels with a model."""

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from kedro_mlops.task.task import Calibration

from .grids import Grid

MISSING = "missing"


class Profile(BaseModel):
    """A table of counts, and how much windows of that table differed.

    Attributes:
        n_rows: Number of rows.
        grids: Per numeric column, the cells in which it is counted.
        cuts: Per numeric column, the cells at which its bins begin, but for the first; ascending.
        counts: Per column, cell or category to number of rows; missing values are one of them.
        spread: Standard deviation per numeric column.
        normal: Per column and measure, the farthest that a window was from all that preceded it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_rows: int
    grids: dict[str, Grid]
    cuts: dict[str, list[int]]
    counts: dict[str, dict[str, int]]
    spread: dict[str, float]
    normal: dict[str, dict[str, float]]

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, data: Any) -> Any:
        """They counted in the bins between the quantiles, and knew the mean of each."""
        if not isinstance(data, dict) or "means" not in data:
            return data
        kept = {name: value for name, value in data.items() if name not in ("edges", "means")}
        grids = {
            name: {"kind": "edges", "edges": edges, "means": _all_means(edges, data["means"][name])}
            for name, edges in data["edges"].items()
        }
        cuts = {name: list(range(1, len(edges) + 1)) for name, edges in data["edges"].items()}
        return {**kept, "grids": grids, "cuts": cuts}

    @property
    def edges(self) -> dict[str, list[float]]:
        """Inner bin edges per numeric column, ascending."""
        return {name: _ascending(grid.starts(self.cuts[name])) for name, grid in self.grids.items()}

    def in_bins(self, name: str) -> list[int]:
        """The rows of a numeric column in each bin, but for missing values."""
        cells = {int(cell): n for cell, n in self.counts[name].items() if cell != MISSING}
        bins = np.searchsorted(self.cuts[name], [*cells], side="right").astype(np.int64)
        weights = list(cells.values())
        counted = np.bincount(bins, weights=weights, minlength=len(self.cuts[name]) + 1)
        return [int(n) for n in counted]


def _ascending(edges: list[float]) -> list[float]:
    """Each above the one before, also where a bin is of one number."""
    found: list[float] = []
    for edge in edges:
        least = float(np.nextafter(found[-1], np.inf)) if found else -np.inf
        found.append(max(edge, least))
    return found


def _all_means(edges: list[float], means: dict[str, float]) -> list[float]:
    """A number for each bin: where it has no mean, its nearest edge; 0 where there is none."""
    nearest = [edges[0], *edges] if edges else [0.0]
    return [means.get(str(number), edge) for number, edge in enumerate(nearest)]


class Reference(BaseModel):
    """What monitoring compares with: the training rows, and the scores on the test window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_days: int
    features: Profile
    score: Profile
    calibration: Calibration | None
