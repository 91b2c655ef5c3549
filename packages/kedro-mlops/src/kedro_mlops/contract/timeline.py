"""What comes before what: by the date of rows, or, where they have none, by a place of their own.

A model is measured on rows that come after those it has learned from, and is watched on those that
come after both. Where rows have an ``event_time``, that is time. Where they have none, every row
has a place that is a pure function of its keys, or of its group: the MD5 of their text, which is
the same on every engine, whatever other rows there are. In the order of places rows are as if
shuffled, so that ranges of it are random parts, and no group is in two.

Stages ask the ``Timeline`` of their contract, and do not know which of the two it is.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from kedro_mlops.core.names import own
from kedro_mlops.core.time_params import AsOf, Horizon, Parameters

from .columns import Columns
from .folds import Folds
from .places import Places
from .sample import digest, draw, shares_of

SECONDS_A_DAY = 86_400
# random parts of rows without a date, whose differences are normal
N_PARTS = 5
# of the logged columns, the moment of the prediction
PREDICTED_AT = "predicted_at"
# columns that only this module sees
PLACE, CLASS, SHARE, BEYOND, ROW = map(own, ("place", "class", "share", "beyond", "row"))
# of the rows that may be taken, the part that every window of time gets, if it has so many
LEAST_OF_WINDOW = 0.1


class Splits(Parameters):
    """How rows are divided: by days where they have a date, else by shares."""

    validation_days: int = Field(gt=0, description="Days before the test window, for tuning")
    test_days: int = Field(gt=0, description="Last days before as-of, measured once")
    validation_share: float = Field(
        0.2, gt=0, lt=1, description="Of rows without a date: the share for tuning"
    )
    test_share: float = Field(0.2, gt=0, lt=1, description="Of them, the share measured once")
    later_share: float = Field(
        0.2, gt=0, lt=1, description="Of them, the share set aside as what came after training"
    )
    max_rows: PositiveInt | None = Field(
        None,
        description="Labelled rows that come into memory at most, to learn from and to measure on, "
        "drawn by their keys; null: all",
    )

    @model_validator(mode="after")
    def _some_are_left_to_learn_from(self) -> "Splits":
        if self.bounds[1] <= 0:
            raise ValueError(
                "validation_share, test_share and later_share leave no rows to train on: their "
                "sum must be below 1."
            )
        return self

    @property
    def bounds(self) -> tuple[float, ...]:
        """Where train, validation, test and what came after begin and end."""
        later = 1 - self.later_share
        test = later - self.test_share
        # of decimal shares, what they say
        return 0.0, *(round(end, 9) for end in (test - self.validation_share, test, later)), 1.0


@dataclass(frozen=True)
class Side:
    """Labelled rows that are used alike.

    Attributes:
        rows: Them, or those that were drawn, in their order; labels are numbers or codes.
        end: Until when they are, in words.
        remedy: What to do if there are too few.
    """

    rows: ir.Table
    end: str
    remedy: str


class Timeline(ABC):
    """What comes before what."""

    def __init__(self, contract: Columns) -> None:
        self.contract = contract

    # the column of predictions by which they are watched
    moment: str

    @abstractmethod
    def split(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> dict[str, Side]:
        """The labelled rows to train on, to validate and to test, none of which is in two.

        Of more than ``max_rows`` that many are drawn.
        """

    @abstractmethod
    def n_labelled(self, table: ir.Table, as_of: AsOf, splits: Splits) -> dict[str, int]:
        """How many rows each side has, before any are drawn."""

    @abstractmethod
    def known(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> ir.Table:
        """The rows from which a model learns in the end: all those of ``split``."""

    @abstractmethod
    def learned(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> ir.Table:
        """Of those, the ones that have a label; labels are numbers or codes."""

    @abstractmethod
    def n_learned(self, table: ir.Table, as_of: AsOf, splits: Splits) -> int:
        """How many rows ``learned`` has, before any are drawn."""

    @abstractmethod
    def in_order(self, rows: ir.Table) -> ir.Table:
        """Rows in their order."""

    @abstractmethod
    def marks(self, rows: pd.DataFrame) -> NDArray[np.str_]:
        """Of each row, the text by which it is in a fold."""

    @abstractmethod
    def folds(self, rows: pd.DataFrame, n_folds: int) -> Folds:
        """That many folds of labelled rows, or as many as can be made of them."""

    @abstractmethod
    def before(self, rows: pd.DataFrame, folds: Folds, fold: int) -> NDArray[np.bool_]:
        """The rows from which the model learns that is measured on a fold."""

    @abstractmethod
    def record(
        self, train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame
    ) -> dict[str, Any]:
        """What a model's metadata say of the rows that were learned from, to be asked later."""

    @abstractmethod
    def n_days(self, known: ir.Table) -> int:
        """How many days rows are of; 0 if they have none."""

    @abstractmethod
    def days(self, rows: pd.DataFrame) -> dict[str, str]:
        """The first day and the last day of rows, if they have some."""

    @abstractmethod
    def unseen(self, rows: pd.DataFrame, until: datetime, places: Places | None) -> pd.Series:
        """The rows that a model has surely not learned from, having got so far."""

    @abstractmethod
    def due(
        self, table: ir.Table, places: Places | None, as_of: AsOf, horizon: Horizon
    ) -> ir.Table:
        """The rows that are to be scored, by a model that has learned up to some places."""

    @abstractmethod
    def predicted_at(self, table: ir.Table, as_of: AsOf) -> ir.TimestampValue:
        """When batch scoring would have been asked for rows."""

    @abstractmethod
    def labelled(self, table: ir.Table, as_of: AsOf, horizon: Horizon) -> ir.Table:
        """The rows whose label is known when the horizon ends, of those that may be scored."""

    @abstractmethod
    def came_later(self, labelled: ir.Table) -> ir.BooleanValue:
        """Of rows whose label is known, whether that came on another day than the row."""

    @abstractmethod
    def parts(self, table: ir.Table, as_of: AsOf, days: int) -> ir.IntegerValue:
        """A number of the part that each row is in, where parts differ as much as is normal."""


