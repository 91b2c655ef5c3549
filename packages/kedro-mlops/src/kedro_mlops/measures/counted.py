"""Rows that a model has scored, counted where they are: by label, cell of the score and block.

Rows that are alike in these weigh alike in every resample, so that one of them, with the mean of
their scores, can stand for all, and metrics need not look at each. What is counted, such as
precision, is what it is by rows, and so is the calibration error, whose bins are made of whole
cells. A cell is so narrow that ROC AUC and average precision differ by less than 1e-4, of a few
rare positives by less than 3e-4, and log loss and Brier score by less than 1e-5.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Self

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kedro_mlops.contract.columns import Columns
from kedro_mlops.task.metrics import Metrics
from kedro_mlops.task.outputs import Floats
from kedro_mlops.task.task import Task

from .blocks import Blocks, Ends, block_of, frames_of
from .metrics import Bootstrap, Scored, draw_blocks, own_and_others, parts_of
from .score_cells import EDGES, cell_of

# by label, which may not be known, and by decision; of the first ones it is known
KINDS, LABELLED = 6, 4
# scores are added up as whole numbers: the sum of fractions depends on the order, which is chance
UNIT = 2**32


@dataclass(frozen=True)
class Counted(Scored):
    """Scored rows, one for all that are alike.

    Attributes:
        counts: Of each block, how many each stands for, shape (n_blocks, n_rows).
        rows: Brings the rows themselves into memory, or as many as have room there.
    """

    counts: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    rows: Callable[[], Scored] | None = None

    def __len__(self) -> int:
        return int(self.counts.sum())

    @property
    def times(self) -> Floats:
        """How many rows each stands for, shape (n_rows,)."""
        return np.asarray(self.counts.sum(axis=0))

    def resamples(self, bootstrap: Bootstrap) -> Iterator[Floats]:
        """Weights of the rows as they are, and of resamples of their blocks, some at a time."""
        n_blocks, n_rows = self.counts.shape
        for drawn in parts_of(draw_blocks(n_blocks, bootstrap), n_rows):
            yield drawn @ self.counts

    def resampled(self, metrics: Metrics, bootstrap: Bootstrap) -> dict[str, Floats]:
        """Each metric; one that is not the task's own may ask for more than weights of rows."""
        if self.rows is None:
            return super().resampled(metrics, bootstrap)
        own, others = own_and_others(self.task, metrics)
        figures = super().resampled(own, bootstrap)
        return figures | (self.rows().resampled(others, bootstrap) if others.names else {})


NOTHING = (np.zeros(0, np.int16), *(np.zeros(0, np.int32),) * 2, np.zeros(0, np.int64))


@dataclass(frozen=True)
class Groups:
    """Rows of the same block, cell, label and decision; of these there may be millions.

    Attributes:
        place: That of the block.
        code: The cell, times ``KINDS``, and what of these it is: by label, by decision.
        n: How many rows.
        total: The sum of their scores, in units.
    """

    place: NDArray[np.int16]
    code: NDArray[np.int32]
    n: NDArray[np.int32]
    total: NDArray[np.int64]

    @classmethod
    def of(cls, contract: Columns, rows: ir.Table, blocks: Blocks) -> Self:
        """Count rows, of which the label may not be known."""
        [score, decision] = (rows[told.name] for told in contract.task.output().told)
        label = rows[contract.label].cast("int32").fill_null(LABELLED // 2)
        kind = label * 2 + decision.cast("int32")
        groups = rows.group_by(
            block=block_of(contract, rows), code=cell_of(score) * KINDS + kind
        ).aggregate(n=rows.count(), total=(score * UNIT).round().cast("int64").sum())
        parts = [NOTHING]
        # a frame of all would take several times the memory
        for found in frames_of(groups):
            place = blocks.places(found["block"]).astype(np.int16)
            code, n = (found[name].to_numpy(np.int32) for name in ("code", "n"))
            parts.append((place, code, n, found["total"].to_numpy(np.int64)))
        place, code, n, total = (np.concatenate(each) for each in zip(*parts, strict=True))
        return cls(place, code, n, total)

    def of_days(
        self, task: Task, blocks: Blocks, known: Blocks, days: Ends | None
    ) -> tuple[Counted, Counted]:
        """Those of some days, or of all: all rows, and those with a label.

        Args:
            task: What was asked.
            blocks: Of all rows.
            known: Of those with a label.
            days: The first day, and the one after the last.
        """
        by_cell = replace(self, code=self.code // KINDS * KINDS)
        with_label = self.only(self.code % KINDS < LABELLED)
        here, here_known = (
            blocks.names.get_indexer(each.of(days).names) for each in (blocks, known)
        )
        of_all = replace(by_cell.alike(task, here), decided=None)
        return of_all, with_label.alike(task, here_known)

    def only(self, wanted: NDArray[np.bool_]) -> Self:
        """Some of them."""
        return type(self)(*(getattr(self, field.name)[wanted] for field in fields(self)))

    def alike(self, task: Task, places: NDArray[np.int64]) -> Counted:
        """Those of some blocks, one for all of the same code."""
        order = np.full(int(max(self.place.max(initial=0), places.max(initial=0))) + 1, -1)
        order[places] = np.arange(len(places))
        inside = self.only(order[self.place] >= 0)
        codes = np.flatnonzero(np.bincount(inside.code, minlength=1))
        row = np.searchsorted(codes, inside.code)
        n, total = np.zeros((2, len(codes)), np.int64)
        np.add.at(n, row, inside.n)
        np.add.at(total, row, inside.total)
        at, shape = order[inside.place] * len(codes) + row, (len(places), len(codes))
        counts = np.bincount(at, inside.n.astype(np.float64), minlength=shape[0] * shape[1])
        cell, kind = np.divmod(codes, KINDS)
        label, decision = np.divmod(kind, 2)
        nothing = pd.Series(np.nan, index=range(len(codes)))
        # a mean that was rounded stays in its cell
        mean = np.clip(total / np.maximum(n, 1) / UNIT, EDGES[cell], EDGES[cell + 1])
        return Counted(
            task,
            task.labels(pd.Series(label)),
            mean,
            nothing,
            decision.astype(np.float64),
            np.asarray(counts.reshape(shape), np.float64),
        )
