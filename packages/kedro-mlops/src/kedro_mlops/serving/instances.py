"""Requests in the form of Vertex AI, ``{"instances": [...], "parameters": {...}}``, as ours."""

import re

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .refusals import refused_rows

SHAPE = (
    "Send an object with `instances`, a list of at least one row; and with `parameters`, "
    '{"explain": true}, if they are to be explained.'
)
ROWS = re.compile(rb"\[\s*[^\]\s]")


class _Parameters(msgspec.Struct, forbid_unknown_fields=True):
    explain: bool | UnsetType = UNSET


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    instances: Raw
    parameters: _Parameters | UnsetType | None = UNSET


_decode = msgspec.json.Decoder(_Asked).decode


def unwrap(body: bytes) -> tuple[bytes, bool]:
    """A request as Vertex AI sends it, as one of ours; and whether it asks to be explained.

    Raises:
        BadRequestError: if it has another form.
    """
    try:
        asked = _decode(body)
        again = msgspec.json.encode(asked)
    except msgspec.ValidationError:
        raise refused_rows("shape", SHAPE) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise refused_rows("malformed", f"The body is not JSON: {str(error)[:200]}.") from None
    rows = bytes(asked.instances)
    # of a key that comes twice, just one is written again
    if again.count(b":") != body.count(b":") or not ROWS.match(rows):
        raise refused_rows("shape", SHAPE)
    explain = isinstance(asked.parameters, _Parameters) and asked.parameters.explain is True
    return b'{"rows":%b}' % rows, explain
