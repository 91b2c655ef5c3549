"""Features of entities as they were known when a day began: made, and joined to rows."""

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from kedro_mlops.contract.columns import DAY, ENTITY, Column, Columns, Lookup
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.names import own

_DAY, _ENTITY = own("day"), own("entity")


def trailing_means(
    rows: ir.Table, by: str, of: str, known_at: str, last_day: pd.Timestamp, n_days: int
) -> ir.Table:
    """The mean of what became known of an entity, over the days before each day.

    A row counts from the first day that begins after its value is known, so that the row of a day
    holds nothing that was not known when the day began. An entity has a row for every day from its
    first known value on.

    Args:
        rows: What happened; rows without the entity, the value or its moment say nothing.
        by: The column whose values are the entities.
        of: The column whose mean is wanted: truth values or numbers.
        known_at: The moment from which the value is known.
        last_day: The last day that gets rows.
        n_days: Days that a mean is over.

    Returns:
        ``entity``, ``day``, ``n_rows``, and their ``mean``, missing where there are none.
    """
    known = rows.select(
        entity=rows[by], day=rows[known_at].cast("date"), value=rows[of].cast("float64")
    ).drop_null()
    daily = known.group_by(ENTITY, DAY).aggregate(n=_.count(), total=_.value.sum())
    # a few rows of each entity, which are read several times
    daily = daily.mutate(day=_.day.cast("timestamp") + ibis.interval(days=1)).cache()
    window = ibis.window(group_by=ENTITY, order_by=DAY, preceding=n_days - 1, following=0)
    summed = (
        _entity_days(daily, last_day)
        .left_join(daily, [ENTITY, DAY])
        .select(
            _.entity,
            _.day,
            # DuckDB's sums are wider than any Parquet integer
            n_rows=_.n.fill_null(0).sum().over(window).cast("int32"),
            total=_.total.fill_null(0).sum().over(window),
        )
    )
    return summed.select(_.entity, _.day, _.n_rows, mean=_.total / _.n_rows.nullif(0))


def look_up(rows: ir.Table, contract: Columns, tables: Mapping[str, ir.Table]) -> ir.Table:
    """Join to rows what the service will look up, as the contract declares it: of the row's day.

    Args:
        rows: What is sent, and what really happened.
        contract: Says of each column with a ``Lookup`` where it is found.
        tables: The feature tables, by the names that ``publish`` gets them by: an ``entity``, a
            ``day`` where they are daily, and the values.

    Raises:
        ProjectError: naming a table that is declared, and is not among these.
    """
    wanted: dict[tuple[str, str, bool], list[Column]] = {}
    for column in contract.looked_up:
        lookup = _lookup(column)
        wanted.setdefault((lookup.table, lookup.by, lookup.daily), []).append(column)
    if any(daily for _table, _by, daily in wanted):
        rows = rows.mutate(rows[contract.event_time].truncate("D").name(_DAY))
    for (name, by, daily), columns in wanted.items():
        if name not in tables:
            raise ProjectError(
                f"The contract looks '{columns[0].name}' up in '{name}', which is not among the "
                f"feature tables: {', '.join(tables) or 'there are none'}. Give it to the node "
                "that joins them, and to `publish`."
            )
        table = tables[name]
        keys = {_ENTITY: table[ENTITY]} | ({_DAY: table[DAY]} if daily else {})
        values = table.select(keys | {c.name: _value(table, c) for c in columns})
        rows = rows.left_join(values, [(by, _ENTITY), *([_DAY] if daily else [])])
        rows = rows.drop(_ENTITY, *([f"{_DAY}_right"] if daily else []))
    return rows.drop(_DAY) if _DAY in rows.columns else rows


def _lookup(column: Column) -> Lookup:
    assert column.role.lookup is not None
    return column.role.lookup


def _value(table: ir.Table, column: Column) -> ir.Value:
    """What is looked up, as the contract has it: a count may be declared a number like others."""
    value = table[_lookup(column).column]
    is_number = column.kind == "numeric" and not column.integer
    return value.cast("float64") if is_number else value


def _entity_days(daily: ir.Table, last_day: pd.Timestamp) -> ir.Table:
    """A row per entity and day, from the entity's first day to the last."""
    first = daily.group_by(ENTITY).aggregate(first_day=_.day.min())
    start = first.first_day.min().to_pyarrow().as_py() or last_day
    days = ibis.memtable(pd.DataFrame({DAY: pd.date_range(start, last_day)}))
    return first.cross_join(days).filter(_.day >= _.first_day).drop("first_day")
