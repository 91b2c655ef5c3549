"""What is looked up together: the columns that come from one table by one key."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any

from kedro_mlops.runtime.field_types import value_judge
from kedro_mlops.runtime.serving_spec import Field, Lookup, ServingSpec

from .missing import INVALID, NO_KEY, NO_VALUE
from .ttl_cache import Entry, Key, TTLCache


class Group:
    """The columns that come from one table by one key.

    Args:
        table: The table.
        by: Position of the key among the fields that are sent.
        integer: Whether it is a whole number.
        day: Position of the moment that says for which day; none if values are not daily.
        fields: What the model calls the columns, and how they are judged.
        cache: What was read lately.
    """

    def __init__(
        self,
        table: str,
        by: int,
        integer: bool,
        day: int | None,
        fields: list[Field],
        cache: TTLCache,
    ) -> None:
        self.table = table
        self.by = by
        self.integer = integer
        self.day = day
        self.fields = fields
        self.cache = cache
        self.names = tuple(field.name for field in fields)
        self._judges = [_judge(field) for field in fields]
        # what there is for a row without a key
        self.nothing = self.missing(NO_KEY)

    def key(self, values: Sequence[Any]) -> Key | None:
        """What to ask for a row; None where it has no key."""
        entity = values[self.by]
        if entity is None:
            return None
        return entity, None if self.day is None else values[self.day].date()

    def missing(self, reason: str) -> Entry:
        """Nothing was found."""
        return (None,) * len(self.names), dict.fromkeys(self.names, reason)

    def judged(self, values: Iterable[Any]) -> Entry:
        """What was found, without what breaks the contract."""
        kept: list[Any] = []
        reasons: dict[str, str] = {}
        for name, judge, value in zip(self.names, self._judges, values, strict=True):
            found = None
            if value is None:
                reasons[name] = NO_VALUE
            else:
                try:
                    found = judge(value)
                except ValueError:
                    reasons[name] = INVALID
            kept.append(found)
        return tuple(kept), reasons


def groups_of(spec: ServingSpec, cache_bytes: int, cache_seconds: float) -> list[Group]:
    """Group the looked-up fields by the table and key that they come from."""
    place = {field.name: position for position, field in enumerate(spec.sent)}
    return [
        Group(
            table=table,
            by=place[by],
            integer=spec.sent[place[by]].integer,
            day=place[spec.event_time] if daily else None,
            fields=list(fields),
            cache=TTLCache(cache_bytes, cache_seconds),
        )
        for (table, by, daily), fields in groupby(
            spec.looked_up, key=lambda f: attrgetter("table", "by", "daily")(source_of(f))
        )
    ]


def source_of(field: Field) -> Lookup:
    """Where a looked-up field is."""
    assert field.source is not None
    return field.source


def _judge(field: Field) -> Callable[[Any], Any]:
    """The contract's judge, of values as databases have them."""
    judge = value_judge(field)
    if field.kind == "numeric":
        return lambda value: judge(float(value) if isinstance(value, Decimal) else value)
    if field.kind == "boolean":
        return lambda value: judge(value == 1 if value in (0, 1) else value)
    return judge