def timeline_of(contract: Columns) -> Timeline:
    """What comes before what in the rows of a contract."""
    return Dated(contract) if contract.has_time else Undated(contract)


class Dated(Timeline):
    """By the date of rows."""

    def __init__(self, contract: Columns) -> None:
        super().__init__(contract)
        self.moment = contract.event_time

    def split(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> dict[str, Side]:
        """By windows of time.

        A row belongs to a window only if its label was known when the window ended, so that
        training never sees a label that was not there yet. Of many rows every window has its share,
        but at least a tenth of those that may be taken.
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
        """Those whose label was known."""
        return self._known(table, as_of.moment)

    def learned(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> ir.Table:
        """Those whose label was known."""
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
        """Those whose label was known when the fold began."""
        return self._known_by(rows, folds.starts[fold])

    def _known_by(self, rows: pd.DataFrame, day: str) -> NDArray[np.bool_]:
        known = rows[self.contract.label_time]
        return (known < pd.Timestamp(day, tz=known.dt.tz)).to_numpy()

    def _known(self, table: ir.Table, end: pd.Timestamp) -> ir.Table:
        return table.filter(table[self.contract.label_time] < ibis.literal(end))

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


# what there may be more of; the training window has what precedes the other two
_LONGER = {
    "train": "an as_of with more rows before it, smaller modelling.validation_days or smaller "
    "modelling.test_days",
    "validation": "a larger modelling.validation_days",
    "test": "a larger modelling.test_days",
}
_MORE = {
    "train": "a smaller validation_share, test_share or later_share among the parameters of "
    "modelling",
    "validation": "a larger validation_share among the parameters of modelling",
    "test": "a larger test_share among the parameters of modelling",
}


def within(table: ir.Table, moment: str, as_of: AsOf, horizon: Horizon) -> ir.Table:
    """The rows whose moment lies in the horizon."""
    start, end = ibis.literal(as_of.moment), ibis.literal(as_of.after(horizon.days))
    return table.filter(table[moment] >= start, table[moment] < end)


def windows_back(event_time: ir.TimestampValue, end: pd.Timestamp, days: int) -> ir.IntegerValue:
    """The window of so many days that a moment lies in, counted back from the end: 0 the newest."""
    # some engines drop the fractions of a second, which make no difference when it is rounded up
    seconds = ibis.literal(end).epoch_seconds() - event_time.epoch_seconds()
    return ((seconds / (days * SECONDS_A_DAY)).ceil() - 1).cast("int32")


def _other_half(place: ir.StringValue) -> ir.StringValue:
    """Digits by which rows are shuffled: by the first ones, the last rows are of few classes."""
    return place.substr(16)
