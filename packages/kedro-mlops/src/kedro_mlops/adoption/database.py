"""A table in a database, found by the URL that SQLAlchemy has for it."""

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.parquet import write_batches

from .source import Source, connect

ROWS = 20_000
# how a value that is not of its column's type is told, by whoever meets it first
BAD_VALUE = (ArithmeticError, AttributeError, TypeError, ValueError)
# the types of SQL, the special ones first, and those that their values have in Arrow
_TYPES: tuple[tuple[type[Any], pa.DataType], ...] = (
    (sa.Boolean, pa.bool_()),
    (sa.Integer, pa.int64()),
    (sa.Numeric, pa.float64()),
    (sa.Float, pa.float64()),
    (sa.DateTime, pa.timestamp("us")),
    (sa.Date, pa.date32()),
    (sa.String, pa.string()),
    (sa.Uuid, pa.string()),
    (sa.types.NullType, pa.string()),  # a column of SQLite may have no type
)


def open_database(data: str) -> Source:
    """Find a table in a database, and copy it for the engine.

    Args:
        data: ``postgresql://user:PASSWORD@host/database#schema.table``, or without a schema.

    Raises:
        ProjectError: if there is no such table, or the database does not answer. Passwords are in
            no message.
    """
    said, _, named = data.partition("#")
    url = _url(said)
    shown = url.render_as_string(hide_password=True)
    if not named:
        raise ProjectError(f"Say which table of {shown}: {shown}#table or {shown}#schema.table.")
    schema, _, name = named.rpartition(".")
    engine = sa.create_engine(url)
    try:
        table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=engine)
        return _source(engine, table)
    except NoSuchTableError as error:
        known = ", ".join(sa.inspect(engine).get_table_names(schema or None)) or "none"
        raise ProjectError(f"{shown} has no table {named}. It has: {known}.") from error
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise ProjectError(
            f"{shown} cannot be read: {reason}. Does it run, and are the user, the password and "
            "the name of the database right?"
        ) from error
    finally:
        engine.dispose()


def _url(said: str) -> sa.URL:
    try:
        url = sa.make_url(said)
        # what is installed for PostgreSQL
        url = url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        scheme = said.partition(":")[0]
        raise ProjectError(
            f"{scheme}://… is no URL that SQLAlchemy knows. Files are given by their path; tables "
            "as postgresql://user:PASSWORD@host/database#table."
        ) from error
    if not url.drivername.startswith("sqlite"):
        return url
    file = Path(url.database or "").resolve()
    if not file.is_file():
        raise ProjectError(f"There is no file {url.database}, which {said} is about.")
    return url.set(database=str(file))


def _source(engine: sa.Engine, table: sa.Table) -> Source:
    types = {column.name: _arrow(column.type) for column in table.columns}
    kept = pa.schema([(name, dtype) for name, dtype in types.items() if dtype is not None])
    left_out = {
        column.name: f"holds values of the type {column.type}, which contracts have no kind for"
        for column in table.columns
        if column.name not in kept.names
    }
    if not kept.names:
        raise ProjectError(f"The table {table} has no columns that a contract can tell of.")
    scratch = tempfile.TemporaryDirectory(prefix="kedro-adopt-")
    parquet = Path(scratch.name) / "table.parquet"
    try:
        n_rows = write_batches(_batches(engine, table, kept), parquet)
    except BAD_VALUE:
        said = _bad_value(engine, table, kept)
        if said is None:
            raise
        raise ProjectError(said) from None  # the error itself would quote what may be personal
    if not n_rows:
        raise ProjectError(f"The table {table} has no rows.")
    # SQLAlchemy's names are of a type of its own, which YAML has no form for
    name = str(table.name)
    credentials = f"{name}_database"
    reading: dict[str, Any] = {
        "type": "pandas.SQLTableDataset",
        "table_name": name,
        "credentials": credentials,
    }
    if table.schema:
        reading["load_args"] = {"schema": str(table.schema)}
    con = engine.url.render_as_string(hide_password=False)
    return Source(
        name,
        connect().read_parquet(parquet),
        left_out=left_out,
        credentials={credentials: {"con": con}},
        _reading=reading,
        _scratch=scratch,
    )


def _arrow(dtype: sa.types.TypeEngine[Any]) -> pa.DataType | None:
    return next((arrow for sql, arrow in _TYPES if isinstance(dtype, sql)), None)


def _batches(engine: sa.Engine, table: sa.Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    asked = sa.select(*(table.c[name] for name in schema.names))
    with engine.connect().execution_options(yield_per=ROWS) as connection:
        for rows in connection.execute(asked).partitions():
            columns = zip(*rows, strict=True)
            arrays = [
                pa.array([_value(v, each.type) for v in values], each.type)
                for values, each in zip(columns, schema, strict=True)
            ]
            yield pa.record_batch(arrays, schema=schema)


def _bad_value(engine: sa.Engine, table: sa.Table, schema: pa.Schema) -> str | None:
    """What to do about the first value that is not of its column's type; SQLite takes any."""
    columns = [table.c[name] for name in schema.names]
    asked = sa.select(*(sa.type_coerce(column, sa.types.NullType()) for column in columns))
    with engine.connect().execution_options(yield_per=ROWS) as connection:
        found: Any = connection.execute(asked)
        reads = [
            column.type.dialect_impl(engine.dialect).result_processor(engine.dialect, told[1])
            for column, told in zip(columns, found.cursor.description, strict=True)
        ]
        for number, row in enumerate(found, start=1):
            for column, each, read, value in zip(columns, schema, reads, row, strict=True):
                if not _is_of_type(value, read, each.type):
                    return (
                        f"The column {column.name} of {table} is {column.type}, and has "
                        f"{_kind(value)} in it, in row {number:,} of those read. Mend such values "
                        "there, with NULL for none; or export the table as CSV, of which odd "
                        "values go to the quarantine."
                    )
    return None


def _is_of_type(value: Any, read: Callable[[Any], Any] | None, dtype: pa.DataType) -> bool:
    try:
        pa.scalar(_value(read(value) if read else value, dtype), dtype)
    except BAD_VALUE:
        return False
    return True


def _kind(value: Any) -> str:
    """What a value is, without itself: it may be personal, or long."""
    if isinstance(value, str):
        return f"text of {len(value):,} characters"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return f"a value of the type {type(value).__name__}"


def _value(value: Any, dtype: pa.DataType) -> Any:
    """A value of a database as Arrow takes it."""
    if value is None:
        return None
    if pa.types.is_integer(dtype) and not isinstance(value, int):
        raise TypeError("no whole number")  # of which Arrow would take the whole part
    if pa.types.is_floating(dtype):
        return float(value)
    if pa.types.is_string(dtype):
        return str(value)
    if pa.types.is_timestamp(dtype) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value
