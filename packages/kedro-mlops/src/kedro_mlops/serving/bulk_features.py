"""Large requests: what is looked up for many rows at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedro_mlops.feature_store.reader import FeatureStore
from kedro_mlops.runtime.encoding import ArrayColumn, Arrays, Coded, as_coded
from kedro_mlops.runtime.serving_spec import Field

from .arrow_columns import pairs, whole_numbers
from .limits import DeadlineCheck, no_deadline


def complete_table(
    columns: Arrays, store: FeatureStore, check_deadline: DeadlineCheck = no_deadline
) -> tuple[dict[str, ArrayColumn], Coded[dict[str, str]]]:
    """Add the looked-up columns.

    Args:
        columns: The columns that were sent.
        store: Where the others are looked up.
        check_deadline: Called before each look-up.

    Returns:
        All the columns, and per row why values are missing.
    """
    import pyarrow as pa  # noqa: PLC0415

    completed = dict(columns)
    sent = [field.name for field in store.spec.sent]
    no_day: Coded[Any] = Coded(np.zeros(_n_rows(columns), np.int64), [None])
    days = no_day
    if store.spec.event_time:
        moments = np.asarray(columns[store.spec.event_time])
        days = as_coded(pa.array(moments.astype("datetime64[D]")))
    missing: Coded[dict[str, str]] = Coded(no_day.codes, [{}])
    patience = store.patience(_n_rows(columns))
    for group in store.groups:
        check_deadline()
        entities = _entities(columns[sent[group.by]])
        keys = pairs(entities, no_day if group.day is None else days)
        asked = [None if key[0] is None else key for key in keys.values]
        values, reasons = zip(*store.find(group, asked, patience), strict=True)
        for field, column in zip(group.fields, zip(*values, strict=True), strict=True):
            completed[field.name] = _looked_up(column, field, keys.codes)
        if any(reasons):
            both = pairs(missing, _distinct(Coded(keys.codes, list(reasons))))
            missing = Coded(both.codes, [known | more for known, more in both.values])
    return completed, missing


def _entities(column: ArrayColumn) -> Coded[Any]:
    """What is looked up by, every one once."""
    return column if isinstance(column, Coded) else as_coded(whole_numbers(column))


def _n_rows(columns: Arrays) -> int:
    first = next(iter(columns.values()))
    return len(first.codes if isinstance(first, Coded) else first)


def _distinct(reasons: Coded[dict[str, str]]) -> Coded[dict[str, str]]:
    """The same, every value once."""
    place: dict[tuple[tuple[str, str], ...], int] = {}
    codes = [place.setdefault(tuple(found.items()), len(place)) for found in reasons.values]
    return Coded(np.array(codes)[reasons.codes], [dict(items) for items in place])


def _looked_up(values: Sequence[Any], field: Field, place: NDArray[np.int64]) -> ArrayColumn:
    """A looked-up column from its distinct values; fractions that were not found are NaN."""
    if field.kind in ("numeric", "boolean") and not field.integer:
        return np.array(values, dtype=np.float64)[place]
    if field.kind == "datetime":
        return np.array(values, dtype="datetime64[us]")[place]
    return Coded(place, list(values))
