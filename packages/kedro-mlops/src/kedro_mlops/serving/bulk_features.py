"""Large requests: what is looked up for many rows at once."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kedro_mlops.feature_store.reader import FeatureStore, Group
from kedro_mlops.feature_store.ttl_cache import Entry
from kedro_mlops.runtime.encoding import ArrayColumn, Arrays, Coded
from kedro_mlops.runtime.serving_spec import Field

from .arrow_columns import pairs
from .limits import DeadlineCheck, no_deadline


def complete_table(
    columns: Arrays,
    store: FeatureStore,
    event_time: str,
    names: Sequence[str],
    check_deadline: DeadlineCheck = no_deadline,
) -> tuple[dict[str, ArrayColumn], Coded[dict[str, str]]]:
    """Add the looked-up columns.

    Args:
        columns: The columns that were sent, named ``names`` in the order of the spec's fields.
        store: Where the others are looked up.
        event_time: The column that says for which day.
        names: See above.
        check_deadline: Called before each look-up.

    Returns:
        All the columns, and per row why values are missing.
    """
    completed = dict(columns)
    kinds = {field.name: field for field in store.spec.looked_up}
    moments = np.asarray(columns[event_time])
    days = _days(moments)
    missing: Coded[dict[str, str]] = Coded(np.zeros(len(moments), np.int64), [{}])
    for number, group in enumerate(store.groups):
        check_deadline()
        entities = columns[names[group.by]]
        assert isinstance(entities, Coded)
        found = _found(store, number, group, entities, days)
        values, reasons_of = zip(*found.values, strict=True)
        for name, column in zip(group.names, zip(*values, strict=True), strict=True):
            completed[name] = _looked_up(column, kinds[name], found.codes)
        reasons = Coded(found.codes, list(reasons_of))
        if any(reasons.values):
            both = pairs(missing, _distinct(reasons))
            missing = Coded(both.codes, [known | more for known, more in both.values])
    return completed, missing


def _days(moments: NDArray[np.datetime64]) -> Coded[date]:
    import pyarrow as pa  # noqa: PLC0415

    days = pa.array(moments.astype("datetime64[D]")).dictionary_encode()
    return Coded(days.indices.to_numpy().astype(np.int64), days.dictionary.to_pylist())


def _found(
    store: FeatureStore, number: int, group: Group, entities: Coded[str | None], days: Coded[date]
) -> Coded[Entry]:
    """What the store has of a group for each row."""
    keys: Coded[Any] = (
        Coded(entities.codes, [(entity, None) for entity in entities.values])
        if group.day is None
        else pairs(entities, days)
    )
    asked = [None if key[0] is None else key for key in keys.values]
    return Coded(keys.codes, store.find(number, asked))


def _distinct(reasons: Coded[dict[str, str]]) -> Coded[dict[str, str]]:
    """The same, every value once."""
    place: dict[tuple[tuple[str, str], ...], int] = {}
    codes = [place.setdefault(tuple(found.items()), len(place)) for found in reasons.values]
    return Coded(np.array(codes)[reasons.codes], [dict(items) for items in place])


def _looked_up(values: Sequence[Any], field: Field, place: NDArray[np.int64]) -> ArrayColumn:
    """A looked-up column from its distinct values; numbers that were not found are NaN."""
    if field.kind in ("numeric", "boolean"):
        return np.array(values, dtype=np.float64)[place]
    if field.kind == "datetime":
        return np.array(values, dtype="datetime64[us]")[place]
    return Coded(place, list(values))
