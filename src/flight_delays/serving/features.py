"""Looking up, in the online store, what the caller does not send."""

import logging
from collections.abc import Iterable
from itertools import groupby
from urllib.parse import quote

import numpy as np
import pandas as pd
import sqlalchemy as sa

from flight_delays.columns import DAY, ENTITY, Column, Columns, Lookup

logger = logging.getLogger(__name__)


class FeatureStore:
    """The online store: a SQL table per feature table, keyed by entity and, mostly, day.

    A daily value is the newest that is not later than the event's day; values older than
    ``max_age_days`` are treated as missing, like those of unknown entities and those that cannot
    be read because the store is down.

    Args:
        url: SQLAlchemy URL of the store.
        columns: The columns of the contract, which say what is looked up, where and by what key.
        max_age_days: Greatest age of a daily value.
    """

    def __init__(self, url: str, columns: Columns, max_age_days: int) -> None:
        self._engine = sa.create_engine(_read_only(sa.make_url(url)), pool_pre_ping=True)
        self._columns = columns
        self._max_age = pd.Timedelta(days=max_age_days)

    def complete(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Add the looked-up columns to the rows, missing where nothing is found.

        Args:
            rows: The columns that callers send, shape (n_rows, n_sent).

        Returns:
            The rows with every column of the contract, in the contract's order.
        """
        completed = rows.copy()
        for lookup, columns in _by_table(self._columns.looked_up):
            names = [column.name for column in columns]
            try:
                completed[names] = self._read(lookup, columns, rows)
            except sa.exc.SQLAlchemyError:
                logger.exception("The feature store cannot be read: %s are missing", names)
                completed[names] = None
                completed = completed.astype({c.name: c.pandas_dtype for c in columns})
        return completed[self._columns.names]

    def _read(self, lookup: Lookup, columns: list[Column], rows: pd.DataFrame) -> pd.DataFrame:
        wanted = [column.role.lookup.column for column in columns if column.role.lookup]
        keys = rows[lookup.by].rename(ENTITY).to_frame()
        if lookup.daily:
            keys[DAY] = rows[self._columns.event_time].dt.normalize()
        found = self._query(lookup, wanted, keys)
        if lookup.daily:
            values = _newest(keys, found, self._max_age)
        else:
            values = keys.merge(found, on=ENTITY, how="left")
        dtypes = {column.name: column.pandas_dtype for column in columns}
        return values[wanted].set_axis(list(dtypes), axis=1).astype(dtypes).set_axis(rows.index)

    def _query(self, lookup: Lookup, wanted: list[str], keys: pd.DataFrame) -> pd.DataFrame:
        entity, day = sa.column(ENTITY, sa.String), sa.column(DAY, sa.DateTime)
        values: list[sa.ColumnClause[float]] = [sa.column(name) for name in dict.fromkeys(wanted)]
        entities = keys[ENTITY].dropna().unique().tolist()
        query = sa.select(entity, *values).select_from(sa.table(lookup.table))
        query = query.where(entity.in_(entities))
        if lookup.daily:
            first, last = keys[DAY].min() - self._max_age, keys[DAY].max()
            query = query.add_columns(day).where(day.between(first, last))
        with self._engine.connect() as connection:
            result = connection.execute(query)
            frame = pd.DataFrame(result.fetchall(), columns=list(result.keys()))
        dtypes = {ENTITY: keys[ENTITY].dtype, **({DAY: keys[DAY].dtype} if lookup.daily else {})}
        return frame.astype(dtypes)


def _read_only(url: sa.URL) -> sa.URL:
    """SQLite would create a store that is not there, and answer that it is empty."""
    if url.get_backend_name() != "sqlite":
        return url
    file = f"file:{quote(url.database or '')}"
    return url.set(database=file, query={"mode": "ro", "uri": "true"})


def _by_table(columns: Iterable[Column]) -> list[tuple[Lookup, list[Column]]]:
    """Group the looked-up columns by the table and key they come from."""

    def source(column: Column) -> tuple[str, str]:
        assert column.role.lookup is not None
        return column.role.lookup.table, column.role.lookup.by

    groups = [list(group) for _, group in groupby(sorted(columns, key=source), key=source)]
    return [(group[0].role.lookup, group) for group in groups if group[0].role.lookup]


def _newest(keys: pd.DataFrame, found: pd.DataFrame, max_age: pd.Timedelta) -> pd.DataFrame:
    """For each key the newest row that is not later than its day, in the order of the keys."""
    ordered = keys.assign(position=np.arange(len(keys))).sort_values(DAY, kind="stable")
    merged = pd.merge_asof(
        ordered, found.sort_values(DAY), on=DAY, by=ENTITY, direction="backward", tolerance=max_age
    )
    return merged.sort_values("position", ignore_index=True)
