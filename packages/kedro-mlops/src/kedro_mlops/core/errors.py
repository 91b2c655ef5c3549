"""The error a person is meant to read."""

import difflib
from collections.abc import Iterator, Sequence

MOST_NAMES = 30


class ProjectError(Exception):
    """Something a person can put right; the message says what, where and what to do next."""


class ContractError(ProjectError):
    """A contract that contradicts itself, or asks for what cannot be enforced everywhere."""


class BadDataError(ProjectError):
    """Data too bad to go on with; nothing may be decided from it but to wait."""


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it came from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an engine may not take the memory that it needs; DuckDB need not be imported."""
    return any(type(cause).__name__ == "OutOfMemoryException" for cause in causes_of(error))


def suggestion(name: str, known: Sequence[str]) -> str:
    """What a misspelt name may have meant."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean '{close[0]}'?" if close else f"There are {some_of(known)}."


def some_of(names: Sequence[str]) -> str:
    """Names as a message has them: the first of many."""
    return ", ".join([*names[:MOST_NAMES], *(["…"] if len(names) > MOST_NAMES else [])])
