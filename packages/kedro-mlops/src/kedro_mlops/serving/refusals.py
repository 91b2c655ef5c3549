"""Requests that are refused: for which reasons, with what status, and what is said."""

from typing import NotRequired, TypedDict

from .settings import MAX_HEADER_BYTES

Headers = tuple[tuple[bytes, bytes], ...]

# by reason: the status, and what is said, in which braces stand for what the request has to do with
REFUSED: dict[str, tuple[int, str]] = {
    "bug": (500, "It is logged."),
    "content_encoding": (415, "Send the body without compression."),
    "content_type": (415, "Send application/json or application/vnd.apache.arrow.stream."),
    "headers": (
        431,
        f"Headers, and what is in a body beside it, may have {MAX_HEADER_BYTES:,} bytes.",
    ),
    "http": (400, "This is no request of HTTP/1.1."),
    "key": (401, "Send a valid key: `Authorization: Bearer <key>`."),
    "method": (405, "Use {methods}."),
    "overloaded": (503, "Too many requests; try again in a while."),
    "path": (404, "There is nothing at {path}; see / ."),
    "pipelined": (429, "{n_requests} requests may wait for another on the same connection."),
    "slow": (408, "The {part} took too long to arrive."),
    "query": (400, "There is no query but ?{known}."),
    "starting": (503, "The service is starting; try again."),
    "timeout": (503, "It took too long; try again."),
    "too_large": (413, "A request may have {max_bytes:,} bytes; send the rows in several."),
    "unexplained": (501, "The contributions of features are not known. {why}"),
    "unlogged": (503, "Predictions cannot be logged at present."),
    "unready": (503, "{why}"),
}
# of rows; what is said, who reads them knows
OF_ROWS = {"invalid": 422, "malformed": 400, "shape": 422, "too_many_rows": 422, "type": 422}


class RowProblem(TypedDict):
    """What is wrong in one place; the value is not told where it is personal."""

    row: int
    field: str | None
    rule: str
    message: str
    value: NotRequired[str]


class BadRequestError(Exception):
    """A request that cannot be answered.

    Args:
        status: The HTTP status.
        reason: A word for it, for counting.
        detail: What is wrong, and what to do.
        problems: What is wrong in each place.
        headers: Of the answer.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        problems: list[RowProblem] | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(detail)
        self.headers = headers
        self.status = status
        self.reason = reason
        self.detail = detail
        self.problems = problems or []


def refused_rows(
    reason: str, detail: str, problems: list[RowProblem] | None = None
) -> BadRequestError:
    """A request whose rows are refused, and what is said of them."""
    status = OF_ROWS.get(reason) or REFUSED[reason][0]
    return BadRequestError(status, reason, detail, problems)


def refused(reason: str, headers: Headers = (), **said: str | int) -> BadRequestError:
    """A request that is refused for one of the reasons above."""
    status, detail = REFUSED[reason]
    return BadRequestError(status, reason, detail.format(**said), headers=headers)
