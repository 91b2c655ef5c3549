"""What rows are drawn with by resamples, where an engine counts them: days, or parts at random.

Rows without a date are independent of each other, or of those of other groups. In the order of a
hash they are as if shuffled, and so are parts of them, which are drawn like rows, and tell as much.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from kedro_mlops.contract.batches import batches_of
from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.sample import digest
from kedro_mlops.core.engine import in_less_memory
from kedro_mlops.task.outputs import Floats

# hexadecimal ones, by which a row without a date is in its part: 256 parts
DIGITS = 2
GROUPS_AT_ONCE = 2**17

Ends = tuple[pd.Timestamp, pd.Timestamp]


@dataclass(frozen=True)
class Blocks:
    """The blocks of rows, in the order in which they would come if rows were by key.

    Attributes:
        names: What they are called: days, or digits.
        n: Rows of each, shape (n_blocks,).
    """

    names: pd.Index
    n: Floats

    def __len__(self) -> int:
        return int(self.n.sum())

    def places(self, names: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Where they are among these."""
        return np.asarray(self.names.get_indexer(pd.Index(names)))

    def within(self, days: Ends | None) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """The places of those of some days; of all, if there are none."""
        if days is None:
            return np.arange(len(self.names))
        return np.flatnonzero((self.names >= days[0]) & (self.names < days[1]))

    def of(self, days: Ends | None) -> "Blocks":
        """Those of some days; all, if there are none."""
        places = self.within(days)
        return Blocks(self.names[places], self.n[places])


def block_of(contract: Columns, rows: ir.Table) -> ir.Value:
    """The block of each row."""
    if contract.has_time:
        return rows[contract.event_time].truncate("D")
    return digest(rows, contract.ordered_by).substr(0, DIGITS)


def blocks_of(contract: Columns, rows: ir.Table) -> tuple[Blocks, Blocks]:
    """Those of all rows, and of those whose label is known."""
    key = ibis.struct({f"key{i}": rows[name] for i, name in enumerate(contract.keys)})
    is_known = rows[contract.label].notnull()
    found = rows.group_by(block=block_of(contract, rows)).aggregate(
        first=key.min(),
        n=rows.count(),
        first_known=key.min(where=is_known),
        n_known=is_known.sum(),
    )
    found = found.cache()
    of_all, of_known = (
        found.filter(found[first].notnull()).order_by(first).select("block", n=found[n]).to_pandas()
        for first, n in (("first", "n"), ("first_known", "n_known"))
    )
    return _blocks(of_all), _blocks(of_known)


def _blocks(found: pd.DataFrame) -> Blocks:
    return Blocks(pd.Index(found["block"]), found["n"].to_numpy(np.float64))


def frames_of(groups: ir.Table) -> Iterator[pd.DataFrame]:
    """Groups, of which there may be millions, some after the others."""
    with in_less_memory(groups):
        # so that it is known how many there are
        for batch in batches_of(groups.cache(), GROUPS_AT_ONCE):
            yield batch.to_pandas()
