"""The database of the online store: what it is asked, and when it is left alone."""

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from .groups import Group
from .queries import max_keys, query_of
from .ttl_cache import Key

# a query for more keys than most requests have may take longer than the store lets it; that says
# nothing of those of others
ORDINARY_KEYS = 100
ORDINARY, LARGE = "ordinary", "large"


class StoreError(Exception):
    """The store could not be read."""


@dataclass
class Patience:
    """What is left of the time that the queries of a request may take together, in seconds."""

    seconds: float


# of what nobody waits for
ENDLESS = Patience(math.inf)


class Database:
    """The tables of the store, by SQL.

    A store that cannot be reached, or has no time for an ordinary query, is left alone for as long
    as it may take, so that not every request waits for it; one that has none for a large query, by
    large ones. What else is wrong with a query, as with its table or a key, is no matter of others.

    Args:
        url: SQLAlchemy URL.
        timeout_seconds: How long a query may take.

    Attributes:
        max_keys: How many keys a query may have.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url = url
        self._backend = url.partition(":")[0].partition("+")[0]
        self._timeout_seconds = timeout_seconds
        self._engine: Any = None
        self._closed_until = {ORDINARY: 0.0, LARGE: 0.0}
        self.max_keys = max_keys(self._backend)

    def patience(self, n_rows: int) -> Patience:
        """What a request may take: of as many rows as a query has keys, as long as a query."""
        return Patience(math.ceil(n_rows / self.max_keys) * self._timeout_seconds)

    def read(self, group: Group, keys: list[Key], patience: Patience) -> list[Any]:
        """The rows in question: entity, day that was asked for, day that was found, values. Blocks.

        Raises:
            StoreError: saying what the driver says.
        """
        size = ORDINARY if len(keys) <= ORDINARY_KEYS else LARGE
        if time.monotonic() < self._closed_until[size]:
            raise StoreError("it failed a moment ago, and is left alone for a while")
        if patience.seconds <= 0:
            raise StoreError("it has taken the time that it has for a request")
        try:
            connection = self._connected()
        except Exception as error:  # whatever a driver says to a store that is damaged
            self._close(ORDINARY, LARGE)
            raise _told(error) from error
        began = time.monotonic()
        try:
            with connection:
                return list(connection.execute(query_of(group, keys, self._backend)).fetchall())
        except Exception as error:
            if time.monotonic() - began >= self._timeout_seconds:
                self._close(*([LARGE] if size == LARGE else [ORDINARY, LARGE]))
            raise _told(error) from error
        finally:
            patience.seconds -= time.monotonic() - began

    def _close(self, *sizes: str) -> None:
        """Leave the store alone, by queries of such sizes."""
        until = time.monotonic() + self._timeout_seconds
        self._closed_until |= dict.fromkeys(sizes, until)

    def _connected(self) -> Any:
        if self._engine is None:
            self._engine = _engine(self._url, self._timeout_seconds)
        return self._engine.connect()


def _told(error: Exception) -> StoreError:
    return StoreError(f"{type(error).__name__}: {error}".splitlines()[0])


def _engine(url: str, seconds: float) -> Any:
    import sqlalchemy as sa  # noqa: PLC0415

    place = sa.make_url(url)
    if place.get_backend_name() == "sqlite":
        # SQLite would create a store that is not there, and answer that it is empty
        place = place.set(
            database=f"file:{quote(place.database or '')}", query={"mode": "ro", "uri": "true"}
        )
        # a connection that is kept would go on reading a file that was replaced
        engine = sa.create_engine(place, connect_args={"timeout": seconds}, poolclass=sa.NullPool)
        sa.event.listen(engine, "connect", _read_damaged_text)
        return engine
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_timeout": seconds}
    if place.get_backend_name() == "postgresql":
        options["connect_args"] = {
            "connect_timeout": max(1, round(seconds)),
            "options": f"-c statement_timeout={round(seconds * 1000)}",
        }
    return sa.create_engine(place, **options)


def _read_damaged_text(connection: Any, _: Any) -> None:
    """Let SQLite give text that is none, too: it would be the end of a whole query."""
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
