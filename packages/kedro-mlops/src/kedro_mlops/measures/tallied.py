"""Rows that a model has scored, added up by block where they are, as the tally of the task asks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kedro_mlops.task.metrics import Metrics
from kedro_mlops.task.outputs import Floats
from kedro_mlops.task.tally import Asked, ByCell, Cells, Part, Sums, Tally
from kedro_mlops.task.task import Task

from .blocks import Blocks, frames_of
from .metrics import Bootstrap, Scored, draw_blocks, own_and_others, parts_of

BLOCK, CELL, N = "block", "cell", "n"
NOWHERE = np.zeros(0)


@dataclass(frozen=True)
class Tallied:
    """What was counted of rows.

    Attributes:
        task: What the model was asked.
        tally: How they were counted.
        counted: By block.
        rows: Brings them into memory, or as many as have room there.
    """

    task: Task
    tally: Tally
    counted: Sums
    rows: Callable[[], Scored]

    def __len__(self) -> int:
        return int(self.counted.n.sum())

    def resampled(self, metrics: Metrics, bootstrap: Bootstrap) -> dict[str, Floats]:
        """Each metric of the rows as they are, and of each resample of blocks.

        One that does not follow from what was counted is that of the rows in memory.
        """
        own, others = own_and_others(self.task, metrics)
        parts: dict[str, list[Floats]] = {name: [] for name in own.names}
        for weights in parts_of(draw_blocks(len(self.counted.n), bootstrap), self.counted.width):
            counted = self.counted.weighed(weights)
            for name, found in parts.items():
                found.append(self.tally.formulas[name](counted))
        figures = {name: np.concatenate(found) for name, found in parts.items()}
        if others.names:
            figures |= self.rows().resampled(others, bootstrap)
        return {name: figures[name] for name in metrics.names}

    @property
    def confusion(self) -> dict[str, int]:
        """Rows by what they are and what was decided."""
        return self.tally.confusion(self.counted)

    @property
    def varies(self) -> bool:
        """Whether not all labels are the same."""
        return self.tally.varies(self.counted)


def add_up(rows: ir.Table, asked: Asked, block: ir.Value, blocks: Blocks) -> Sums:
    """Count rows as asked, of each block."""
    found = _added(rows, asked.parts, {BLOCK: block}, (blocks.places,), (len(blocks.names),))
    cells = {name: _by_cell(rows, each, block, blocks) for name, each in asked.by_cell.items()}
    return Sums(found.pop(N), found, cells)


def _by_cell(rows: ir.Table, asked: ByCell, block: ir.Value, blocks: Blocks) -> Cells:
    n_cells, low, high = asked.n_cells, NOWHERE, NOWHERE
    number, names = _numbered, pd.RangeIndex(n_cells or 0)
    if n_cells is None:
        ends = {"low": asked.ends.min(), "high": asked.ends.max()} if asked.ends is not None else {}
        named = rows.group_by(**{CELL: asked.cell}).aggregate(**{N: rows.count(), **ends})
        found: pd.DataFrame = named.order_by(CELL).to_pandas()
        if ends:
            low, high = (found[end].to_numpy(np.float64) for end in ends)
        names = pd.Index(found[CELL])
        n_cells, number = len(names), names.get_indexer
    shape = len(blocks.names), n_cells
    by = {BLOCK: block, CELL: asked.cell}
    sums = _added(rows, asked.parts, by, (blocks.places, number), shape)
    return Cells(names, sums.pop(N), sums, low, high)


def _added(
    rows: ir.Table,
    parts: Mapping[str, Part],
    by: Mapping[str, ir.Value],
    places: Sequence[Callable[[pd.Series], Any]],
    shape: tuple[int, ...],
) -> dict[str, Floats]:
    """Sums of groups at their places, and how many rows there are; 0 where there are none."""
    sums = {name: np.zeros(shape) for name in (N, *parts)}
    asked = {N: rows.count(), **{name: part.units for name, part in parts.items()}}
    groups = rows.group_by(**by).aggregate(**asked)
    for found in frames_of(groups):
        at = tuple(place(found[name]) for name, place in zip(by, places, strict=True))
        for name, added in sums.items():
            added[at] = found[name].to_numpy(np.float64)
    return {
        name: added * (parts[name].unit if name in parts else 1) for name, added in sums.items()
    }


def _numbered(cells: pd.Series) -> NDArray[np.int64]:
    return cells.to_numpy(np.int64)
