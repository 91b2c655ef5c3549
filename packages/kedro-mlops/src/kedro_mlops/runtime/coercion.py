"""Values in other types than a field's, where they can only mean one of its own.

So are they in JSON that was made of a file: a number may be text there, since a reader has found a
word among others, and a code of digits a number, since it has found none.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from . import serving_spec as spec

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
# so many digits fit into 64 bits
_WHOLE = re.compile(r"[+-]?\d{1,18}")
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
    # a moment may be all digits
    return str | int if spelling.format else str


def said_of_coercion(field: spec.Field) -> str:
    """What such values are, in words."""
    spelling = field.coerced or spec.Spelling()
    if field.kind == "categorical":
        return "Its digits, as a number"
    words = {"numeric": "A number", "boolean": "true or false", "datetime": "A moment"}[field.kind]
    said = [f"{words}, as text"]
    if spelling.format:
        said.append(f"by {spelling.format}")
    if spelling.decimal != ".":
        said.append(f"with {spelling.decimal!r} before the fraction")
    if spelling.thousands:
        said.append(f"with {spelling.thousands!r} between thousands")
    if field.nullable and spelling.missing:
        said.append(f"of which {', '.join(map(repr, spelling.missing))} stand for no value")
    return ", ".join(said)


def _text(value: Any) -> Any:
    """Whole numbers as their digits."""
    return str(int(value)) if _is_whole(value) else value


def _is_whole(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and float(value).is_integer()


def _number(said: str, spelling: spec.Spelling) -> Any:
    plain = said.translate(_ALIKE)
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
