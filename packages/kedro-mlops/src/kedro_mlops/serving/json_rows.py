"""The rows of a JSON request one by one, read strictly: no more is held than one of them."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from .refusals import BadRequestError, refused_rows

WHITE = re.compile(r"[ \t\n\r]*")
# so much of a key is looked at: it is `rows`, of which each letter may be written as an escape
FIRST_KEY = re.compile(r'[ \t\n\r]*\{[ \t\n\r]*("(?:[^"\\]|\\.){0,24}")[ \t\n\r]*:[ \t\n\r]*')
NEXT_KEY = re.compile(r'[ \t\n\r]*,[ \t\n\r]*("(?:[^"\\]|\\.){0,24}")')
END = re.compile(r"[ \t\n\r]*\}[ \t\n\r]*")
ROWS = "rows"
SHAPE = "Send an object with one field, `rows`: a list of at least one row."
# an error so near to where a row was cut may come from the cut
NEAR_CUT = 8


def rows_of(
    body: bytes, max_rows: int, max_length: int, check_deadline: Callable[[], None]
) -> Iterator[Any]:
    """The rows of ``{"rows": [...]}``.

    Args:
        body: UTF-8.
        max_rows: Rows that there may be.
        max_length: Characters that a row may have.
        check_deadline: Called before each row.

    Raises:
        BadRequestError: where it is something else, or a key comes twice.
    """
    text = _text(body)
    place = _first(text, max_length)
    for number in range(max_rows):
        check_deadline()
        row, place = _row(text, place, max_length, number)
        yield row
        place = _skip(text, place)
        if text[place : place + 1] != ",":
            return _finish(text, place)
        place = _skip(text, place + 1)
    raise too_many_rows(f"There are more rows than the {max_rows:,}")


def too_many_rows(what: str) -> BadRequestError:
    """A refusal of more rows than there may be."""
    detail = f"{what} that one request may have; send them in several."
    return refused_rows("too_many_rows", detail)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        detail = f"The body is not UTF-8: {error.reason} at byte {error.start}."
    raise refused_rows("malformed", detail)


def _first(text: str, max_length: int) -> int:
    """The place of the first row."""
    found = FIRST_KEY.match(text)
    if found is None or _parsed(found[1]) != ROWS or text[found.end() : found.end() + 1] != "[":
        # what is short is looked at as a whole: it may be no JSON at all
        if len(text) <= max_length:
            _parsed(text)
        raise refused_rows("shape", SHAPE)
    place = _skip(text, found.end() + 1)
    if text[place : place + 1] == "]":
        _finish(text, place)
        raise refused_rows("shape", SHAPE)
    return place


def _row(text: str, place: int, max_length: int, number: int) -> tuple[Any, int]:
    """The row at a place, and the place after it."""
    piece = text[place : place + max_length]
    with _telling(f", in row {number}"):
        try:
            row, length = _DECODER.raw_decode(piece)
        except json.JSONDecodeError as error:
            is_cut = len(text) > place + max_length
            if is_cut and (error.pos > max_length - NEAR_CUT or "Unterminated" in error.msg):
                detail = f"Row {number} has more than {max_length:,} characters, or no end."
                raise refused_rows("shape", detail) from error
            raise ValueError(f"{error.msg} at character {place + error.pos:,}") from None
    return row, place + length


def _finish(text: str, place: int) -> None:
    """Make sure that nothing comes after the rows."""
    with _telling():
        if text[place : place + 1] != "]":
            raise ValueError(f"Expecting ',' or ']' at character {place:,}")
        if END.fullmatch(text, place + 1):
            return
        another = NEXT_KEY.match(text, place + 1)
        if another is None:
            raise ValueError(f"Expecting '}}' and no more after character {place:,}")
        if _parsed(another[1]) == ROWS:
            raise ValueError('the key "rows" comes twice')
    raise refused_rows("shape", SHAPE)


def _parsed(text: str) -> Any:
    with _telling():
        return _DECODER.decode(text)


@contextlib.contextmanager
def _telling(where: str = "") -> Iterator[None]:
    """Refuse what is found to be no JSON."""
    try:
        yield
    except RecursionError:
        raise refused_rows("malformed", "The body is nested too deeply.") from None
    except ValueError as error:
        detail = f"The body is not JSON: {str(error)[:200]}{where}."
        raise refused_rows("malformed", detail) from None


def _skip(text: str, place: int) -> int:
    found = WHITE.match(text, place)
    assert found is not None
    return found.end()


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"the key {json.dumps(name[:40])} comes twice")
        seen.add(name)
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number; leave the value out or send null")


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_no_number)
