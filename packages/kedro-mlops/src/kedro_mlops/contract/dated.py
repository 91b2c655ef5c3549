"""What comes before what where rows have a date; see ``timeline``."""

from datetime import datetime
from itertools import pairwise
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kedro_mlops.core.time_params import AsOf, Horizon

from .columns import Columns
from .folds import Folds
from .places import Places
from .sample import draw, shares_of
from .splits import Side, Splits
from .timeline import Timeline

SECONDS_A_DAY = 86_400
# of the rows that may be taken, the part that every window of time gets, if it has so many
LEAST_OF_WINDOW = 0.1
# what there may be more of; the training window has what precedes the other two
_LONGER = {
    "train": "an as_of with more rows before it, smaller modelling.validation_days or smaller "
    "modelling.test_days",
    "validation": "a larger modelling.validation_days",
    "test": "a larger modelling.test_days",
}


class Dated(Timeline):
    """By the date of rows."""

    def __init__(self, contract: Columns) -> None:
        super().__init__(contract)
        self.moment = contract.event_time

    def split(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> dict[str, Side]:
        """By windows of time.

        A row belongs to the window of its event, and only if its label was known when that ended,
        so that training never sees a label that was not there yet. Of many rows every window has
        its share, but at least a tenth of those that may be taken.
        """
        windows = self._windows(table, as_of, splits)
        most, n_labelled = splits.max_rows, self.n_labelled(table, as_of, splits)
        if most is not None and sum(n_labelled.values()) > most:
            sizes = shares_of(n_labelled, most, int(most * LEAST_OF_WINDOW))
            windows = {
                name: (draw(self.contract, rows, sizes[name], seed), end)
                for name, (rows, end) in windows.items()
            }
        return {
            name: Side(self.in_order(rows), f", which ends on {end:%Y-%m-%d},", _LONGER[name])
            for name, (rows, end) in windows.items()
        }

    def n_labelled(self, table: ir.Table, as_of: AsOf, splits: Splits) -> dict[str, int]:
        """Counted."""
        windows = self._windows(table, as_of, splits)
        return {name: rows.count().to_pyarrow().as_py() for name, (rows, _) in windows.items()}

    def n_learned(self, table: ir.Table, as_of: AsOf, splits: Splits) -> int:
        """Counted."""
        learned = self._between(table, pd.Timestamp.min, as_of.moment)
        return int(learned.count().to_pyarrow().as_py())

    def n_new(self, table: ir.Table, since: datetime, until: datetime) -> int:
        """Counted."""
        known = self._known(table, pd.Timestamp(until))
        label_time, moment = known[self.contract.label_time], known[self.moment]
        later = (label_time >= ibis.literal(since)) | (moment >= ibis.literal(since))
        new = known.filter(later, known[self.contract.label].notnull())
        return int(new.count().to_pyarrow().as_py())

    def _windows(
        self, table: ir.Table, as_of: AsOf, splits: Splits
    ) -> dict[str, tuple[ir.Table, pd.Timestamp]]:
        """The rows of each window, and its end."""
        test_start = as_of.before(splits.test_days)
        validation_start = test_start - pd.Timedelta(days=splits.validation_days)
        bounds = [pd.Timestamp.min, validation_start, test_start, as_of.moment]
        return {
            name: (self._between(table, *ends), ends[1])
            for name, ends in zip(_LONGER, pairwise(bounds), strict=True)
        }

    def _between(self, table: ir.Table, start: pd.Timestamp, end: pd.Timestamp) -> ir.Table:
        contract, known = self.contract, self._known(table, end)
        known = known.filter(known[contract.label].notnull())
        if start > pd.Timestamp.min:
            known = known.filter(known[self.moment] >= ibis.literal(start))
        return contract.outcomes(known)

    def in_order(self, rows: ir.Table) -> ir.Table:
        """By time."""
        return rows.order_by(list(dict.fromkeys([self.moment, *self.contract.keys])))

    def known(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> ir.Table:
        """Those of events before the as-of moment whose label was known."""
        return self._known(table, as_of.moment)

    def learned(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> ir.Table:
        """Those of events before the as-of moment whose label was known."""
        return self._between(table, pd.Timestamp.min, as_of.moment)

    def marks(self, rows: pd.DataFrame) -> NDArray[np.str_]:
        """Its day."""
        return np.array(rows[self.moment].dt.strftime("%Y-%m-%d"), np.str_)

    def folds(self, rows: pd.DataFrame, n_folds: int) -> Folds:
        """Days that follow each other, of about as many rows as those before the first fold.

        A fold begins only when something can be learned from the labels that are known by then.
        """
        days = np.sort(self.marks(rows))
        starts = np.unique(days[len(days) * np.arange(1, n_folds + 1) // (n_folds + 1)])
        labels = rows[self.contract.label]
        starts = starts[[len({*labels[self._known_by(rows, day)]}) > 1 for day in starts]]
        return Folds(starts, np.arange(len(starts)))

    def before(self, rows: pd.DataFrame, folds: Folds, fold: int) -> NDArray[np.bool_]:
        """Those that were known when the fold began."""
        return self._known_by(rows, folds.starts[fold])

    def _known_by(self, rows: pd.DataFrame, day: str) -> NDArray[np.bool_]:
        times = [rows[name] for name in (self.contract.label_time, self.moment)]
        before = [(each < pd.Timestamp(day, tz=each.dt.tz)).to_numpy() for each in times]
        return np.logical_and(*before)

    def _known(self, table: ir.Table, end: pd.Timestamp) -> ir.Table:
        """The rows that are known by then: a label may be there before the event, a row may not."""
        label_time, moment = table[self.contract.label_time], table[self.moment]
        return table.filter(label_time < ibis.literal(end), moment < ibis.literal(end))

    def record(
        self, train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame
    ) -> dict[str, Any]:
        """The day on which the test window begins."""
        return {"evaluated_until": test[self.moment].min().normalize()}

    def n_days(self, known: ir.Table) -> int:
        """How many days have some."""
        return int(known[self.moment].truncate("D").nunique().to_pyarrow().as_py())

    def days(self, rows: pd.DataFrame) -> dict[str, str]:
        """The first day and the last day of rows."""
        days = rows[self.moment].dt.normalize()
        return {"first_day": str(days.min().date()), "last_day": str(days.max().date())}

    def unseen(self, rows: pd.DataFrame, until: datetime, places: Places | None) -> pd.Series:
        """Those that are of later days."""
        later: pd.Series = rows[self.moment] >= until
        return later

    def due(
        self, table: ir.Table, places: Places | None, as_of: AsOf, horizon: Horizon
    ) -> ir.Table:
        """Those of the horizon."""
        return within(table, self.moment, as_of, horizon)

    def predicted_at(self, table: ir.Table, as_of: AsOf) -> ir.TimestampValue:
        """When the day of each began."""
        return table[self.moment].truncate("D")

    def labelled(self, table: ir.Table, as_of: AsOf, horizon: Horizon) -> ir.Table:
        """Those of the horizon whose label is known at its end."""
        known = self._known(within(table, self.moment, as_of, horizon), as_of.after(horizon.days))
        return known.filter(known[self.contract.label].notnull())

    def came_later(self, labelled: ir.Table) -> ir.BooleanValue:
        """Whether the label is known only on a later day than the event's."""
        label_time, moment = labelled[self.contract.label_time], labelled[self.moment]
        return label_time.truncate("D") > moment.truncate("D")

    def parts(self, table: ir.Table, as_of: AsOf, days: int) -> ir.IntegerValue:
        """Windows of so many days."""
        return windows_back(table[self.moment], as_of.moment, days)


def within(table: ir.Table, moment: str, as_of: AsOf, horizon: Horizon) -> ir.Table:
    """The rows whose moment lies in the horizon."""
    start, end = ibis.literal(as_of.moment), ibis.literal(as_of.after(horizon.days))
    return table.filter(table[moment] >= start, table[moment] < end)


def windows_back(event_time: ir.TimestampValue, end: pd.Timestamp, days: int) -> ir.IntegerValue:
    """The window of so many days that a moment lies in, counted back from the end: 0 the newest."""
    # some engines drop the fractions of a second, which make no difference when it is rounded up
    seconds = ibis.literal(end).epoch_seconds() - event_time.epoch_seconds()
    return ((seconds / (days * SECONDS_A_DAY)).ceil() - 1).cast("int32")
