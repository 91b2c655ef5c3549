"""Narrow cells of probabilities, by which those that are alike are counted together.

They are as wide as each other, but towards 0 and 1, where those of rare events are: there each is
as wide as a part of its distance to the end.
"""

import ibis.expr.types as ir
import numpy as np

from kedro_mlops.task.metrics import CALIBRATION_BINS
from kedro_mlops.task.outputs import Floats

# as wide as each other, if all were
EVEN = 1000 * CALIBRATION_BINS
# share of its distance to the end that a cell of a tail is wide, about; and where tails begin, so
# that none is wider than the others
NARROW = TAIL = 0.01
# no loss tells what is nearer to the end from what is so near
NEAREST = float(np.finfo(np.float64).eps)
N_TAIL = int(np.ceil(np.log(TAIL / NEAREST) / NARROW))
FIRST, LAST = int(TAIL * EVEN), int((1 - TAIL) * EVEN)


def cell_of(score: ir.NumericValue) -> ir.IntegerValue:
    """The cell of each probability, from 0 on."""
    even = (score * EVEN).floor().cast("int32").clip(FIRST, LAST - 1) - FIRST
    low, high = (_from_tail(end) for end in (score, 1 - score))
    cell = (score < TAIL).ifelse(-low, (score >= 1 - TAIL).ifelse(LAST - FIRST - 1 + high, even))
    return cell + N_TAIL


def _from_tail(far: ir.NumericValue) -> ir.IntegerValue:
    """Which cell of a tail, from its begin, a probability so far from the end is in, from 1 on."""
    steps = (far.clip(NEAREST, TAIL) / TAIL).ln() / -NARROW
    return steps.ceil().cast("int32").clip(1, N_TAIL)


def _edges() -> Floats:
    tail = TAIL * np.exp(-NARROW * np.arange(N_TAIL))
    return np.concatenate([[0], tail[:0:-1], np.arange(FIRST, LAST) / EVEN, 1 - tail, [1]])


# where each cell begins, and the last one ends
EDGES = _edges()
