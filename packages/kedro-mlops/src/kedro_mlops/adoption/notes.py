"""What a person should know of a column, whatever became of it."""

import re
from collections.abc import Iterator
from typing import Any

from .profile import ColumnProfile

SIGNED = re.compile(
    r"[+-]?\s*[$€£¥]\s*[+-]?\d[\d.,' ]*|[+-]?\d[\d.,' ]*\s*([$€£¥%]|EUR|USD|GBP|CHF|kg|km|cm)",
    re.IGNORECASE,
)
DATE = re.compile(
    r"\d{1,4}[-./ ](\d{1,2}|[a-z]{3,9})[-./ ,]+\d{1,4}\b.*|[a-z]{3,9} \d{1,2},? \d{4}.*",
    re.IGNORECASE,
)
# the years 2001 to 2065, in seconds, milli-, micro- and nanoseconds since 1970
EPOCHS = tuple((1e9 * unit, 3e9 * unit) for unit in (1, 1e3, 1e6, 1e9))
TIME = re.compile(r"time|date|epoch|(^|_)(ts|at|on)$|created|updated", re.IGNORECASE)
MOST = 0.8
MAX_SHOWN = 3


def notes_of(column: ColumnProfile) -> Iterator[str]:
    """Each in a few words."""
    if column.source_name:
        yield f"is '{column.name}' in the log, which has a '{column.source_name}' of its own"
    if column.n_odd:
        yield f"{column.n_odd:,} odd values go to the quarantine"
    if column.words:
        yield f"{_shown(map(repr, column.words))} is taken for no value"
    if column.suspects:
        values = _shown(f"{value:g}" for value in column.suspects)
        yield f"if {values} stands for no value, say so by missing=[…]"
    if _are_mostly(SIGNED, column):
        yield f"numbers with a sign, such as {column.example}: write them without to count with"
    elif _are_mostly(DATE, column):
        yield f"seems to be moments in several formats, such as {column.example}: write one"
    if _are_epochs(column):
        yield "seems to be moments, counted since 1970: write them as 2026-01-31 12:00"


def _shown(words: Any) -> str:
    return ", ".join([*words][:MAX_SHOWN])


def _are_mostly(spelling: re.Pattern[str], column: ColumnProfile) -> bool:
    if column.kind != "text" or not column.common:
        return False
    fitting = sum(1 for value, _ in column.common if spelling.fullmatch(str(value).strip()))
    return fitting >= MOST * len(column.common)


def _are_epochs(column: ColumnProfile) -> bool:
    low, high = column.low, column.high
    if not (isinstance(low, int | float) and isinstance(high, int | float)):
        return False
    counted = any(first <= low and high <= last for first, last in EPOCHS)
    return counted and bool(TIME.search(column.name))
