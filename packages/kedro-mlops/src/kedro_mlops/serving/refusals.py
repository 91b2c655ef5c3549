"""A request that is refused, and why."""

from typing import Any

Problem = dict[str, Any]


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
        problems: list[Problem] | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.headers = headers
        self.status = status
        self.reason = reason
        self.detail = detail
        self.problems = problems or []
