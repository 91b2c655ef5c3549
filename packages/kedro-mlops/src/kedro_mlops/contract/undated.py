"""What comes before what where rows have no date; see ``timeline``."""

from datetime import datetime
from itertools import pairwise
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kedro_mlops.core.names import own
from kedro_mlops.core.time_params import AsOf, Horizon

from .folds import Folds
from .places import Places
from .sample import digest, draw
from .splits import Side, Splits
from .timeline import Timeline

# random parts of rows without a date, whose differences are normal
N_PARTS = 5
# of the logged columns, the moment of the prediction
PREDICTED_AT = "predicted_at"
# columns that only this module sees
PLACE, CLASS, SHARE, BEYOND, ROW = map(own, ("place", "class", "share", "beyond", "row"))
# what there may be more of
_MORE = {
    "train": "a smaller validation_share, test_share or later_share among the parameters of "
    "modelling",
    "validation": "a larger validation_share among the parameters of modelling",
    "test": "a larger test_share among the parameters of modelling",
}


class Undated(Timeline):
    """By a place of each row, which is the same for the rows of a group.

    In the order of places, and of every class for itself, the first rows are those to train on,
    then come those to validate, those to test, and those that are set aside as what came after.
    So every class has its share of each. As rows are added, or shares are changed, a row may move
    from one side to another: a model's metadata therefore say up to which place it has learned
    from each class, and only what lies beyond counts as unseen.
    """

    moment = PREDICTED_AT

    def place(self, table: ir.Table) -> ir.StringValue:
        """Of each row, 32 hexadecimal digits, which are as good as random."""
        return digest(table, self.contract.ordered_by)

    def split(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> dict[str, Side]:
        """By shares of every class."""
        shared, sides = self._shared(table, splits, seed), {}
        for (name, remedy), ends in zip(_MORE.items(), pairwise(splits.bounds[:-1]), strict=True):
            rows = shared.filter(shared[SHARE] >= ends[0], shared[SHARE] < ends[1])
            sides[name] = Side(self.in_order(rows.drop(PLACE, CLASS, SHARE)), "", remedy)
        return sides

    def n_labelled(self, table: ir.Table, as_of: AsOf, splits: Splits) -> dict[str, int]:
        """By their shares."""
        n_rows = table[self.contract.label].count().to_pyarrow().as_py()
        ends = [round(n_rows * bound) for bound in splits.bounds[:-1]]
        return {name: end - start for name, (start, end) in zip(_MORE, pairwise(ends), strict=True)}

    def n_learned(self, table: ir.Table, as_of: AsOf, splits: Splits) -> int:
        """By their share."""
        return sum(self.n_labelled(table, as_of, splits).values())

    def n_new(self, table: ir.Table, since: datetime, until: datetime) -> int:
        """Nobody knows when any came."""
        return 0

    def known(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> ir.Table:
        """Those that are not set aside."""
        shared = self._shared(table, splits, seed)
        return shared.filter(shared[SHARE] < splits.bounds[-2]).drop(PLACE, CLASS, SHARE)

    def learned(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> ir.Table:
        """Those that are not set aside."""
        return self.known(table, as_of, splits, seed)

    def in_order(self, rows: ir.Table) -> ir.Table:
        """As if shuffled."""
        return rows.order_by([_other_half(self.place(rows)), *self.contract.keys])

    def marks(self, rows: pd.DataFrame) -> NDArray[np.str_]:
        """Its place."""
        return np.array(self._located(rows).to_pandas()[PLACE], np.str_)

    def folds(self, rows: pd.DataFrame, n_folds: int) -> Folds:
        """As many rows of every class in each; rows in the same place are in the same fold."""
        located = self._located(rows)
        found = located.select(PLACE, **{CLASS: self._code(located)}).to_pandas()
        places = found.groupby(PLACE)[CLASS].agg(["max", "size"])
        of_class = places.groupby("max")["size"]
        share = (of_class.cumsum() - places["size"] / 2) / of_class.transform("sum")
        # without numbers that no row has
        _, numbers = np.unique((share.to_numpy() * n_folds).astype(int), return_inverse=True)
        starts = places.index.to_numpy(np.str_)
        # places before the first are with it
        return Folds(np.append([""], starts[1:]), numbers)

    def before(self, rows: pd.DataFrame, folds: Folds, fold: int) -> NDArray[np.bool_]:
        """All that are in other folds."""
        return np.asarray(folds.of(self.marks(rows)) != fold)

    def _shared(self, table: ir.Table, splits: Splits, seed: int) -> ir.Table:
        """Labelled rows, with the share of the rows of their class that come before.

        Of many rows some are drawn before, so that ``max_rows`` are not set aside. A group counts
        as of the last of its classes. Of rows in the same place it is the middle one's share; what
        comes first is trained on, however few rows the class has.
        """
        contract = self.contract
        rows = contract.outcomes(table.filter(table[contract.label].notnull()))
        if splits.max_rows is not None:
            rows = draw(contract, rows, int(splits.max_rows / splits.bounds[-2]), seed)
        rows = rows.mutate(**{PLACE: self.place(rows)})
        rows = rows.mutate(**{CLASS: self._code(rows).max().over(group_by=rows[PLACE])})
        before = ibis.rank().over(group_by=rows[CLASS], order_by=rows[PLACE])
        here = rows.count().over(group_by=rows[PLACE])
        share = (before + here / 2) / rows.count().over(group_by=rows[CLASS])
        # others read it many times
        return rows.mutate(**{SHARE: (before == 0).ifelse(0.0, share)}).cache()

    def record(
        self, train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame
    ) -> dict[str, Any]:
        """The last places that were learned from, without the test rows and with them."""
        return {
            "evaluated_places": self._last(train, validation),
            "trained_places": self._last(train, validation, test),
        }

    def _last(self, *parts: pd.DataFrame) -> Places:
        learned = pd.concat(parts, ignore_index=True)
        if learned.empty:
            return Places(by=self.contract.ordered_by, last={})
        rows = self._located(learned)
        last = rows.group_by(code=self._code(rows)).aggregate(last=rows[PLACE].max())
        found = last.order_by("code").to_pyarrow().to_pylist()
        by_code = {str(row["code"]): row["last"] for row in found}
        return Places(by=self.contract.ordered_by, last=by_code)

    def _located(self, rows: pd.DataFrame) -> ir.Table:
        """Rows of which the label is a code or a number, with their places and in their order."""
        kept = rows[[*self.contract.ordered_by, self.contract.label]]
        table = ibis.memtable(kept.assign(**{ROW: np.arange(len(rows))}))
        return table.mutate(**{PLACE: self.place(table)}).order_by(ROW)

    def _code(self, rows: ir.Table) -> ir.IntegerValue:
        """The code of the class; numbers are all of one."""
        if not self.contract.task.classes:
            # a column of zeros: every row has its place
            return rows[PLACE].isnull().cast("int64")
        return rows[self.contract.label].cast("int64")

    def _beyond(self, rows: ir.Table, places: Places | None) -> ir.BooleanValue:
        """Whether rows lie beyond the last place of each class that is in their own place."""
        if places is None or places.by != self.contract.ordered_by:
            return ibis.literal(value=False)
        if not places.last:
            return ibis.literal(value=True)
        ends = [(int(code), place) for code, place in places.last.items()]
        last = self._code(rows).cases(*ends, else_="")
        return rows[PLACE] > last.max().over(group_by=rows[PLACE])

    def n_days(self, known: ir.Table) -> int:
        """None has a day."""
        return 0

    def days(self, rows: pd.DataFrame) -> dict[str, str]:
        """None has a day."""
        return {}

    def unseen(self, rows: pd.DataFrame, until: datetime, places: Places | None) -> pd.Series:
        """Those that lie beyond what was learned from."""
        located = self._located(rows)
        found = located.select(ROW, **{BEYOND: self._beyond(located, places)}).order_by(ROW)
        return pd.Series(found.to_pandas()[BEYOND].to_numpy(bool), index=rows.index)

    def due(
        self, table: ir.Table, places: Places | None, as_of: AsOf, horizon: Horizon
    ) -> ir.Table:
        """Those that lie beyond what was learned from, and those without a label."""
        rows = self.contract.outcomes(table)
        rows = rows.mutate(**{PLACE: self.place(rows)})
        rows = rows.mutate(**{BEYOND: self._beyond(rows, places)})
        due = rows.filter(rows[BEYOND] | rows[self.contract.label].isnull())
        return due.drop(PLACE, BEYOND)

    def predicted_at(self, table: ir.Table, as_of: AsOf) -> ir.TimestampValue:
        """At the as-of moment."""
        return ibis.literal(as_of.moment)

    def labelled(self, table: ir.Table, as_of: AsOf, horizon: Horizon) -> ir.Table:
        """All that have a label."""
        return table.filter(table[self.contract.label].notnull())

    def came_later(self, labelled: ir.Table) -> ir.BooleanValue:
        """Nobody knows when it came."""
        return labelled[self.contract.label].isnull()

    def parts(self, table: ir.Table, as_of: AsOf, days: int) -> ir.IntegerValue:
        """Random ones, of about as many rows each."""
        before = ibis.rank().over(order_by=_other_half(self.place(table)))
        return (before * N_PARTS // table.count().over()).cast("int32")


def _other_half(place: ir.StringValue) -> ir.StringValue:
    """Digits by which rows are shuffled: by the first ones, the last rows are of few classes."""
    return place.substr(16)
