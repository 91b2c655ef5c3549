"""What a person should know of a column, whatever became of it."""

import re
from collections.abc import Iterator
from typing import Any

from kedro_mlops.runtime.coercion import EPOCHS

from .profile import ColumnProfile

SIGNED = re.compile(
    r"[+-]?\s*[$€£¥]\s*[+-]?\d[\d.,' ]*|[+-]?\d[\d.,' ]*\s*([$€£¥%]|EUR|USD|GBP|CHF|kg|km|cm)",
    re.IGNORECASE,
)
DATE = re.compile(
    r"\d{1,4}[-./ ](\d{1,2}|[a-z]{3,9})[-./ ,]+\d{1,4}\b.*|[a-z]{3,9} \d{1,2},? \d{4}.*",
    re.IGNORECASE,
)
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
        yield f"numbers with several signs, such as {column.example}: write one, or none"
    elif _are_mostly(DATE, column):
        yield f"seems to be moments in several formats, such as {column.example}: write one"
    if column.format in EPOCHS:
        yield f"counted since 1970, by format='{column.format}'"
    if column.or_format:
        yield f"read as {column.format}, and {column.or_format} fits as well: say which by format="


def _shown(words: Any) -> str:
    return ", ".join([*words][:MAX_SHOWN])


def _are_mostly(spelling: re.Pattern[str], column: ColumnProfile) -> bool:
    if column.kind != "text" or not column.common:
        return False
    fitting = sum(1 for value, _ in column.common if spelling.fullmatch(str(value).strip()))
    return fitting >= MOST * len(column.common)
