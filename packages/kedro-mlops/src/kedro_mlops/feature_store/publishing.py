"""Feature tables written into SQL tables, batch by batch, beside those that are read meanwhile."""

import hashlib
import io
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pyarrow import csv

from kedro_mlops.contract.batches import batches_of
from kedro_mlops.contract.columns import DAY, ENTITY
from kedro_mlops.contract.rules import without_nan

A_BATCH = 100_000
# as SQLAlchemy keeps moments in SQLite, which has no type for them; seconds have fractions
AS_TEXT = "%Y-%m-%d %H:%M:%S"

Insert = Callable[[sa.Connection, sa.Table, pa.RecordBatch, bytes], None]


def replace(
    connection: sa.Connection, tables: "Mapping[str, ir.Table | pd.DataFrame]"
) -> list[tuple[str, str]]:
    """Write tables beside those of their names, and let them take their places when all are there.

    So readers of PostgreSQL wait for no more than the change of names.

    Args:
        connection: In a transaction.
        tables: All rows, by what a table is called; of a frame, the index is what they are looked
            up by.

    Returns:
        Names, and SHA-256 of columns and rows.
    """
    written = [(name, *_write(connection, name, rows)) for name, rows in sorted(tables.items())]
    quoted = connection.dialect.identifier_preparer.quote
    for name, made, _ in written:
        sa.Table(name, sa.MetaData()).drop(connection, checkfirst=True)
        connection.execute(sa.text(f"ALTER TABLE {quoted(made)} RENAME TO {quoted(name)}"))
    return [(name, digest) for name, _, digest in written]


def _write(
    connection: sa.Connection, name: str, rows: "ir.Table | pd.DataFrame"
) -> tuple[str, str]:
    """Write a table by a name that no other has; that name, and the digest."""
    schema, batches = _read(rows)
    token = uuid.uuid4().hex[:8]
    columns = [sa.Column(field.name, _kind(field.type)) for field in schema]
    made = sa.Table(f"_{name}_{token}", sa.MetaData(), *columns)
    made.create(connection)
    digest = hashlib.sha256(str(schema.names).encode())
    insert = _INSERTS.get(connection.dialect.driver, _one_by_one)
    for batch in batches:
        text = _text(batch)
        digest.update(text)
        insert(connection, made, batch, text)
    keys = [made.c[key] for key in (ENTITY, DAY) if key in made.c]
    if keys:
        sa.Index(f"ix_{name}_{token}", *keys).create(connection)
    return made.name, digest.hexdigest()


def _read(rows: "ir.Table | pd.DataFrame") -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    if isinstance(rows, pd.DataFrame):
        held = pa.Table.from_pandas(rows.reset_index(), preserve_index=False)
        return held.schema, held.to_batches(A_BATCH)
    floats = [name for name, dtype in rows.schema().items() if dtype.is_floating()]
    plain = rows.mutate({name: without_nan(rows[name]) for name in floats}) if floats else rows
    return plain.schema().to_pyarrow(), batches_of(plain, A_BATCH)


def _kind(dtype: pa.DataType) -> sa.types.TypeEngine[Any]:
    kinds: list[tuple[Callable[[pa.DataType], bool], sa.types.TypeEngine[Any]]] = [
        (pa.types.is_integer, sa.BigInteger()),
        (pa.types.is_floating, sa.Double()),
        (pa.types.is_decimal, sa.Double()),
        (pa.types.is_boolean, sa.Boolean()),
        (pa.types.is_timestamp, sa.DateTime()),
        (pa.types.is_date, sa.Date()),
    ]
    return next((kind for is_such, kind in kinds if is_such(dtype)), sa.Text())


def _text(batch: pa.RecordBatch) -> bytes:
    """The rows as CSV, in which what is missing has no quotes, and empty text has."""
    written = io.BytesIO()
    csv.write_csv(batch, written, csv.WriteOptions(include_header=False))
    return written.getvalue()


def _into_sqlite(
    connection: sa.Connection, table: sa.Table, batch: pa.RecordBatch, _: bytes
) -> None:
    places = ", ".join("?" * batch.num_columns)
    insert = sa.insert(table).compile(connection).string.partition(" VALUES ")[0]
    columns = [_as_sqlite_has(column).to_pylist() for column in batch.columns]
    connection.exec_driver_sql(f"{insert} VALUES ({places})", [*zip(*columns, strict=True)])


def _as_sqlite_has(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column.cast(pa.timestamp("us")), format=AS_TEXT)
    if pa.types.is_date(column.type):
        return column.cast(pa.string())
    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column


def _into_postgres(
    connection: sa.Connection, table: sa.Table, _: pa.RecordBatch, text: bytes
) -> None:
    quoted = connection.dialect.identifier_preparer.quote(table.name)
    driver: Any = connection.connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {quoted} FROM STDIN (FORMAT csv)") as copy:
        copy.write(text)


def _one_by_one(
    connection: sa.Connection, table: sa.Table, batch: pa.RecordBatch, _: bytes
) -> None:
    connection.execute(sa.insert(table), batch.to_pylist())


# by the drivers that have a faster way than SQLAlchemy's
_INSERTS: dict[str, Insert] = {"pysqlite": _into_sqlite, "psycopg": _into_postgres}
