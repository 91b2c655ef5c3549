"""What nodes hand to each other and files keep: typed in the code, plain JSON in the file.

Here is what several rooms speak of: a figure with its interval, and a check with its limit.
"""

import json
import math
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

_FILE = TypeAdapter[Any](Any, config=ConfigDict(ser_json_inf_nan="constants"))


def is_same(one: Any, other: Any) -> bool:
    """Whether two artefacts or plain values say the same; by ``==`` ``NaN`` is not even itself."""
    said, by_other = (json.loads(_FILE.dump_json(it), parse_constant=str) for it in (one, other))
    return bool(said == by_other)


def is_none(value: Any) -> bool:
    """Whether there is nothing to say; for fields that a file has only where there is."""
    return value is None


def is_empty(value: Any) -> bool:
    """Whether there is nothing to say; for tables that a file has only where there is."""
    return not value


class Artefact(BaseModel):
    """Base of what is handed on and kept; it does not change.

    What only another version knows of is left out; figures that are not defined are ``NaN``.
    """

    model_config = ConfigDict(
        frozen=True, ser_json_inf_nan="constants", serialize_by_alias=True, validate_by_name=True
    )


class Interval(Artefact):
    """A figure, and the ends of its interval."""

    value: float
    low: float
    high: float

    @property
    def is_finite(self) -> bool:
        """Whether all of it is defined."""
        return all(map(math.isfinite, (self.value, self.low, self.high)))


class CheckResult(Artefact):
    """What was measured, what was asked, and whether it passed."""

    name: str
    passed: bool
    value: float
    limit: float
    detail: str
    interval: Interval | None = Field(None, exclude_if=is_none)

    @property
    def in_words(self) -> str:
        """What it is about, and what was found."""
        return f"{self.name} {self.detail}"

    @classmethod
    def at_most(cls, name: str, value: float, limit: float, detail: str = "") -> Self:
        """One that a value passes that is not beyond the limit."""
        return cls._of(name, value, limit, value <= limit, detail)

    @classmethod
    def at_least(cls, name: str, value: float, limit: float, detail: str = "") -> Self:
        """One that a value passes that reaches the limit."""
        return cls._of(name, value, limit, value >= limit, detail)

    @classmethod
    def _of(cls, name: str, value: float, limit: float, passed: bool, detail: str) -> Self:
        said = detail or f"{value:.4g}, limit {limit:g}"
        return cls(name=name, passed=passed, value=value, limit=limit, detail=said)
