"""Requests as they come in: bytes to rows, quickly, and every error with its place."""

import re
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kedro_mlops.runtime import serving_spec as spec
from kedro_mlops.runtime.checks import asked_of
from kedro_mlops.runtime.field_types import MAX_TEXT, request_model

from .json_rows import rows_of, too_many_rows
from .limits import DeadlineCheck, no_deadline
from .refusals import BadRequestError, Problem
from .validation_errors import MAX_ERRORS, validation_errors

# an escaped colon begins with this
ESCAPED = rb"\u003"
# a fraction of a second that is finer than microseconds, at the end of a text
TOO_FINE = re.compile(rb"\.\d{7,}\"")

# characters that a field of a row may take, name and all; any text fits, even if all is escaped
FIELD_LENGTH = 4096

Values = tuple[Any, ...]


class RowReader:
    """Reads ``{"rows": [...]}`` into one tuple a row, in the order of the fields.

    Args:
        fields: The fields that callers send.
        max_rows: Rows that one request may have.
    """

    def __init__(self, fields: list[spec.Field], max_rows: int) -> None:
        self._fields = fields
        self._max_rows = max_rows
        self._max_length = FIELD_LENGTH * (1 + len(fields))
        self._values = _values_of([field.name for field in fields])
        self._judge = request_model(fields)
        self._personal = frozenset(field.name for field in fields if field.personal)
        self._decode = request_decoder([_member(field) for field in fields], max_rows)
        kinds = {kind: [i for i, f in enumerate(fields) if f.kind == kind] for kind in _COLONS}
        self._texts, self._moments = kinds["categorical"], kinds["datetime"]
        self._nullable_moments = [i for i in self._moments if fields[i].nullable]
        self._checks = [
            check_deadline for i, f in enumerate(fields) for check_deadline in _checks(i, f)
        ]

    @property
    def model(self) -> Any:
        """The Pydantic model of a row, for documentation."""
        return self._judge

    def read(self, body: bytes, check_deadline: DeadlineCheck = no_deadline) -> list[Values]:
        """The rows of a request.

        Args:
            body: Of the request.
            check_deadline: Called before each row that is judged.

        Raises:
            BadRequestError: if it is not JSON, or a row breaks the contract.
        """
        read = self.read_at_once(body)
        return self.judged(body, check_deadline) if read is None else read

    def read_at_once(self, body: bytes) -> list[Values] | None:
        """The rows of a request that is right beyond doubt; None for any other."""
        try:
            rows = self._decode(body).rows
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        # a key that comes twice shows as a colon more than there should be
        n_colons = 1
        read: list[Values] = []
        for row in rows:
            values: Values = self._values(row)
            n_colons += self._n_colons(values)
            if UNSET in values:
                values = tuple(None if value is UNSET else value for value in values)
            read.append(values)
        if (
            n_colons != body.count(b":")
            or hides_colons(body)
            or TOO_FINE.search(body)
            or not self._keep(read)
        ):
            return None
        return read

    def _n_colons(self, values: Values) -> int:
        n_colons = len(values) - values.count(UNSET) + 2 * len(self._moments)
        for position in self._nullable_moments:
            if not isinstance(values[position], datetime):
                n_colons -= 2
        for position in self._texts:
            value = values[position]
            if value.__class__ is str:
                n_colons += value.count(":")
        return n_colons

    def _keep(self, rows: list[Values]) -> bool:
        """Whether the rows keep the rules that the decoder does not know."""
        for position, check_deadline in self._checks:
            for values in rows:
                if values[position] is not None and not check_deadline(values[position]):
                    return False
        return True

    def judged(self, body: bytes, check_deadline: DeadlineCheck = no_deadline) -> list[Values]:
        """Let the judge say what is wrong, or that nothing is."""
        if body.count(b"{") > 1 + self._max_rows:
            # too many rows are refused before any of them is judged
            deque(self._rows_of(body, check_deadline), maxlen=0)
        right, wrong = validation_errors(
            self._judge, self._rows_of(body, check_deadline), self._personal
        )
        if wrong:
            raise _refusal(wrong)
        return [self._values(row) for row in right]

    def _rows_of(self, body: bytes, check_deadline: DeadlineCheck) -> Iterator[Any]:
        return rows_of(body, self._max_rows, self._max_length, check_deadline)

    def refuse(self, rows: list[dict[str, Any]], numbers: list[int]) -> None:
        """Say what is wrong with rows, given their numbers in the request.

        Raises:
            BadRequestError: if anything is.
        """
        _, wrong = validation_errors(self._judge, rows, self._personal)
        if wrong:
            raise _refusal([found | {"row": numbers[found["row"]]} for found in wrong])

    def check_count(self, n_rows: int) -> None:
        """Refuse more rows than one request may have."""
        if n_rows > self._max_rows:
            raise too_many_rows(f"{n_rows:,} rows are more than the {self._max_rows:,}")


