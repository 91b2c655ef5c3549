"""What the online store is asked, in SQL: as much as is asked for, however long histories are.

SQLAlchemy is imported when a store is first read, not at start-up.
"""

import json
from datetime import date, datetime
from typing import Any

from .groups import Group, source_of
from .ttl_cache import Key

ENTITY, DAY = "entity", "day"
# keys of one query. Of several that have no form of their own for pairs: SQL Server takes 2,100
# parameters, two of a key, Oracle 1,000 in a list, and SQLite 500 selects
MAX_KEYS, MAX_KEYS_ANYWHERE = 5_000, 500


def max_keys(backend: str) -> int:
    """How many keys a query may have."""
    return MAX_KEYS if backend in _PAIRS else MAX_KEYS_ANYWHERE


def query_of(group: Group, keys: list[Key], backend: str) -> Any:
    """Ask for keys of a group: their entity, the day asked for, the one found, and the values."""
    return _of_entities(group, keys) if group.day is None else _newest(group, keys, backend)


def _of_entities(group: Group, keys: list[Key]) -> Any:
    import sqlalchemy as sa  # noqa: PLC0415

    rows, no_day = _table(group), sa.null()
    asked = rows.c.entity.in_([entity for entity, _ in keys])
    return sa.select(rows.c.entity, no_day, no_day, *_values(group, rows)).where(asked)


def _newest(group: Group, keys: list[Key], backend: str) -> Any:
    """Of each entity and day, the newest row that is of no later day.

    That takes two look-ups in the index, however far apart days are.
    """
    import sqlalchemy as sa  # noqa: PLC0415

    rows = _table(group)
    older = rows.alias()
    asked = _PAIRS.get(backend, _as_selects)(_keys(group), *zip(*keys, strict=True))
    newest = (
        sa.select(sa.func.max(older.c.day))
        .where(older.c.entity == asked.c.entity, older.c.day <= asked.c.day)
        .scalar_subquery()
    )
    met = (rows.c.entity == asked.c.entity) & (rows.c.day == newest)
    # as the store has it: what is no day must not be the end of a whole query
    days = [sa.type_coerce(each.c.day, sa.String) for each in (asked, rows)]
    return sa.select(asked.c.entity, *days, *_values(group, rows)).select_from(
        asked.join(rows, met)
    )


def _as_selects(columns: list[Any], entities: tuple[Any, ...], days: tuple[date, ...]) -> Any:
    """Pairs as any database takes them."""
    import sqlalchemy as sa  # noqa: PLC0415

    pairs = zip(entities, map(_midnight, days), strict=True)
    return sa.union_all(
        *(
            sa.select(
                *(
                    sa.literal(value, column.type).label(column.name)
                    for value, column in zip(pair, columns, strict=True)
                )
            )
            for pair in pairs
        )
    ).subquery("asked")


def _as_json(columns: list[Any], entities: tuple[Any, ...], days: tuple[date, ...]) -> Any:
    """Pairs for SQLite, as one parameter: a statement with thousands is slow to write."""
    import sqlalchemy as sa  # noqa: PLC0415

    # moments as SQLAlchemy keeps them, to be compared as text
    texts = (f"{day} 00:00:00.000000" for day in days)
    pairs = json.dumps([*zip(entities, texts, strict=True)])
    each = sa.func.json_each(pairs).table_valued("value")
    return sa.select(
        *(
            sa.func.json_extract(each.c.value, f"$[{place}]", type_=column.type).label(column.name)
            for place, column in enumerate(columns)
        )
    ).cte("asked")


def _as_arrays(columns: list[Any], entities: tuple[Any, ...], days: tuple[date, ...]) -> Any:
    """Pairs for PostgreSQL, as two parameters."""
    import sqlalchemy as sa  # noqa: PLC0415

    values = [*entities], [*map(_midnight, days)]
    arrays = [
        sa.bindparam(None, each, type_=sa.ARRAY(column.type))
        for each, column in zip(values, columns, strict=True)
    ]
    return sa.func.unnest(*arrays).table_valued(*columns, name="asked").render_derived()


_PAIRS = {"sqlite": _as_json, "postgresql": _as_arrays}


def _table(group: Group) -> Any:
    import sqlalchemy as sa  # noqa: PLC0415

    names = dict.fromkeys(source_of(field).column for field in group.fields)
    return sa.table(group.table, *_keys(group), *map(sa.column, names))


def _keys(group: Group) -> list[Any]:
    import sqlalchemy as sa  # noqa: PLC0415

    entity = sa.column(ENTITY, sa.BigInteger() if group.integer else sa.String())
    return [entity] if group.day is None else [entity, sa.column(DAY, sa.DateTime())]


def _values(group: Group, rows: Any) -> list[Any]:
    return [rows.c[source_of(field).column] for field in group.fields]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local, as in the store
