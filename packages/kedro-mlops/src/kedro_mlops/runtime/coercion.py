"""Values in other types than a field's, where they can only mean one of its own.

So are they in JSON that was made of a file: a number may be text there, since a reader has found a
word among others, and a code of digits a number, since it has found none.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from . import serving_spec as spec
from .kinds import Kind

# no number or moment is longer: a longer text is none, and is not looked at
MAX_LENGTH = 100
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
# a float would lose some digits of more than 15
_WHOLE = re.compile(r"([+-]?\d+)(\.0*)?")
# moments that are numbers: what is counted since 1970, and its microseconds
EPOCHS: dict[str, float] = {"epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1, "epoch_ns": 1e-3}
# the microseconds of the year 10000: no moment is as late
END_OF_TIME = 253_402_300_800_000_000
# the first that has four digits, as a format with a whole year asks for
FIRST_WHOLE_YEAR = 1000
_SINCE = datetime(1970, 1, 1)  # noqa: DTZ001 - moments have no zone
_TRUTHS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
# what a zone is from UTC: less than 18 hours, as engines have it
OFFSET = "[+-](?:0[0-9]|1[0-7])(?::?[0-5][0-9])?"
# what engines read as ISO 8601, too: with slashes, with parts of one digit
_ISO = re.compile(
    r"(\d{4})(?:-(\d\d?)-|/(\d\d?)/)(\d\d?)"
    r"(?:[T ](\d\d?):(\d\d?)(?::(\d\d?)(?:\.(\d+))?)?"
    rf" ?(Z|UTC|{OFFSET}(?::[0-5]\d)?)?)?"
)
# what engines take away around a value, of which Python knows more, and beside a symbol
_BLANKS = "\t\n\v\f\r "
_BLANKS_BESIDE = _BLANKS + "\u00a0\u202f"
# a digit of another script, which is none to the engines that read files
_OTHER_DIGIT = re.compile(r"[^\D0-9]")
# typographers have several of each
_ALIKE = str.maketrans("\u00a0\u202f\u2019", "  '")


def coercion(field: spec.Field) -> Callable[[Any], Any]:
    """What makes values of a field of others; it returns those as they are that it cannot read."""
    spelling, words = field.coerced or spec.Spelling(), no_values(field)
    read = _counted if spelling.format in EPOCHS else _READ[field.kind]

    def coerced(value: Any) -> Any:
        if isinstance(value, str):
            if value in words:
                return None
            if len(value) > MAX_LENGTH or _has_other_digits(value):
                return value
        try:
            return read(value, spelling)
        except (ValueError, OverflowError):
            return value

    return coerced


def _has_other_digits(text: str) -> bool:
    return not text.isascii() and _OTHER_DIGIT.search(text) is not None


def no_values(field: spec.Field) -> frozenset[str]:
    """The texts that stand for no value where callers may say it in other types."""
    return frozenset(field.coerced.missing if field.coerced else ())


def also_taken(field: spec.Field) -> Any:
    """The type that its values may have instead of the field's."""
    spelling = field.coerced or spec.Spelling()
    if field.kind == "categorical":
        # a word for no value need not be among those that are allowed
        return int | Literal[tuple(spelling.missing)] if _may_say_none(field) else int
    if spelling.format in EPOCHS:
        return float | str
    # a moment may be all digits
    return str | int if spelling.format else str


def said_of_coercion(field: spec.Field) -> str:
    """What such values are, in words."""
    spelling = field.coerced or spec.Spelling()
    said = [_said_of_kind(field, spelling)]
    if spelling.format and spelling.format not in EPOCHS:
        said.append(f"by {spelling.format}")
    if spelling.symbol:
        said.append(f"with {spelling.symbol!r} before or behind it")
    if spelling.decimal != ".":
        said.append(f"with {spelling.decimal!r} before the fraction")
    if spelling.thousands:
        said.append(f"with {spelling.thousands!r} between thousands")
    if _may_say_none(field):
        said.append(f"of which {', '.join(map(repr, spelling.missing))} stand for no value")
    return ", ".join(said)


def _said_of_kind(field: spec.Field, spelling: spec.Spelling) -> str:
    if field.kind == "categorical":
        return "Its digits, as a number" + (", or text" if _may_say_none(field) else "")
    if spelling.format in EPOCHS:
        return f"A moment, counted since 1970 in {spelling.format.removeprefix('epoch_')}"
    words = {"numeric": "A number", "boolean": "true or false", "datetime": "A moment"}
    return f"{words[field.kind]}, as text"


def _may_say_none(field: spec.Field) -> bool:
    return field.nullable and bool(no_values(field))


