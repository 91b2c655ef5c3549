"""Keys of large tables that are joined, in few bytes of one size.

An engine keeps the keys of one side of a join in memory, or in files where that is too little. Two
hashes of 64 bits take it a third of the time and memory that text among them does. They are made in
different ways, so that two keys share both by a chance of about one in 10**38.
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from kedro_mlops.core.engine import is_spark
from kedro_mlops.core.names import own

HASHES = [own("key hash"), own("second key hash")]
# before text, so that other parts of it are hashed together
MARK = "="
# DuckDB's; others are hashed as their halves together, or by their place in a list
TYPES = {
    "VARCHAR", "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT",
    "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip


@ibis.udf.scalar.builtin(name="hash")  # type: ignore[untyped-decorator]
def hash_of(key) -> dt.uint64:  # type: ignore[no-untyped-def]
    """DuckDB's hash of 64 bits as it is; Ibis would turn each into signed numbers by text."""
    raise NotImplementedError


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def typeof(value) -> str:  # type: ignore[no-untyped-def]
    """DuckDB's own type, of which Ibis knows less."""
    raise NotImplementedError


def by_hashes(
    one: ir.Table, other: ir.Table, key: Sequence[str]
) -> tuple[ir.Table, ir.Table, list[str]]:
    """Two tables, and the columns to join them by in place of their key.

    That is the key itself on Spark, whose machines share the rows, and where values that are equal
    may have other hashes, or others the same.
    """
    if is_spark(one) or not _are_hashed_alike(one, other, key):
        return one, other, list(key)
    return _hashed(one, key), _hashed(other, key), HASHES


def _are_hashed_alike(one: ir.Table, other: ir.Table, key: Sequence[str]) -> bool:
    types, others = (
        table.select({name: typeof(table[name]) for name in key}).limit(1).to_pyarrow().to_pylist()
        for table in (one, other)
    )
    return bool(types) and types == others and TYPES.issuperset(types[0].values())


def _hashed(table: ir.Table, key: Sequence[str]) -> ir.Table:
    parts = {name: table[name] for name in key}
    marked = {
        name: ibis.literal(MARK).concat(part) if part.type().is_string() else part
        for name, part in reversed(parts.items())
    }
    # a key that lacks a part is equal to none
    lacks = reduce(or_, [part.isnull() for part in parts.values()])
    first, second = hash_of(ibis.struct(parts)), hash_of(ibis.struct(marked))
    return table.mutate(**dict(zip(HASHES, (lacks.ifelse(None, first), second), strict=True)))
