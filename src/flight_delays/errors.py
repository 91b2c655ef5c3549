"""The error a person is meant to read."""

import difflib
from collections.abc import Sequence


class ProjectError(Exception):
    """Something a person can put right; the message says what, where and what to do next."""


def suggestion(name: str, known: Sequence[str]) -> str:
    """What a misspelt name may have meant."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean '{close[0]}'?" if close else f"There are {', '.join(known)}."
