"""How text says values: told from some of them, to be verified on all."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from itertools import product
from typing import Any, Literal

from kedro_mlops.runtime.coercion import EPOCHS, without_symbol

# what the values of a column are; of an empty one nobody knows
ValueKind = Literal["integer", "number", "boolean", "moment", "text", "empty"]

# what stands for no value in any column; and what does so only among what is no text
NO_VALUE = {
    "", "na", "n/a", "#n/a", "#na", "<na>", "nan", "nat", "null", "(null)", "\\n", "?",
}  # fmt: skip
NO_OTHER_VALUE = NO_VALUE | {
    "none", "nil", "-", "--", ".", "missing", "unknown", "undefined", "#value!", "#div/0!", "#ref!",
}  # fmt: skip
# the share of values that may be odd
TOLERANCE = 0.01
# among those that are looked at there may be more by chance
DOUBT = 0.05
# the first of them show whether it is worth a closer look
FIRST = 20
# values of a column by which it is told how it is read
LOOKED_AT = 1_000
# a float tells whole numbers apart up to this one
MAX_EXACT = 2**53

_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_CODE = re.compile(r"\s*0\d+\s*")
_MAY_BE_NUMBER = re.compile(r"\s*[+-]?[.,]?\d")
_NUMBERS = {
    (".", None): re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*"),
    (".", ","): re.compile(r"\s*[+-]?\d{1,3}(,\d{3})*(\.\d*)?\s*"),
    (",", None): re.compile(r"\s*[+-]?(\d+(,\d*)?|,\d+)([eE][+-]?\d+)?\s*"),
    (",", "."): re.compile(r"\s*[+-]?\d{1,3}(\.\d{3})*(,\d*)?\s*"),
    (",", " "): re.compile(r"\s*[+-]?\d{1,3}([ \u00a0\u202f]\d{3})*(,\d*)?\s*"),
    (".", " "): re.compile(r"\s*[+-]?\d{1,3}([ \u00a0\u202f]\d{3})*(\.\d*)?\s*"),
    (".", "'"): re.compile(r"\s*[+-]?\d{1,3}(['\u2019]\d{3})*(\.\d*)?\s*"),
}
_SYMBOLS = ("%", "$", "€", "£", "¥", "EUR", "USD", "GBP", "CHF", "kg", "km", "cm")
# what moments are called that are counted, and the seconds of the years 2001 to 2065
_COUNTED = re.compile(r"time|date|epoch|(^|_)(ts|at|on)$|created|updated", re.IGNORECASE)
_SECONDS = (1e9, 3e9)
# day and month the other way round
_TURNED = str.maketrans({"d": "m", "m": "d"})
_TRUTHS = ({"true", "false"}, {"t", "f"})
_ISO = re.compile(
    r"\s*\d{4}([-/])\d{1,2}\1\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?"
    r"(?P<zone> ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?\s*"
)
# how what may be a date begins
_DATE = re.compile(r"\d{1,4}[-./ ][\da-z]|[a-z]{3,9} \d", re.IGNORECASE)
# of two that fit alike, the first is taken
_DATES = (
    "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d",
    "%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%y", "%m-%d-%y",
    "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y",
)  # fmt: skip
_TIMES = (
    "", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", ", %H:%M",
    ", %I:%M %p",
)  # fmt: skip
_ZONES = ("", " %z", "%z")
_DAYS = ("%Y%m%d", "%Y%m%d%H%M%S")
_DAY_NAMED = re.compile(r"date|day|datum|(^|_)(dt|on|at)$|time", re.IGNORECASE)
_PARTS = {
    "%d": r"(0?[1-9]|[12]\d|3[01])", "%m": r"(0?[1-9]|1[0-2])", "%Y": r"[12]\d{3}", "%y": r"\d{2}",
    "%H": r"([01]?\d|2[0-3])", "%I": r"(0?[1-9]|1[0-2])", "%M": r"[0-5]\d", "%S": r"[0-5]\d",
    "%f": r"\d{1,6}", "%p": r"[AaPp][Mm]", "%z": r"[+-]\d{2}:?\d{2}",
    "%b": "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
    "%B": "(january|february|march|april|may|june|july|august|september|october|november|december)",
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """How the values of a column are read.

    Attributes:
        kind: What they are.
        missing: What stands for no value.
        format: How text says a moment; none if by ISO 8601.
        decimal: What stands before the fraction of a number.
        thousands: What stands between its groups of three digits, if anything does.
        symbol: What stands before or behind it, if anything does.
        zoned: Whether moments say their zone.
        or_format: Another format of moments that all values fit as well.
    """

    kind: ValueKind
    missing: tuple[str, ...] = ()
    format: str | None = None
    decimal: str = "."
    thousands: str | None = None
    symbol: str | None = None
    zoned: bool = False
    or_format: str | None = None


def is_no_value(said: str, kind: ValueKind) -> bool:
    """Whether text stands for no value in a column of a kind."""
    # most are numbers, of which none does
    if said[:1].isdigit():
        return False
    return said.strip().casefold() in (NO_VALUE if kind == "text" else NO_OTHER_VALUE)


def read_as(name: str, said: Sequence[str], comma: bool = False) -> Reading:
    """How a column is read that says these things.

    Args:
        name: Of the column.
        said: Its values, as text.
        comma: Whether a comma stands before fractions, where that cannot be told otherwise.
    """
    values = _looked_at(said)
    found = _day(name, values) or _number(values, comma) or _with_symbol(values, comma)
    found = counted_since(name, found, values) or _truth(values) or _moment(values)
    words = dict.fromkeys(said)
    if found is None:
        found = Reading("text" if any(not is_no_value(word, "text") for word in words) else "empty")
    return replace(found, missing=tuple(w for w in words if w and is_no_value(w, found.kind)))


def _looked_at(said: Sequence[str]) -> list[str]:
    """Some of the values, from all over the rows."""
    some = said[:: len(said) // LOOKED_AT + 1]
    return [value for value in some if not is_no_value(value, "boolean")]


def _day(name: str, values: Sequence[str]) -> Reading | None:
    """Days of digits only, if the name says that they are some."""
    if not values or not _DAY_NAMED.search(name):
        return None
    for form in _DAYS:
        if _fitting(values, _pattern(form)) == len(values):
            return Reading("moment", format=form)
    return None


def shows_comma(said: Sequence[str]) -> bool:
    """Whether values are numbers in which only a comma can stand before the fraction."""
    if not any("," in value for value in said[:: len(said) // LOOKED_AT + 1]):
        return False
    found = _number(_looked_at(said), comma=False)
    return found is not None and found.decimal == ","


def _number(values: Sequence[str], comma: bool) -> Reading | None:
    if not any(map(_MAY_BE_NUMBER.match, values[:FIRST])) or any(map(_CODE.fullmatch, values)):
        return None
    if _fitting(values, _WHOLE) == len(values):
        return Reading("integer") if max(abs(Decimal(v)) for v in values) <= MAX_EXACT else None
    fitting: dict[tuple[str, str | None], int] = {}
    for marks in sorted(_NUMBERS, key=lambda marks: comma and marks[0] == "."):
        fitting[marks] = _fitting(values, _NUMBERS[marks])
        if fitting[marks] == len(values):
            break
    best = max(fitting, key=fitting.__getitem__)
    if fitting[best] < (1 - DOUBT) * len(values):
        return None
    whole = fitting[best] == _fitting(values, _WHOLE)
    return Reading("integer" if whole else "number", decimal=best[0], thousands=best[1])


def _with_symbol(values: Sequence[str], comma: bool) -> Reading | None:
    """Numbers that nearly all have the same sign or unit."""
    for symbol in _SYMBOLS:
        if values and sum(symbol in value for value in values) >= (1 - DOUBT) * len(values):
            found = _number([without_symbol(value, symbol) for value in values], comma)
            return found and replace(found, symbol=symbol)
    return None


def counted_since(name: str, found: Reading | None, values: Sequence[Any]) -> Reading | None:
    """Numbers as moments that are counted since 1970, if their name and size say that they are."""
    if found is None or found.kind not in ("integer", "number") or not _COUNTED.search(name):
        return found
    plain = found == Reading(found.kind)
    numbers = [float(value) for value in values] if plain and values else [0.0]
    for unit, microseconds in EPOCHS.items():
        first, last = (seconds * 1e6 / microseconds for seconds in _SECONDS)
        if first <= min(numbers) and max(numbers) <= last:
            return Reading("moment", format=unit)
    return found


def _truth(values: Sequence[str]) -> Reading | None:
    said = {value.strip().casefold() for value in values}
    return Reading("boolean") if said and any(said <= truth for truth in _TRUTHS) else None


def _moment(values: Sequence[str]) -> Reading | None:
    values = [value.strip() for value in values]
    first = [value for value in values[:FIRST] if _DATE.match(value)]
    if not first:
        return None
    if _fitting(values, _ISO) >= (1 - DOUBT) * len(values):
        zoned = any(found["zone"] for found in map(_ISO.fullmatch, values) if found)
        return Reading("moment", zoned=zoned)
    forms = [form for form in _formats() if any(map(_pattern(form).fullmatch, first))]
    fitting = {form: _fitting(values, _pattern(form)) for form in forms}
    best = max(forms, key=fitting.__getitem__, default=None)
    if best is None or fitting[best] < (1 - DOUBT) * len(values):
        return None
    turned = best.translate(_TURNED)
    as_well = turned != best and fitting.get(turned) == fitting[best]
    return Reading("moment", format=best, zoned="%z" in best, or_format=turned if as_well else None)


def _fitting(values: Sequence[str], spelling: re.Pattern[str]) -> int:
    return sum(1 for value in values if spelling.fullmatch(value))


@cache
def _formats() -> tuple[str, ...]:
    """Formats of moments, the more usual ones first."""
    return tuple(d + t + z for d, t, z in product(_DATES, _TIMES, _ZONES) if t or not z)


@cache
def _pattern(form: str) -> re.Pattern[str]:
    parts = re.split(r"(%\w)", form)
    return re.compile("".join(_PARTS.get(part) or re.escape(part) for part in parts), re.IGNORECASE)
