"""Some of the rows, drawn by their keys, where all of them would not fit into memory.

A row is drawn by the MD5 of its keys' text and the seed: the same one on every engine, in whatever
order or files rows come. As rows are added, those drawn before are drawn again, or make room for
others; which ones stay does not depend on what came. Every class has its share of the sample, and
every period, since keys are drawn as if at random.
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kedro_mlops.core.names import own

from .columns import Columns

Part = TypeVar("Part", bound=Hashable)

# of every class that has so many
LEAST_OF_CLASS = 20
# columns that only this module sees
DRAW, CLASS, BEFORE = map(own, ("draw", "class", "before"))
BETWEEN = "\x1f"
# leading digits of a draw by which most rows are left where they are
DIGITS = 8
# beyond all hexadecimal digits
END = "g"


def text_of(values: ir.Value) -> ir.StringValue:
    """A key as text that is the same on every engine."""
    if values.type().is_timestamp():
        # engines differ in the fractions that they keep
        values = values.truncate("s").epoch_seconds().cast("int64")
    return values.cast("string")


def digest(rows: ir.Table, names: list[str], *more: str) -> ir.StringValue:
    """Of each row, 32 hexadecimal digits that follow from columns, as good as random."""
    text, *others = [*(text_of(rows[name]) for name in names), *map(ibis.literal, more)]
    for other in others:
        text = text + BETWEEN + other
    return text.hexdigest("md5")


def draw(
    contract: Columns, rows: ir.Table, n_rows: int, seed: int, *, by_class: bool = True
) -> ir.Table:
    """So many labelled rows, of every class its share and a few; all, if there are no more.

    Args:
        contract: Of the rows, whose labels are numbers or codes.
        rows: In any order, which is lost.
        n_rows: Rows to draw.
        seed: Another one draws others.
        by_class: Whether classes are told apart; if not, a rare one has what falls to it, and
            figures of the rows are those of all.
    """
    rows = rows.mutate(**{CLASS: _class_of(contract, rows) if by_class else ibis.literal(0)})
    counted = rows.group_by(CLASS).aggregate(n=rows.count()).order_by(CLASS).to_pyarrow()
    n_known = dict(zip(*(counted[name].to_pylist() for name in (CLASS, "n")), strict=True))
    if sum(n_known.values()) <= n_rows:
        return rows.drop(CLASS)
    quotas = shares_of(n_known, n_rows, _least_of_class(n_rows, len(n_known)))
    ends = [(of_class, _end(n, n_known[of_class])) for of_class, n in quotas.items()]
    rows = rows.mutate(**{DRAW: digest(rows, contract.keys, str(seed))})
    # most rows are passed by at once: only the others have to be put into an order
    rows = rows.filter(rows[DRAW] < rows[CLASS].cases(*ends, else_=""))
    before = ibis.row_number().over(
        group_by=rows[CLASS], order_by=[rows[DRAW], *(rows[name] for name in contract.keys)]
    )
    rows = rows.mutate(**{BEFORE: before})
    drawn = rows.filter(rows[BEFORE] < rows[CLASS].cases(*quotas.items(), else_=0))
    return drawn.drop(CLASS, DRAW, BEFORE)


def about(rows: ir.Table, names: list[str], n_rows: int) -> ir.Table:
    """So many rows, or a few more, drawn by columns and in their order; all, if there are not."""
    n_known = int(rows.count().to_pyarrow().as_py())
    return rows if n_known <= n_rows else rows.filter(digest(rows, names) < _end(n_rows, n_known))


def _class_of(contract: Columns, rows: ir.Table) -> ir.IntegerValue:
    """The code of the class; numbers are all of one."""
    label = rows[contract.label]
    return label.cast("int64") if contract.task.classes else label.isnull().cast("int64")


def shares_of(n_known: Mapping[Part, int], n_rows: int, n_least: int) -> dict[Part, int]:
    """How many rows of each part are drawn: its share, but some of every part.

    Args:
        n_known: Rows that each part has, more than ``n_rows`` together.
        n_rows: Rows to draw, of all parts together.
        n_least: Rows of a part that has so many.
    """
    least = {part: min(n, n_least) for part, n in n_known.items()}
    n_fixed = sum(least.values())
    more, others = n_rows - n_fixed, sum(n_known.values()) - n_fixed
    return {part: n + (n_known[part] - n) * more // others for part, n in least.items()}


def _end(n: int, n_known: int) -> str:
    """Before which draw there are surely so many of the rows, being as if at random."""
    share = (n + 6 * np.sqrt(n) + 20) / n_known
    return END if share >= 1 else f"{int(share * 16**DIGITS):0{DIGITS}x}"


def some_of(contract: Columns, rows: pd.DataFrame, most: int | None, seed: int) -> pd.DataFrame:
    """So many of the rows in memory at most, drawn by their keys and in their order.

    Of every class its share and a few, as of those that come into memory.
    """
    if most is None or len(rows) <= most:
        return rows
    label = rows[contract.label]
    codes, known = pd.factorize(label if contract.task.classes else label.isna())
    n_known = dict(enumerate(np.bincount(codes, minlength=len(known)).tolist()))
    quotas = shares_of(n_known, most, _least_of_class(most, len(known)))
    drawn = pd.Series(_draws(contract, rows, seed), rows.index)
    before = drawn.groupby(codes).rank(method="first").to_numpy()
    return rows[before <= np.array([*quotas.values()])[codes]]


def _draws(contract: Columns, rows: pd.DataFrame, seed: int) -> NDArray[np.uint64]:
    """Of each row in memory, a number that follows from its keys, as good as random."""
    hashes = pd.util.hash_pandas_object(rows[contract.keys], index=False).to_numpy()
    # the seed has to make another order, not another number only
    return pd.util.hash_array(hashes ^ np.uint64(seed))


def _least_of_class(n_rows: int, n_classes: int) -> int:
    """Rows of a class that has so many; all classes take no more than half of the sample."""
    return min(LEAST_OF_CLASS, n_rows // (2 * n_classes))
