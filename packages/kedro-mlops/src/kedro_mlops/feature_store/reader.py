"""Looking up, in the online store, what the caller does not send."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol
from urllib.parse import quote

from kedro_mlops.runtime.field_types import value_judge
from kedro_mlops.runtime.serving_spec import Field, Lookup, ServingSpec

from .ttl_cache import Entry, Key, TTLCache

logger = logging.getLogger(__name__)

ENTITY, DAY = "entity", "day"
# why a value is missing; the model treats it as a missing value
MISSING = (
    "no_key", "unknown_key", "stale", "no_value", "invalid_value", "store_unavailable"
)  # fmt: skip
NO_KEY, UNKNOWN_KEY, STALE, NO_VALUE, INVALID, UNAVAILABLE = MISSING

# keys of one query: SQLite takes 32,766 parameters, PostgreSQL 65,535
MAX_KEYS = 5_000
# a row with its looked-up values, and why some are missing
Completed = tuple[list[Any], dict[str, str]]


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


class Observer(Protocol):
    """Hears of what is looked up."""

    def found_all(self) -> None:
        """All that a row needs was at hand."""

    def looked_up(self, table: str, result: str) -> None:
        """A look-up in the store, by its result: ``read`` or ``failed``."""

    def feature_age(self, table: str, days: float) -> None:
        """The age of a daily value that was read."""


@dataclass(frozen=True)
class StoreSettings:
    """How the store is read.

    Attributes:
        url: SQLAlchemy URL of the store.
        max_age_days: Greatest age of a daily value.
        cache_seconds: How long what was read is taken for true.
        cache_bytes: What is kept of each table may take so much memory.
        timeout_seconds: How long the store may take, and how long it is left alone after a failure.
    """

    url: str
    max_age_days: int = 7
    cache_seconds: float = 60
    cache_bytes: int = 32_000_000
    timeout_seconds: float = 1


@dataclass
class FeatureStore:
    """The online store: a SQL table per feature table, keyed by entity and, mostly, day.

    A daily value is the newest that is not later than the event's day, and not older than
    ``max_age_days``. What is missing is missing for a reason, which the answer tells; what breaks
    the contract is missing, too.
    """

    spec: ServingSpec
    settings: StoreSettings
    observer: Observer
    groups: list[Group] = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.groups = groups_of(self.spec, settings.cache_bytes, settings.cache_seconds)
        self._engine: Any = None
        self._closed_until = 0.0

    def complete(self, values: Sequence[Any]) -> Completed | None:
        """Add the looked-up values to a row, if all are at hand; else None."""
        now = time.monotonic()
        entries: list[Entry] = []
        for group in self.groups:
            key = group.key(values)
            entry = group.nothing if key is None else group.cache.get(key, now)
            if entry is None:
                return None
            entries.append(entry)
        self.observer.found_all()
        return _completed(values, entries)

    def complete_all(self, rows: Sequence[Sequence[Any]]) -> list[Completed]:
        """Add the looked-up values to rows, reading those that are not at hand. Blocks."""
        found = [self.find(group, [group.key(values) for values in rows]) for group in self.groups]
        return [_completed(values, entries) for values, *entries in zip(rows, *found, strict=True)]

    def find(self, group: Group, keys: Sequence[Key | None]) -> list[Entry]:
        """The entries of a group, from what is kept or from the store. Blocks; thread-safe.

        A store that cannot be read is no error: its values are missing, and say so.

        Args:
            group: What is looked up.
            keys: What is asked; None where a row has no key.
        """
        kept = group.cache.get_all(keys, time.monotonic())
        if all(kept):
            return kept  # type: ignore[return-value]
        asked = {key for key, entry in zip(keys, kept, strict=True) if entry is None and key}
        read = self._read(group, asked) if asked else {}
        if read is None:
            read = dict.fromkeys(asked, group.missing(UNAVAILABLE))
        return [
            entry or (group.nothing if key is None else read[key])
            for key, entry in zip(keys, kept, strict=True)
        ]

    def refresh(self) -> None:
        """Read again, many at a time, what is asked for and would soon be too old. Blocks.

        So requests need not wait for the store, but for what is new to it. While the store cannot
        be read, what is kept stays until it is too old.
        """
        for group in self.groups:
            ageing = group.cache.ageing(time.monotonic())
            if ageing and self._read(group, ageing) is None:
                return

    def _read(self, group: Group, keys: Iterable[Key]) -> dict[Key, Entry] | None:
        """Read entries of a group, and keep them; None if the store cannot be read."""
        ordered = sorted(keys)
        read: dict[Key, Entry] = {}
        try:
            for first in range(0, len(ordered), MAX_KEYS):
                batch = ordered[first : first + MAX_KEYS]
                by_entity: dict[str | int, list[tuple[date | None, tuple[Any, ...]]]] = {}
                for entity, day, *values in self._query(group, batch):
                    by_entity.setdefault(entity, []).append((_date(day), tuple(values)))
                read |= {key: self._entry(group, key, by_entity.get(key[0], [])) for key in batch}
        except _StoreError as error:
            logger.error("The feature store cannot be read: %s", error)
            self.observer.looked_up(group.table, "failed")
            return None
        self.observer.looked_up(group.table, "read")
        group.cache.keep(read, time.monotonic())
        return read

    def _entry(self, group: Group, key: Key, rows: list[tuple[date | None, Any]]) -> Entry:
        _, asked = key
        known = [row for row in rows if asked is None or (row[0] is not None and row[0] <= asked)]
        if not known:
            return group.missing(UNKNOWN_KEY)
        day, values = max(known, key=lambda row: row[0] or date.min)
        if asked is not None and day is not None:
            age = (asked - day).days
            self.observer.feature_age(group.table, age)
            if age > self.settings.max_age_days:
                return group.missing(STALE)
        return group.judged(values)

    def _query(self, group: Group, keys: list[Key]) -> list[Any]:
        """The rows in question: of each entity those of the days, and the newest before them."""
        import sqlalchemy as sa  # noqa: PLC0415 - not at start-up

        if time.monotonic() < self._closed_until:
            raise _StoreError("it failed a moment ago, and is left alone for a while")
        kind = sa.BigInteger if group.integer else sa.String
        entity, day = sa.column(ENTITY, kind), sa.column(DAY, sa.DateTime)
        # as the store has it: what is none must not be the end of a whole query
        plain = sa.null() if group.day is None else sa.type_coerce(day, sa.String)
        # text that PostgreSQL cannot hold is in no store
        known = entity.in_({key[0] for key in keys if group.integer or "\0" not in str(key[0])})
        values: list[Any] = [sa.column(_source(field).column) for field in group.fields]
        rows = sa.select(entity, plain, *values).select_from(sa.table(group.table, entity, day))
        query: Any = rows.where(known)
        if group.day is not None:
            days = [key[1] for key in keys if key[1] is not None]
            # not before the first day that there is
            oldest = max(1, min(days).toordinal() - self.settings.max_age_days)
            first, last = _midnight(date.fromordinal(oldest)), _midnight(max(days))
            before = (
                sa.select(entity.label(ENTITY), sa.func.max(day).label(DAY))
                .where(known, day < first)
                .group_by(entity)
                .subquery()
            )
            newest = (entity == before.c.entity) & (day == before.c.day)
            query = sa.union_all(
                query.where(day.between(first, last)),
                rows.where(sa.exists(sa.select(before.c.entity).where(newest))),
            )
        try:
            with self._connected() as connection:
                return list(connection.execute(query).fetchall())
        except Exception as error:  # whatever a driver says to a store that is damaged
            self._closed_until = time.monotonic() + self.settings.timeout_seconds
            raise _StoreError(f"{type(error).__name__}: {error}".splitlines()[0]) from error

    def _connected(self) -> Any:
        if self._engine is None:
            self._engine = _engine(self.settings)
        return self._engine.connect()


class _StoreError(Exception):
    """The store could not be read."""


def _completed(values: Sequence[Any], entries: Iterable[Entry]) -> Completed:
    completed = list(values)
    missing: dict[str, str] = {}
    for found, reasons in entries:
        completed += found
        if reasons:
            missing |= reasons
    return completed, missing


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
            spec.looked_up, key=lambda f: attrgetter("table", "by", "daily")(_source(f))
        )
    ]


def _source(field: Field) -> Lookup:
    assert field.source is not None
    return field.source


def _engine(settings: StoreSettings) -> Any:
    import sqlalchemy as sa  # noqa: PLC0415

    url = sa.make_url(settings.url)
    seconds = settings.timeout_seconds
    if url.get_backend_name() == "sqlite":
        # SQLite would create a store that is not there, and answer that it is empty
        url = url.set(
            database=f"file:{quote(url.database or '')}", query={"mode": "ro", "uri": "true"}
        )
        # a connection that is kept would go on reading a file that was replaced
        engine = sa.create_engine(url, connect_args={"timeout": seconds}, poolclass=sa.NullPool)
        sa.event.listen(engine, "connect", _read_damaged_text)
        return engine
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_timeout": seconds}
    if url.get_backend_name() == "postgresql":
        options["connect_args"] = {
            "connect_timeout": max(1, round(seconds)),
            "options": f"-c statement_timeout={round(seconds * 1000)}",
        }
    return sa.create_engine(url, **options)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local, as in the store


def _date(value: Any) -> date | None:
    """The day of a row; None where there is none, or it is none."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value[:10])
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else None


def _judge(field: Field) -> Callable[[Any], Any]:
    """The contract's judge, of values as databases have them."""
    judge = value_judge(field)
    if field.kind == "numeric":
        return lambda value: judge(float(value) if isinstance(value, Decimal) else value)
    if field.kind == "boolean":
        return lambda value: judge(value == 1 if value in (0, 1) else value)
    return judge


def _read_damaged_text(connection: Any, _: Any) -> None:
    """Let SQLite give text that is none, too: it would be the end of a whole query."""
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
