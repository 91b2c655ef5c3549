"""A source's columns read as the types that a contract declares, inside the engine."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd
from pandera.engines.pandas_engine import Engine

from kedro_mlops.core.engine import is_spark
from kedro_mlops.runtime.coercion import (
    END_OF_TIME,
    EPOCHS,
    FIRST_WHOLE_YEAR,
    OFFSET,
    around,
    with_zone,
)

from .columns import Column, Columns, Role
from .java_formats import java_format
from .rules import without_nan

# Python knows of no others; the engine does, and of infinity
FIRST_MOMENT, LAST_MOMENT = "0001-01-01", "9999-12-31 23:59:59.999999"
# ISO 8601, also with slashes and with parts of one digit: what it finds, all engines read alike or
# not at all. A zone may not be named: DuckDB takes it for that of the rows after it, too
MOMENT = (
    "^[0-9]{4}(-[0-9]{1,2}-|/[0-9]{1,2}/)[0-9]{1,2}"
    r"([T ]([01]?[0-9]|2[0-3]):[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]+)?"
    f"(Z| UTC|{OFFSET}(:[0-5][0-9])?)?)?)?$"
)
# typographers have several of each
SPACES, APOSTROPHES = " \u00a0\u202f", "'\u2019"


def try_strptime(said: str, form: str) -> datetime:
    """A moment that text says in a format, missing where it does not; the engine's own."""
    raise NotImplementedError


def make_timestamp(microseconds: int) -> datetime:
    """A moment by what has passed since 1970; the engine's own."""
    raise NotImplementedError


def try_to_timestamp(said: str, form: str) -> datetime:
    """A moment that text says in a format of Java's, missing where it does not; Spark's own."""
    raise NotImplementedError


def timestamp_micros(microseconds: int) -> datetime:
    """A moment by what has passed since 1970; Spark's own."""
    raise NotImplementedError


_since = ibis.udf.scalar.builtin(make_timestamp, signature=((int,), dt.timestamp))
_spark_since = ibis.udf.scalar.builtin(timestamp_micros, signature=((int,), dt.timestamp))
_spark_strptime = ibis.udf.scalar.builtin(
    try_to_timestamp, signature=((str, str), dt.Timestamp("UTC"))
)
_builtin = partial(ibis.udf.scalar.builtin, try_strptime)
_strptime = _builtin(signature=((str, str), dt.timestamp))
_zoned_strptime = _builtin(signature=((str, str), dt.Timestamp("UTC")))


@dataclass(frozen=True)
class Parsed:
    """A column's values in the declared type.

    Attributes:
        typed: The values, missing where there is none of that type.
        given: Whether the source has a value.
        failed: Whether it has one that is not of the declared type.
        may_fail: Whether any could; none does in a source that has the type.
    """

    typed: ir.Column
    given: ir.BooleanValue
    failed: ir.BooleanValue
    may_fail: bool = True


def as_table(raw: pd.DataFrame | ir.Table) -> ir.Table:
    """The source as a table of the engine; columns of mixed types become text."""
    if isinstance(raw, ir.Table):
        return raw
    mixed = [name for name in raw.columns if raw[name].dtype == object]
    return ibis.memtable(raw.astype(dict.fromkeys(mixed, "str")))


def as_named(raw: pd.DataFrame | ir.Table, columns: Columns) -> ir.Table:
    """The source as a table of the engine, in which columns are called as a contract calls them."""
    table = as_table(raw)
    called = {c.name: c.role.source_name for c in columns.all if c.role.source_name}
    found = {new: old for new, old in called.items() if old in table.columns}
    # a column that only happens to have such a name is none of the contract's
    others = (found.keys() & {*table.columns}) - {*found.values()}
    return table.drop(*others).rename(found)


def parse(column: Column, source: ir.Column) -> Parsed:
    """Read a column of the source as the declared type."""
    source = _said(column, without_nan(source))
    typed = _PARSERS[column.kind](column, source)
    if typed is None:
        typed = ibis.null(column.engine_type)
    given = source.notnull()
    if typed.op() == source.op():
        return Parsed(typed, given, given & False, may_fail=False)
    return Parsed(typed, given, given & typed.isnull())


def _said(column: Column, source: ir.Column) -> ir.Column:
    """What the source says, where it is not one of the ways to say nothing."""
    if not (source.type().is_string() and column.missing):
        return source
    return source.isin(column.missing).ifelse(ibis.null("string"), source)


# each reads values as the type of the column, if they are of a type that can be


def _number(column: Column, source: ir.Column) -> ir.Column | None:
    dtype, integer = source.type(), column.integer
    if dtype.is_string():
        source = _without_code(_plain(column.role, source))
        number = without_nan(source.try_cast("float64"))
        # digits beyond the 15th get lost on the way through a float
        return _same(_integer(source, number), number) if integer else number
    if not dtype.is_numeric():
        return None
    whole = integer and not dtype.is_integer()
    return _whole(source) if whole else source.try_cast(column.engine_type)


def _integer(said: ir.StringColumn, number: ir.Column) -> ir.Column:
    if not is_spark(said):
        return said.try_cast("int64")
    # Spark takes no text with a fraction, not even with one of zeros
    whole = said.re_replace(r"\.0*\s*$", "").try_cast("int64")
    return whole.coalesce(_rounded(number))


