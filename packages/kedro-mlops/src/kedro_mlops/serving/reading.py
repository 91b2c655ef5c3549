"""Requests as they come in: bytes to rows, quickly, and every error with its place."""

import re
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kedro_mlops.core.structs import Keys, struct_of
from kedro_mlops.runtime import serving_spec as spec
from kedro_mlops.runtime.checks import asked_of
from kedro_mlops.runtime.coercion import no_values
from kedro_mlops.runtime.field_types import MAX_TEXT, longest, request_model

from .json_rows import rows_of, too_many_rows
from .limits import DeadlineCheck, no_deadline
from .refusals import BadRequestError, RowProblem, refused_rows
from .validation_errors import MAX_ERRORS, validation_errors

# an escaped colon begins with this
ESCAPED = rb"\u003"
# a fraction of a second that is finer than microseconds, at the end of a text
TOO_FINE = re.compile(rb"\.\d{7,}\"")

# characters that a field of a row may take; any text fits, even if all is escaped
FIELD_LENGTH, ESCAPE_LENGTH = 4096, 12

Values = tuple[Any, ...]


class RowReader:
    """Reads ``{"rows": [...]}`` into one tuple a row, in the order of the fields.

    What ``read_at_once`` cannot read is ``judged``.

    Args:
        fields: The fields that callers send.
        max_rows: Rows that one request may have.

    Attributes:
        model: The Pydantic model of a row, which judges those that are not right beyond doubt.
    """

    def __init__(self, fields: list[spec.Field], max_rows: int) -> None:
        self.fields = fields
        self.max_rows = max_rows
        beyond = sum(len(f.name) + max(longest(f) - MAX_TEXT, 0) for f in fields)
        self._max_length = FIELD_LENGTH * (1 + len(fields)) + ESCAPE_LENGTH * beyond
        self.model: Any = request_model(fields)
        self._personal = frozenset(field.name for field in fields if field.personal)
        self._decode = request_decoder([_member(field) for field in fields], max_rows)
        self._encode = msgspec.json.Encoder().encode
        self._checks = [check for i, field in enumerate(fields) for check in _checks(i, field)]

    def read_at_once(self, body: bytes) -> list[Values] | None:
        """The rows of a request that is right beyond doubt; None for any other."""
        try:
            request = self._decode(body)
            again = self._encode(request)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        # of a key that comes twice, just one is written again
        if again.count(b":") != body.count(b":") or hides_colons(body) or TOO_FINE.search(body):
            return None
        read: list[Values] = []
        for row in request.rows:
            values: Values = msgspec.structs.astuple(row)
            if UNSET in values:
                values = tuple(None if value is UNSET else value for value in values)
            for position, keeps in self._checks:
                if values[position] is not None and not keeps(values[position]):
                    return None
            read.append(values)
        return read

    def judged(self, body: bytes, check_deadline: DeadlineCheck = no_deadline) -> list[Values]:
        """Let the judge say what is wrong, or that nothing is.

        Args:
            body: Of the request.
            check_deadline: Called before each row.

        Raises:
            BadRequestError: if it is not JSON, or a row breaks the contract.
        """
        rows = partial(rows_of, body, self.max_rows, self._max_length, check_deadline)
        if body.count(b"{") > 1 + self.max_rows:
            # too many rows are refused before any of them is judged
            deque(rows(), maxlen=0)
        right, wrong = validation_errors(self.model, rows(), self._personal)
        if wrong:
            raise _refusal(wrong)
        return [tuple(vars(row).values()) for row in right]

    def refuse(self, rows: list[dict[str, Any]], numbers: list[int]) -> None:
        """Say what is wrong with rows, given their numbers in the request.

        Raises:
            BadRequestError: if anything is.
        """
        _, wrong = validation_errors(self.model, rows, self._personal)
        if wrong:
            raise _refusal([{**found, "row": numbers[found["row"]]} for found in wrong])

    def check_count(self, n_rows: int) -> None:
        """Refuse more rows than one request may have."""
        if n_rows > self.max_rows:
            raise too_many_rows(f"{n_rows:,} rows are more than the {self.max_rows:,}")


def request_decoder(members: list[tuple[Any, ...]], max_rows: int) -> Callable[[bytes], Any]:
    """A decoder of ``{"rows": [...]}``: objects with the members, strictly and no others."""
    row = struct_of("Row", members, forbid_unknown_fields=True, kw_only=True, gc=False)
    rows = Annotated[list[row], Meta(min_length=1, max_length=max_rows)]  # type: ignore[valid-type]
    request = msgspec.defstruct("Request", [("rows", rows)], forbid_unknown_fields=True)
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(request).decode
    keys = Keys(name for name, *_ in members)

    def decode_keys(body: bytes) -> Any:
        if keys.pretends(body):
            raise ValueError("a key is called as what stands in for another")
        return decode(keys.known(body))

    return decode_keys


def hides_colons(body: bytes) -> bool:
    """Whether colons are written so that they would not be counted."""
    return b"\\" in body and ESCAPED in body


def _refusal(wrong: list[RowProblem]) -> BadRequestError:
    more = "" if len(wrong) <= MAX_ERRORS else f" The first {MAX_ERRORS} errors are named."
    return refused_rows("invalid", f"Rows break the contract.{more}", wrong[:MAX_ERRORS])


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
    return Annotated[str, Meta(max_length=longest(field))]


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
    decoded = {"categorical": ("isin", "str_length"), "numeric": _BOUNDS}.get(field.kind, ())
    for check, limit, _ in asked_of(field):
        if check.name not in decoded:
            yield position, check.value(limit)
    if field.kind == "categorical" and (words := no_values(field)):
        yield position, lambda value: value not in words
