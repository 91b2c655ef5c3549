"""How text says values: told from some of them, to be verified on all."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Literal

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
# values of a column by which it is told how it is read
LOOKED_AT = 1_000
# a float tells whole numbers apart up to this one
MAX_EXACT = 2**53

_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_CODE = re.compile(r"\s*0\d+\s*")
_NUMBERS = {
    (".", None): re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"),
    (".", ","): re.compile(r"\s*[+-]?\d{1,3}(,\d{3})*(\.\d*)?\s*"),
    (",", None): re.compile(r"\s*[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?\s*"),
    (",", "."): re.compile(r"\s*[+-]?\d{1,3}(\.\d{3})*(,\d*)?\s*"),
    (",", " "): re.compile(r"\s*[+-]?\d{1,3}([ \u00a0\u202f]\d{3})*(,\d*)?\s*"),
    (".", " "): re.compile(r"\s*[+-]?\d{1,3}([ \u00a0\u202f]\d{3})*(\.\d*)?\s*"),
    (".", "'"): re.compile(r"\s*[+-]?\d{1,3}(['\u2019]\d{3})*(\.\d*)?\s*"),
}
_TRUTHS = ({"true", "false"}, {"t", "f"})
_ISO = re.compile(
    r"\s*\d{4}([-/])\d{1,2}\1\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?"
    r"(?P<zone> ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?\s*"
)
# how what may be a date begins
_DATE = re.compile(r"\d{1,4}[-./ ][\da-z]|[a-z]{3,9} \d", re.IGNORECASE)
FIRST = 20
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
        zoned: Whether moments say their zone.
    """

    kind: ValueKind
    missing: tuple[str, ...] = ()
    format: str | None = None
    decimal: str = "."
    thousands: str | None = None
    zoned: bool = False


def is_no_value(said: str, kind: ValueKind) -> bool:
    """Whether text stands for no value in a column of a kind."""
    return said.strip().casefold() in (NO_VALUE if kind == "text" else NO_OTHER_VALUE)


def read_as(name: str, said: Sequence[str]) -> Reading:
    """How a column is read that says these things."""
    values = [value for value in said if not is_no_value(value, "boolean")][:LOOKED_AT]
    found = _day(name, values) or _number(values) or _truth(values) or _moment(values)
    if found is None:
        found = Reading("text" if any(not is_no_value(v, "text") for v in said) else "empty")
    return replace(found, missing=tuple(v for v in said if v and is_no_value(v, found.kind)))


def _day(name: str, values: Sequence[str]) -> Reading | None:
    """Days of digits only, if the name says that they are some."""
    if not values or not _DAY_NAMED.search(name):
        return None
    for form in _DAYS:
        if all(_pattern(form).fullmatch(value) for value in values):
            return Reading("moment", format=form)
    return None


def _number(values: Sequence[str]) -> Reading | None:
    if any(_CODE.fullmatch(value) for value in values) or not values:
        return None
    if _most(values, _WHOLE.fullmatch):
        exact = all(abs(int(v)) <= MAX_EXACT for v in values if _WHOLE.fullmatch(v))
        return Reading("integer") if exact else None
    for (decimal, thousands), spelling in _NUMBERS.items():
        if _most(values, spelling.fullmatch):
            return Reading("number", decimal=decimal, thousands=thousands)
    return None


def _truth(values: Sequence[str]) -> Reading | None:
    if not values:
        return None
    for truth in _TRUTHS:
        if _most([value.strip().casefold() for value in values], truth.__contains__):
            return Reading("boolean")
    return None


def _moment(values: Sequence[str]) -> Reading | None:
    if not values:
        return None
    if _most(values, _ISO.fullmatch):
        zoned = any(found["zone"] for found in map(_ISO.fullmatch, values) if found)
        return Reading("moment", zoned=zoned)
    values = [value.strip() for value in values]
    first = [value for value in values[:FIRST] if _DATE.match(value)]
    counts = {
        form: sum(1 for value in values if _pattern(form).fullmatch(value))
        for form in _formats()
        if any(_pattern(form).fullmatch(value) for value in first)
    }
    best = max(counts, key=lambda form: counts[form], default=None)
    if best is None or counts[best] < (1 - DOUBT) * len(values):
        return None
    return Reading("moment", format=best, zoned="%z" in best)


def _most(values: Sequence[str], fits: Callable[[str], object]) -> bool:
    return sum(1 for value in values if fits(value)) >= (1 - DOUBT) * len(values)


@cache
def _formats() -> tuple[str, ...]:
    """Formats of moments, the more usual ones first."""
    return tuple(d + t + z for d, t, z in product(_DATES, _TIMES, _ZONES) if t or not z)


@cache
def _pattern(form: str) -> re.Pattern[str]:
    parts = re.split(r"(%\w)", form)
    return re.compile("".join(_PARTS.get(part) or re.escape(part) for part in parts), re.IGNORECASE)
