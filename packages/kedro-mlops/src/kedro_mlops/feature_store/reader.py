"""Looking up, in the online store, what the caller does not send."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from kedro_mlops.runtime.serving_spec import ServingSpec

from .database import ENDLESS, Database, Patience, StoreError
from .groups import Group, groups_of
from .missing import STALE, UNAVAILABLE, UNKNOWN_KEY
from .ttl_cache import Entry, Key

logger = logging.getLogger(__name__)

# a row with its looked-up values, and why some are missing
Completed = tuple[list[Any], dict[str, str]]
# the day of a row in the store, if it has one, and its values
Found = tuple[date | None, list[Any]]


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
        timeout_seconds: How long the store may take for a query, or all of those of a request, and
            how long it is left alone when it fails.
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
        self._database = Database(settings.url, settings.timeout_seconds)

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
        patience = self.patience(len(rows))
        found = [
            self.find(group, [group.key(values) for values in rows], patience)
            for group in self.groups
        ]
        return [_completed(values, entries) for values, *entries in zip(rows, *found, strict=True)]

    def patience(self, n_rows: int) -> Patience:
        """How long the store may take for a request, for all its groups together."""
        return self._database.patience(n_rows)

    def find(
        self, group: Group, keys: Sequence[Key | None], patience: Patience = ENDLESS
    ) -> list[Entry]:
        """The entries of a group, from what is kept or from the store. Blocks; thread-safe.

        A store that cannot be read is no error: its values are missing, and say so.

        Args:
            group: What is looked up.
            keys: What is asked; None where a row has no key.
            patience: What is left of the time of the request, if somebody waits.
        """
        kept = group.cache.get_all(keys, time.monotonic())
        if all(kept):
            return kept  # type: ignore[return-value]
        asked = {key for key, entry in zip(keys, kept, strict=True) if entry is None and key}
        read = self._read(group, asked, patience) if asked else {}
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

    def _read(
        self, group: Group, keys: Iterable[Key], patience: Patience = ENDLESS
    ) -> dict[Key, Entry] | None:
        """Read entries of a group, and keep them; None if the store cannot be read."""
        ordered, size = sorted(keys), self._database.max_keys
        read: dict[Key, Entry] = {}
        try:
            for first in range(0, len(ordered), size):
                batch = ordered[first : first + size]
                found = self._found(group, batch, patience)
                read |= {key: self._entry(group, key, found.get(key)) for key in batch}
        except StoreError as error:
            logger.error("The feature store cannot be read: %s", error)
            self.observer.looked_up(group.table, "failed")
            return None
        self.observer.looked_up(group.table, "read")
        group.cache.keep(read, time.monotonic())
        return read

    def _found(self, group: Group, keys: list[Key], patience: Patience) -> dict[Key, Found]:
        # text that PostgreSQL cannot hold is in no store
        asked = [key for key in keys if group.integer or "\0" not in str(key[0])]
        rows = self._database.read(group, asked, patience) if asked else ()
        found: dict[Key, Found] = {}
        for entity, day, newest, *values in rows:
            found.setdefault((entity, _date(day)), (_date(newest), values))
        return found

    def _entry(self, group: Group, key: Key, found: Found | None) -> Entry:
        if found is None:
            return group.missing(UNKNOWN_KEY)
        (_, asked), (day, values) = key, found
        if asked is not None:
            if day is None:
                return group.missing(UNKNOWN_KEY)
            age = (asked - day).days
            self.observer.feature_age(group.table, age)
            if age > self.settings.max_age_days:
                return group.missing(STALE)
        return group.judged(values)


def _completed(values: Sequence[Any], entries: Iterable[Entry]) -> Completed:
    completed = list(values)
    missing: dict[str, str] = {}
    for found, reasons in entries:
        completed += found
        if reasons:
            missing |= reasons
    return completed, missing


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
