"""When rows happened: which column says so, and which days follow from it."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from .learning import later_share
from .profile import ColumnProfile, TableProfile

NAMED = re.compile(
    r"date|time|timestamp|datum|zeit|moment|created|recorded|(^|[\s_])(day|at|on|when|ts)$", re.I
)
OF_BIRTH = re.compile(r"birth|dob|geburt|born", re.I)
# of the rows before the as-of day, those that are measured; of the others, those by which
# hyperparameters are chosen; and of all rows, those that a replay lives
LAST_SHARE = 0.2
MIN_DAYS = 30
MAX_DAYS = 365 * 30
MIN_ROWS = 500


@dataclass(frozen=True)
class Days:
    """The days that follow from a column of moments.

    Attributes:
        as_of: The day after which the last rows lie.
        horizon: How many days these are.
        window: By how many days they are looked at.
        validation: For how many days before the test window hyperparameters are chosen.
        test: How many last days before ``as_of`` are measured.
        first: The first day.
        last: The last one.
        replayed: The day on which a replay begins.
    """

    as_of: str
    horizon: int
    window: int
    validation: int
    test: int
    first: str
    last: str
    replayed: str


def propose_time(profile: TableProfile, others: Collection[str]) -> tuple[str | None, bool]:
    """The column that plausibly says when rows happened, and whether that is safe to say.

    Args:
        profile: What was found in the table.
        others: Columns of which a person has said what else they are.
    """
    plausible = [c for c in profile.columns if c.name not in others and _is_plausible(profile, c)]
    named = [c for c in plausible if NAMED.search(c.name)]
    found = next(iter([*named, *plausible]), None)
    if found is None:
        return None, False
    is_safe = len(plausible) == 1 and bool(named) and profile.n_rows >= MIN_ROWS
    return found.name, is_safe


def _is_plausible(profile: TableProfile, column: ColumnProfile) -> bool:
    if column.kind != "moment" or column.n_missing or column.n_odd or OF_BIRTH.search(column.name):
        return False
    assert isinstance(column.low, datetime) and isinstance(column.high, datetime)
    days = (column.high - column.low).days
    return MIN_DAYS <= days <= MAX_DAYS and column.n_distinct >= min(MIN_DAYS, profile.n_rows / 10)


def days_of(profile: TableProfile, time: str) -> Days:
    """What ``as_of``, horizon and windows are, by when the rows of the sample happened."""
    moments = profile.sample[time].dropna().sort_values(ignore_index=True)
    first, last = moments.iloc[0], moments.iloc[-1]
    as_of = _day_before(moments, later_share(profile.n_rows))
    before = max((as_of - first.normalize()).days, 1)
    earlier = moments[moments < as_of]
    test = _days_back(earlier, as_of, LAST_SHARE)
    validation = _days_back(earlier, as_of - pd.Timedelta(days=test), LAST_SHARE)
    horizon = max((last.normalize() - as_of).days + 1, 1)
    return Days(
        as_of=f"{as_of:%Y-%m-%d}",
        horizon=horizon,
        window=7 if horizon >= 28 else max(horizon // 4, 1),
        validation=min(validation, before),
        test=min(test, before),
        first=f"{first:%Y-%m-%d}",
        last=f"{last:%Y-%m-%d}",
        replayed=f"{_day_before(moments, LAST_SHARE):%Y-%m-%d}",
    )


def _day_before(moments: pd.Series, share: float) -> pd.Timestamp:
    """The day before which all rows lie but such a share, the last ones."""
    day: pd.Timestamp = moments.iloc[int(len(moments) * (1 - share))].normalize()
    return day


def _days_back(moments: pd.Series, end: pd.Timestamp, share: float) -> int:
    """How many days before the end hold a share of the rows."""
    before = moments[moments < end]
    if before.empty:
        return 1
    return max(int((end - _day_before(before, share)).days), 1)