def _plain(role: Role, said: ir.StringColumn) -> ir.StringColumn:
    """Numbers with a point and no groups; missing where they are said in another way."""
    if role.symbol:
        said = said.re_replace(around(role.symbol), "$1" if is_spark(said) else r"\1")
    if role.thousands:
        marks = next((m for m in (SPACES, APOSTROPHES) if role.thousands in m), role.thousands)
        mark, point = f"[{re.escape(marks)}]", re.escape(role.decimal)
        grouped = rf"^[\t-\r ]*[+-]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?[\t-\r ]*$"
        said = said.re_search(grouped).ifelse(said.re_replace(mark, ""), said)
    if role.decimal == ".":
        return said
    return said.contains(".").ifelse(ibis.null("string"), said.replace(role.decimal, "."))


def _without_code(said: ir.StringColumn) -> ir.StringColumn:
    """Numbers as people say them; missing where only one of the engines, or of languages, does."""
    if is_spark(said):
        odd = said.re_search(r"[0-9.][dDfF]\s*$|[xX]|[^\t-\r -~]")
    else:
        odd = said.contains("_") | said.contains("+-")
    return odd.ifelse(ibis.null("string"), said)


def _whole(number: ir.Column) -> ir.Column:
    """Whole numbers as integers, missing where there is a fraction or too large a number."""
    return _same(_rounded(number), number)


def _rounded(number: ir.Column) -> ir.Column:
    if is_spark(number):
        # it takes the first that is too large for the last that is not
        number = (number.abs() < 2.0**63).ifelse(number, ibis.null(number.type()))
    return number.try_cast("int64")


def _same(rounded: ir.Column, number: ir.Column) -> ir.Column:
    return (rounded.cast("float64") == number).ifelse(rounded, ibis.null("int64"))


def _moment(column: Column, source: ir.Column) -> ir.Column | None:
    dtype, form, target = source.type(), column.role.format, column.engine_type
    if form in EPOCHS:
        number = _number(_COUNTED, source)
        if number is None:
            return None
        source = _since_1970(number, EPOCHS[form])
    elif dtype.is_string() or (dtype.is_integer() and form):
        source = _said_moment(_trimmed(source.cast("string")), form)
    elif not (dtype.is_timestamp() or dtype.is_date()):
        return None
    moment = source.cast(target)
    earliest = f"{FIRST_WHOLE_YEAR}-01-01" if form and "%Y" in form else FIRST_MOMENT
    first, last = (ibis.literal(end).cast(target) for end in (earliest, LAST_MOMENT))
    return moment.between(first, last).ifelse(moment, ibis.null(target))


def _since_1970(number: ir.Column, microseconds: float) -> ir.Column:
    counted = number * microseconds
    is_one = counted.abs() < END_OF_TIME
    since = _spark_since if is_spark(number) else _since
    return since(is_one.ifelse(counted, ibis.null("float64")).round().cast("int64"))


def _said_moment(said: ir.StringColumn, form: str | None) -> ir.Column:
    if form is None:
        # what says no zone is taken to be in that of the session, which is UTC
        return _iso(said).try_cast("timestamp('UTC')")
    if "%z" in form:
        said = said.re_search(with_zone(form)).ifelse(said, ibis.null("string"))
    if is_spark(said):
        return _spark_strptime(said, java_format(form))
    return (_zoned_strptime if "%z" in form.lower() else _strptime)(said, form)


def _iso(said: ir.StringColumn) -> ir.StringColumn:
    """Moments by ISO 8601 as engines read them, missing where they are said in another way.

    Few have to be made so: a zone is to follow seconds, and no space.
    """
    time, zone = ("$1", "$2") if is_spark(said) else (r"\1", r"\2")
    close = said.re_replace("(:[0-9.]+) ?UTC$", f"{time}Z")
    close = close.re_replace("(:[0-9.]+) ([Z+-])", f"{time}{zone}")
    made = close.re_replace("^([^:]+:[0-9]+)([Z+-])", f"{time}:00{zone}")
    made = made.re_search(MOMENT).ifelse(made, ibis.null("string"))
    read = said.re_search(MOMENT).ifelse(said, made)
    return read.replace("/", "-") if is_spark(said) else read


def _text(column: Column, source: ir.Column) -> ir.Column | None:
    dtype, target = source.type(), column.engine_type
    if dtype.is_floating():
        # codes of digits, of which some are missing, come as floats out of a CSV file
        return _whole(source).cast(target)
    return source.cast(target) if dtype.is_string() or dtype.is_integer() else None


def _truth(column: Column, source: ir.Column) -> ir.Column | None:
    dtype, target = source.type(), column.engine_type
    if dtype.is_numeric():
        return source.isin([0, 1]).ifelse(source == 1, ibis.null(target))
    if dtype.is_string():
        return _trimmed(source).try_cast(target)
    return source if dtype.is_boolean() else None


def _trimmed(said: ir.StringColumn) -> ir.StringColumn:
    """Text without the blanks of ASCII around it; missing where Spark takes others for such."""
    if not is_spark(said):
        return said.strip()
    # no name of a blank is in the text of a pattern: Spark's SQL has none for two of them
    trimmed = said.re_replace(r"^\s+|\s+$", "")
    return trimmed.re_search(r"^\p{Cntrl}|\p{Cntrl}$").ifelse(ibis.null("string"), trimmed)


_COUNTED = Column("counted", "numeric", Engine.dtype("float64"), True, "", Role())
_PARSERS = {"numeric": _number, "datetime": _moment, "categorical": _text, "boolean": _truth}
