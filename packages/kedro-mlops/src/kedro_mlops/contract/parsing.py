"""A source's columns read as the types that a contract declares, inside the engine."""

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pandas as pd

from .columns import Column
from .rules import without_nan

# Python knows of no others; the engine does, and of infinity
FIRST_MOMENT, LAST_MOMENT = "0001-01-01", "9999-12-31 23:59:59.999999"


@dataclass(frozen=True)
class Parsed:
    """A column's values in the declared type.

    Attributes:
        typed: The values, missing where there is none of that type.
        given: Whether the source has a value.
        failed: Whether it has one that is not of the declared type.
    """

    typed: ir.Column
    given: ir.BooleanValue
    failed: ir.BooleanValue


def as_table(raw: pd.DataFrame | ir.Table) -> ir.Table:
    """The source as a table of the engine; columns of mixed types become text."""
    if isinstance(raw, ir.Table):
        return raw
    mixed = [name for name in raw.columns if raw[name].dtype == object]
    return ibis.memtable(raw.astype(dict.fromkeys(mixed, "str")))


def parse(column: Column, source: ir.Column) -> Parsed:
    """Read a column of the source as the declared type."""
    source = _said(column, without_nan(source))
    typed = _PARSERS[column.kind](source, column.engine_type)
    if typed is None:
        typed = ibis.null(column.engine_type)
    given = source.notnull()
    return Parsed(typed, given, given & typed.isnull())


def _said(column: Column, source: ir.Column) -> ir.Column:
    """What the source says, where it is not one of the ways to say nothing."""
    if not (source.type().is_string() and column.missing):
        return source
    return source.isin(column.missing).ifelse(ibis.null("string"), source)


# each reads values as the target, an Ibis type, if they are of a type that can be


def _number(source: ir.Column, target: str) -> ir.Column | None:
    dtype, integer = source.type(), target == "int64"
    if dtype.is_string():
        number = without_nan(source.try_cast("float64"))
        # digits beyond the 15th get lost on the way through a float
        return _same(source.try_cast("int64"), number) if integer else number
    if not dtype.is_numeric():
        return None
    return _whole(source) if integer and not dtype.is_integer() else source.try_cast(target)


def _whole(number: ir.Column) -> ir.Column:
    """Whole numbers as integers, missing where there is a fraction or too large a number."""
    return _same(number.try_cast("int64"), number)


def _same(rounded: ir.Column, number: ir.Column) -> ir.Column:
    return (rounded.cast("float64") == number).ifelse(rounded, ibis.null("int64"))


def _moment(source: ir.Column, target: str) -> ir.Column | None:
    dtype = source.type()
    if not (dtype.is_string() or dtype.is_timestamp() or dtype.is_date()):
        return None
    moment = source.try_cast(target) if dtype.is_string() else source.cast(target)
    first, last = (ibis.literal(end).cast(target) for end in (FIRST_MOMENT, LAST_MOMENT))
    return moment.between(first, last).ifelse(moment, ibis.null(target))


def _text(source: ir.Column, target: str) -> ir.Column | None:
    dtype = source.type()
    if dtype.is_floating():
        # codes of digits, of which some are missing, come as floats out of a CSV file
        return _whole(source).cast(target)
    return source.cast(target) if dtype.is_string() or dtype.is_integer() else None


def _truth(source: ir.Column, target: str) -> ir.Column | None:
    dtype = source.type()
    if dtype.is_numeric():
        return source.isin([0, 1]).ifelse(source == 1, ibis.null(target))
    return source.try_cast(target) if dtype.is_string() or dtype.is_boolean() else None


_PARSERS = {"numeric": _number, "datetime": _moment, "categorical": _text, "boolean": _truth}
