"""Rows that a model has scored, counted where they are: by label, cell of the score and block.

Rows that are alike in these weigh alike in every resample, so that one of them, with the mean of
their scores, can stand for all, and metrics need not look at each. What is counted, such as
precision, is what it is by rows, and so is the calibration error, whose bins are made of whole
cells. A cell is so narrow that ROC AUC and average precision differ by less than 1e-4, and log loss
and Brier score by less than 1e-5.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from kedro_mlops.contract.columns import Columns
from kedro_mlops.task.metrics import CALIBRATION_BINS
from kedro_mlops.task.outputs import Floats

from .metrics import Bootstrap, Scored, draw_blocks, parts_of

# of probabilities, each as wide as the others
CELLS = 1000 * CALIBRATION_BINS
# scores are added up as whole numbers: the sum of fractions depends on the order, which is chance
UNIT = 2**32

Ends = tuple[pd.Timestamp, pd.Timestamp]


@dataclass(frozen=True)
class Counted(Scored):
    """Scored rows, one for all that are alike.

    Attributes:
        counts: Of each block, how many each stands for, shape (n_blocks, n_rows).
    """

    counts: Floats = field(default_factory=lambda: np.zeros((0, 0)))

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


@dataclass(frozen=True)
class Seen:
    """Predictions, some of them with their label.

    Attributes:
        all: All of them; of what was decided nothing is said.
        known: Those whose label is known.
        rows: They, where they are in memory.
    """

    all: Scored
    known: Scored
    rows: pd.DataFrame | None = None


def see(contract: Columns, labelled: ir.Table) -> Seen:
    """Count predictions, if they are countable and have dates; else bring them into memory.

    Args:
        contract: What was predicted.
        labelled: Keys, moment, all that was told, and the label, missing where it is not known.
    """
    if _is_countable(contract):
        return _seen(contract, *_count(contract, labelled))
    rows: pd.DataFrame = labelled.order_by(contract.keys).to_pandas()
    known = rows.dropna(subset=[contract.label])
    return Seen(Scored.of_scores(contract, rows), Scored.of(contract, known), rows)


def see_parts(
    contract: Columns, labelled: ir.Table, moment: str, days: Sequence[Ends]
) -> Iterator[Seen]:
    """The same of each of some days, which are counted together.

    Args:
        contract: What was predicted.
        labelled: As ``see`` has it.
        moment: The column that says of which day a row is.
        days: The first days, and those after the last ones.
    """
    if not _is_countable(contract):
        for since, until in days:
            at = labelled[moment]
            part = labelled.filter(at >= ibis.literal(since), at < ibis.literal(until))
            yield see(contract, part)
        return
    found, *blocks = _count(contract, labelled)
    for since, until in days:
        here = found[found["block"].between(since, until, inclusive="left")]
        parts = [of[(of >= since) & (of < until)] for of in blocks]
        yield _seen(contract, here, *parts)


def _is_countable(contract: Columns) -> bool:
    return contract.task.countable and contract.has_time


def _seen(
    contract: Columns, found: pd.DataFrame, all_days: pd.DatetimeIndex, known: pd.DatetimeIndex
) -> Seen:
    by_label = found.dropna(subset=["label"])
    return Seen(
        _alike(contract, found, all_days, ["cell"]),
        _alike(contract, by_label, known, ["cell", "label", "decision"]),
    )


def _count(
    contract: Columns, labelled: ir.Table
) -> tuple[pd.DataFrame, pd.DatetimeIndex, pd.DatetimeIndex]:
    """Groups of rows that are alike; and the days of all rows, and of those with a label."""
    [score, decision] = (labelled[told.name] for told in contract.task.output().told)
    groups = labelled.group_by(
        block=labelled[contract.event_time].truncate("D"),
        label=labelled[contract.label],
        cell=(score * CELLS).floor().cast("int32"),
        decision=decision.cast("int8"),
    )
    total = (score * UNIT).round().cast("int64").sum()
    found: pd.DataFrame = groups.aggregate(n=labelled.count(), total=total).to_pandas()
    return found, *_blocks(contract, labelled)


def _blocks(contract: Columns, rows: ir.Table) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """Days, in the order in which they would come if rows, or those with a label, were by key."""
    key = ibis.struct({f"key{i}": rows[name] for i, name in enumerate(contract.keys)})
    days = rows.group_by(day=rows[contract.event_time].truncate("D")).aggregate(
        first=key.min(), known=key.min(where=rows[contract.label].notnull())
    )
    days = days.cache()
    ordered = [
        days.filter(days[name].notnull()).order_by(name).select("day").to_pandas()["day"]
        for name in ("first", "known")
    ]
    return pd.DatetimeIndex(ordered[0]), pd.DatetimeIndex(ordered[1])


def _alike(
    contract: Columns, groups: pd.DataFrame, blocks: pd.DatetimeIndex, by: list[str]
) -> Counted:
    """Groups of rows that are alike in some columns, as one each."""
    merged = groups.groupby(by, sort=True)
    alike = merged[["n", "total"]].sum().reset_index()
    counts = np.zeros((len(blocks), len(alike)))
    places = blocks.get_indexer(pd.DatetimeIndex(groups["block"]))
    np.add.at(counts, (places, merged.ngroup().to_numpy()), groups["n"].to_numpy(np.float64))
    nothing = pd.Series(np.nan, index=alike.index)
    # a mean that was rounded stays in its cell
    mean = (alike["total"] / alike["n"] / UNIT).clip(lower=alike["cell"] / CELLS)
    return Counted(
        contract.task,
        contract.task.labels(alike.get("label", nothing)),
        mean.to_numpy(np.float64),
        nothing,
        alike["decision"].to_numpy(np.float64) if "decision" in alike else None,
        counts,
    )
