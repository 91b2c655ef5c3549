"""Values in other types than a field's, where they can only mean one of its own.

So are they in JSON that was made of a file: a number may be text there, since a reader has found a
word among others, and a code of digits a number, since it has found none.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from . import serving_spec as spec

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# so many digits fit into 64 bits
_WHOLE = re.compile(r"[+-]?\d{1,18}")
# moments that are numbers: what is counted since 1970, and its microseconds
EPOCHS: dict[str, float] = {"epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1, "epoch_ns": 1e-3}
# the microseconds of the year 10000: no moment is as late
END_OF_TIME = 253_402_300_800_000_000
_SINCE = datetime(1970, 1, 1)  # noqa: DTZ001 - moments have no zone
_TRUTHS = {"true": True, "t": True, "false": False, "f": False}
# a month or day of one digit
_SHORT = re.compile(r"(?<=-)(\d)(?!\d)")
# typographers have several of each
_ALIKE = str.maketrans("\u00a0\u202f\u2019", "  '")


def coercion(field: spec.Field) -> Callable[[Any], Any]:
    """What makes values of a field of others; it returns those as they are that it cannot read."""
    spelling = field.coerced or spec.Spelling()
    if field.kind == "categorical":
        return _text
    read = {"numeric": _number, "boolean": _truth, "datetime": _moment}[field.kind]

    def coerced(value: Any) -> Any:
        if spelling.format in EPOCHS:
            return _counted(value, EPOCHS[spelling.format], spelling)
        if spelling.format and _is_whole(value):
            value = str(int(value))
        if not isinstance(value, str):
            return value
        return None if value in spelling.missing else read(value.strip(), spelling)

    return coerced


def also_taken(field: spec.Field) -> Any:
    """The type that its values may have instead of the field's."""
    spelling = field.coerced or spec.Spelling()
    if field.kind == "categorical":
        return int
    if spelling.format in EPOCHS:
        return float | str
    # a moment may be all digits
    return str | int if spelling.format else str


def said_of_coercion(field: spec.Field) -> str:
    """What such values are, in words."""
    spelling = field.coerced or spec.Spelling()
    if field.kind == "categorical":
        return "Its digits, as a number"
    words = {"numeric": "A number", "boolean": "true or false", "datetime": "A moment"}[field.kind]
    said = [f"{words}, as text"]
    if spelling.format in EPOCHS:
        said = [f"A moment, counted since 1970 in {spelling.format.removeprefix('epoch_')}"]
    elif spelling.format:
        said.append(f"by {spelling.format}")
    if spelling.symbol:
        said.append(f"with {spelling.symbol!r} before or behind it")
    if spelling.decimal != ".":
        said.append(f"with {spelling.decimal!r} before the fraction")
    if spelling.thousands:
        said.append(f"with {spelling.thousands!r} between thousands")
    if field.nullable and spelling.missing:
        said.append(f"of which {', '.join(map(repr, spelling.missing))} stand for no value")
    return ", ".join(said)


def around(symbol: str) -> str:
    """What finds a symbol before a number, behind its sign, or at its end; the sign is a group."""
    blank, mark = "[\\s\u00a0\u202f]*", re.escape(symbol)
    return f"^{blank}([+-]?){blank}{mark}{blank}|{blank}{mark}{blank}$"


def without_symbol(said: str, symbol: str) -> str:
    """A number as text, without what stands before or behind it."""
    return re.sub(around(symbol), r"\1", said)


def _text(value: Any) -> Any:
    """Whole numbers as their digits."""
    return str(int(value)) if _is_whole(value) else value


def _is_whole(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and float(value).is_integer()


def _counted(value: Any, microseconds: float, spelling: spec.Spelling) -> Any:
    """A moment of what is counted since 1970."""
    if value in spelling.missing:
        return None
    number = _number(value.strip(), spelling) if isinstance(value, str) else value
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not (is_number and abs(number) * microseconds < END_OF_TIME):
        return value if isinstance(value, str) else number
    try:
        return _SINCE + timedelta(microseconds=round(number * microseconds))
    except OverflowError:
        return value


def _number(said: str, spelling: spec.Spelling) -> Any:
    plain = without_symbol(said, spelling.symbol) if spelling.symbol else said
    plain = plain.translate(_ALIKE)
    if spelling.thousands:
        mark, point = re.escape(spelling.thousands), re.escape(spelling.decimal)
        grouped = rf"[+-]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?"
        plain = plain.replace(spelling.thousands, "") if re.fullmatch(grouped, plain) else plain
    if spelling.decimal != "." and "." not in plain:
        plain = plain.replace(spelling.decimal, ".")
    if _WHOLE.fullmatch(plain):
        return int(plain)
    return float(plain) if _NUMBER.fullmatch(plain) else said


def _truth(said: str, _: spec.Spelling) -> Any:
    return _TRUTHS.get(said.casefold(), said)


def _moment(said: str, spelling: spec.Spelling) -> Any:
    """A moment in UTC, if a zone is said."""
    try:
        if spelling.format:
            moment = datetime.strptime(said, spelling.format)  # noqa: DTZ007 - as the format says
        else:
            moment = datetime.fromisoformat(_SHORT.sub(r"0\1", said.replace("/", "-")))
    except ValueError:
        return said
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
