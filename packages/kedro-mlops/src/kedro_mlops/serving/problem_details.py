"""Responses: one shape for every error, and the headers that all of them have."""

import json
from typing import Any, NamedTuple, NotRequired, TypedDict

from .refusals import BadRequestError, Headers, RowProblem

JSON = b"application/json"
ARROW = b"application/vnd.apache.arrow.stream"
PROBLEM = b"application/problem+json"
SECURITY: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
# a browser is to load nothing from elsewhere
PAGE: Headers = (
    (
        b"content-security-policy",
        b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        b"frame-ancestors 'none'",
    ),
)
# an error is never larger than the request, or than this
MIN_ERROR = 1024
TITLES = {
    400: "Malformed request",
    401: "No valid API key",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timed out",
    413: "Request too large",
    415: "Unsupported media type",
    422: "Invalid rows",
    429: "Too many requests",
    431: "Headers too large",
    500: "Internal error",
    501: "Cannot be explained",
    503: "Unavailable",
}


# of all errors with that status
HEADERS: dict[int, Headers] = {
    401: ((b"www-authenticate", b"Bearer"),),
    408: ((b"connection", b"close"),),
    413: ((b"connection", b"close"),),
    503: ((b"retry-after", b"1"),),
}


class Reply(NamedTuple):
    """A response."""

    status: int
    body: bytes
    kind: bytes
    headers: Headers = ()
    refused: str = ""


class Problem(TypedDict):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: NotRequired[list[RowProblem]]
    more_errors: NotRequired[bool]


def refusal(error: BadRequestError, request_id: str, n_request: int = 0) -> Reply:
    """The response to a request, of which so many bytes have been read, that is refused."""
    headers = HEADERS.get(error.status, error.headers)
    body = problem(error, request_id, n_request)
    return Reply(error.status, body, PROBLEM, headers, error.reason)


def problem(error: BadRequestError, request_id: str, n_request: int) -> bytes:
    """An error in the form of RFC 9457, no larger than the request or 1 kB.

    A long detail is cut, and errors of single rows are left out from the end, until it is small
    enough.
    """
    limit = max(MIN_ERROR, n_request)
    body: Problem = {
        "type": "about:blank",
        "title": TITLES[error.status],
        "status": error.status,
        "detail": error.detail,
        "request_id": request_id,
    }
    limit -= len(', "errors": [], "more_errors": true')
    detail = error.detail
    while len(_encode(body)) > limit and detail:
        detail = detail[: len(detail) // 2]
        body["detail"] = f"{detail}…"
    room = limit - len(_encode(body))
    named: list[RowProblem] = []
    for found in error.problems:
        room -= len(_encode(found)) + 2
        if room < 0:
            break
        named.append(found)
    if error.problems:
        body["errors"] = named
        if len(named) < len(error.problems):
            body["more_errors"] = True
    return _encode(body)


def _encode(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode(errors="replace")
