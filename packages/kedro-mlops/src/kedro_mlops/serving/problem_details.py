"""Responses: one shape for every error, and the headers that all of them have."""

import json
from typing import Any

from .refusals import BadRequestError

Headers = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"
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
    411: "Length required",
    413: "Request too large",
    415: "Unsupported media type",
    422: "Invalid rows",
    429: "Too many requests",
    431: "Headers too large",
    500: "Internal error",
    503: "Unavailable",
}


def problem(error: BadRequestError, request_id: str, n_request: int) -> bytes:
    """An error in the form of RFC 9457, no larger than the request or 1 kB.

    A long detail is cut, and errors of single rows are left out from the end, until it is small
    enough.
    """
    limit = max(MIN_ERROR, n_request)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(error.status, "Error"),
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
    named: list[Any] = []
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


def _encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode(errors="replace")