def request_decoder(members: list[tuple[Any, ...]], max_rows: int) -> Callable[[bytes], Any]:
    """A decoder of ``{"rows": [...]}``: objects with the members, strictly and no others."""
    row = msgspec.defstruct("Row", members, forbid_unknown_fields=True, kw_only=True, gc=False)
    rows = Annotated[list[row], Meta(min_length=1, max_length=max_rows)]  # type: ignore[valid-type]
    request = msgspec.defstruct("Request", [("rows", rows)], forbid_unknown_fields=True)
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(request).decode
    return decode


def _refusal(wrong: list[Problem]) -> BadRequestError:
    more = "" if len(wrong) <= MAX_ERRORS else f" The first {MAX_ERRORS} errors are named."
    return BadRequestError(422, "invalid", f"Rows break the contract.{more}", wrong[:MAX_ERRORS])


def hides_colons(body: bytes) -> bool:
    """Whether colons are written so that they would not be counted."""
    return b"\\" in body and ESCAPED in body


def _values_of(names: list[str]) -> Callable[[Any], Values]:
    # of one name, it would give the value itself
    getter: Callable[[Any], Any] = attrgetter(*names)
    return getter if len(names) > 1 else lambda row: (getter(row),)


_COLONS = ("categorical", "datetime")
_BOUNDS = ("gt", "ge", "lt", "le")


def _member(field: spec.Field) -> tuple[Any, ...]:
    if field.nullable:
        return field.name, _type(field) | None | UnsetType, UNSET
    return field.name, _type(field)


def _type(field: spec.Field) -> Any:
    if field.allowed is not None and field.kind == "categorical":
        return Literal[tuple(field.allowed)]
    if field.kind == "numeric":
        return Annotated[int if field.integer else float, Meta(**_bounds(field))]
    if field.kind == "datetime":
        return Annotated[datetime, Meta(tz=False)]
    if field.kind == "boolean":
        return bool
    return Annotated[str, Meta(max_length=MAX_TEXT)]


def _bounds(field: spec.Field) -> dict[str, Any]:
    """The bounds, of which the decoder takes one at each end: the tighter."""
    bounds = {name: field.rules[name] for name in _BOUNDS if name in field.rules}
    for strict, loose, tighter in (("gt", "ge", max), ("lt", "le", min)):
        if strict in bounds and loose in bounds:
            is_strict = tighter(bounds[loose], bounds[strict]) == bounds[strict]
            bounds.pop(loose if is_strict else strict)
    return bounds


def _checks(position: int, field: spec.Field) -> Iterator[tuple[int, Callable[[Any], bool]]]:
    """What the decoder does not check; where one fails, the judge decides."""
    decoded = {"categorical": ("isin",), "numeric": _BOUNDS}.get(field.kind, ())
    for check, limit, _ in asked_of(field):
        if check.name not in decoded:
            yield position, check.value(limit)
