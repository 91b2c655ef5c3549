"""What is found in a table, column by column, before anything is decided about it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import pandas as pd

# what the values of a column are; of an empty one nobody knows
ValueKind = Literal["integer", "number", "boolean", "moment", "text", "empty"]
MOST_COMMON = 1_000


@dataclass(frozen=True)
class ColumnProfile:
    """What is found in a column.

    Attributes:
        name: As the source has it.
        kind: What its values are, but for a few odd ones.
        n_missing: Rows without a value, however that is said.
        n_odd: Values that are not of the kind.
        n_distinct: Different values; about, where there are many.
        missing: What stands for no value in it, where it is text.
        format: How text says a moment, in the directives of ``strptime``; none if by ISO 8601.
        decimal: What stands before the fraction of a number that is text.
        zoned: Whether its moments say their zone.
        low: The least value, of numbers and moments.
        high: The greatest.
        quantiles: Of numbers, at 1, 25, 50, 75 and 99 %.
        common: The commonest values and how often each is, most frequent first; all of them where
            there are at most ``MOST_COMMON``.
        max_length: Of text, the characters of the longest.
        mean_words: Of text, how many words there are on average.
        example: A value that is as usual as any.
    """

    name: str
    kind: ValueKind
    n_missing: int = 0
    n_odd: int = 0
    n_distinct: int = 0
    missing: tuple[str, ...] = ()
    format: str | None = None
    decimal: str = "."
    zoned: bool = False
    low: float | datetime | None = None
    high: float | datetime | None = None
    quantiles: tuple[float, ...] = ()
    common: tuple[tuple[Any, int], ...] = ()
    max_length: int = 0
    mean_words: float = 0.0
    example: Any = None


@dataclass(frozen=True)
class TableProfile:
    """What is found in a table.

    Attributes:
        n_rows: How many there are.
        columns: Of each column, in the order of the source.
        sample: Some of the rows, in the types of their kinds; the same ones every time.
        repeated_rows: How many rows are the same as an earlier one in every column.
    """

    n_rows: int
    columns: tuple[ColumnProfile, ...]
    sample: pd.DataFrame = field(repr=False, default_factory=pd.DataFrame)
    repeated_rows: int = 0

    def __getitem__(self, name: str) -> ColumnProfile:
        return {column.name: column for column in self.columns}[name]