def around(symbol: str) -> str:
    """What finds a symbol before a number, behind its sign, or at its end; the sign is a group.

    It is for engines whose patterns take time in proportion to a text, as Python's do not.
    """
    blank, mark = "[\\t-\\r \u00a0\u202f]*", re.escape(symbol)
    return f"^{blank}([+-]?){blank}{mark}{blank}|{blank}{mark}{blank}$"


def without_symbol(said: str, symbol: str) -> str:
    """A number as text, without what stands before or behind it: what ``around`` finds."""
    start = said.lstrip(_BLANKS_BESIDE)
    sign = start[:1] if start[:1] in ("+", "-") else ""
    number = start[len(sign) :].lstrip(_BLANKS_BESIDE)
    if number.startswith(symbol):
        said = sign + number.removeprefix(symbol).lstrip(_BLANKS_BESIDE)
    end = said.rstrip(_BLANKS_BESIDE)
    if end.endswith(symbol):
        said = end.removesuffix(symbol).rstrip(_BLANKS_BESIDE)
    return said.strip(_BLANKS)


def _text(value: Any, _: spec.Spelling) -> Any:
    """Whole numbers as their digits."""
    return str(int(value)) if _is_whole(value) else value


def _is_whole(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _counted(value: Any, spelling: spec.Spelling) -> Any:
    """A moment of what is counted since 1970."""
    number, microseconds = _number(value, spelling), EPOCHS[spelling.format or ""]
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if is_number and abs(number) * microseconds < END_OF_TIME:
        return _SINCE + timedelta(microseconds=round(number * microseconds))
    return value


def _number(value: Any, spelling: spec.Spelling) -> Any:
    if not isinstance(value, str):
        return value
    plain = value.strip(_BLANKS)
    if spelling.symbol:
        plain = without_symbol(plain, spelling.symbol)
    plain = plain.translate(_ALIKE)
    if spelling.thousands:
        mark, point = re.escape(spelling.thousands), re.escape(spelling.decimal)
        grouped = rf"[+-]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?"
        plain = plain.replace(spelling.thousands, "") if re.fullmatch(grouped, plain) else plain
    if spelling.decimal != ".":
        if "." in plain:
            return value
        plain = plain.replace(spelling.decimal, ".")
    if whole := _WHOLE.fullmatch(plain):
        return int(whole[1])
    return float(plain) if _NUMBER.fullmatch(plain) else value


def _truth(value: Any, _: spec.Spelling) -> Any:
    return _TRUTHS.get(value.strip(_BLANKS).lower(), value) if isinstance(value, str) else value


def _moment(value: Any, spelling: spec.Spelling) -> Any:
    """A moment in UTC, if a zone is said; one that is all digits may be a number."""
    if spelling.format and _is_whole(value):
        value = str(int(value))
    if not isinstance(value, str):
        return value
    said = value.strip(_BLANKS)
    moment = _by_format(said, spelling.format) if spelling.format else _iso(said)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def with_zone(form: str) -> str:
    """A pattern of moments by a format that has a zone (``%z``), which is the group.

    It looks at the zone alone, which engines read in several ways; of no text it takes long.
    """
    parts = {"%z": f"({OFFSET})"}
    said = (
        parts.get(part, "[0-9A-Za-z]+") if part.startswith("%") else re.escape(part)
        for part in re.split("(%z|(?:%[^z])+)", form)
    )
    return f"^{''.join(said)}$".replace(r"\ ", " +")


def _by_format(said: str, form: str) -> datetime:
    if "%z" in form:
        found = re.match(with_zone(form), said)
        if found is None:
            raise ValueError(f"It has no zone: {said!r}")
        end = found.end(1)
        # Python reads no hours alone
        said = f"{said[:end]}00{said[end:]}" if len(found[1]) == len("+02") else said
    moment = datetime.strptime(said, form)  # noqa: DTZ007 - the format may have no zone
    if "%Y" in form and moment.year < FIRST_WHOLE_YEAR:
        raise ValueError(f"Its year has not four digits: {said!r}")
    return moment


def _iso(said: str) -> datetime:
    found = _ISO.fullmatch(said)
    if found is None:
        raise ValueError(f"It is no moment by ISO 8601: {said!r}")
    year, dashed, slashed, *rest, fraction, zone = found.groups("")
    month, day, hour, minute, second = (f"{part:0>2}" for part in (dashed or slashed, *rest))
    moment = f"{year}-{month}-{day}T{hour}:{minute}:{second}.{fraction[:6]:0<6}"
    return datetime.fromisoformat(moment + zone.replace("UTC", "Z"))


_READ: dict[Kind, Callable[[Any, spec.Spelling], Any]] = {
    "categorical": _text,
    "numeric": _number,
    "boolean": _truth,
    "datetime": _moment,
}
