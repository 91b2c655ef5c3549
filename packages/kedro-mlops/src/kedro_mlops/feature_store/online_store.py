"""The Kedro dataset of the online feature store."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from kedro.io import AbstractDataset, DatasetError

from kedro_mlops.core.files import hash_files
from kedro_mlops.core.project import project_folder

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

# says what the other tables hold
_PUBLISHED = sa.Table("_published", sa.MetaData(), sa.Column("hash", sa.Text, nullable=False))


def publish(**tables: "ir.Table") -> "dict[str, ir.Table]":
    """Feature tables for the online store, by name."""
    return tables


class OnlineStoreDataset(AbstractDataset["dict[str, ir.Table | pd.DataFrame]", str]):
    """The online feature store: SQL tables that the service looks features up in.

    Saving replaces all the tables in one transaction, so that a reader sees either the old features
    or the new ones; rows are written as they are read, never all in memory. Loading gives the
    store's URL, for those who are to read it.

    Args:
        credentials: ``con``, a SQLAlchemy URL.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self, *, credentials: dict[str, str], metadata: dict[str, Any] | None = None
    ) -> None:
        self._url = _absolute(sa.make_url(credentials["con"]))
        self.metadata = metadata

    def load(self) -> str:
        """Return the store's URL."""
        return self._url.render_as_string(hide_password=False)

    def save(self, data: "dict[str, ir.Table | pd.DataFrame]") -> None:
        """Replace the tables; a frame's index is what its rows are looked up by."""
        from .publishing import replace  # noqa: PLC0415 - imports the engine

        if self._url.get_backend_name() == "sqlite" and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        with _connected(self._url) as connection:
            said = replace(connection, data)
            _PUBLISHED.drop(connection, checkfirst=True)
            _PUBLISHED.create(connection)
            connection.execute(_PUBLISHED.insert().values(hash=hash_files(str(said), [])))

    def fingerprint(self) -> str:
        """Hash of what was published last; empty, if nothing was.

        Raises:
            DatasetError: if the store cannot be read.
        """
        if not self.exists():
            return ""
        try:
            with _connected(self._url) as connection:
                if not sa.inspect(connection).has_table(_PUBLISHED.name):
                    return ""
                return str(connection.execute(sa.select(_PUBLISHED.c.hash)).scalar())
        except sa.exc.SQLAlchemyError as error:
            raise DatasetError(f"The online store cannot be read: {error}") from error

    def _exists(self) -> bool:
        if self._url.get_backend_name() == "sqlite" and not Path(self._url.database or "").exists():
            return False
        with _connected(self._url) as connection:
            return bool(sa.inspect(connection).get_table_names())

    def _describe(self) -> dict[str, Any]:
        return {"url": self._url.render_as_string(hide_password=True)}


def _absolute(url: sa.URL) -> sa.URL:
    """SQLite files are relative to the project, wherever the command is typed."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return url
    return url.set(database=str(project_folder() / url.database))


@contextlib.contextmanager
def _connected(url: sa.URL) -> Iterator[sa.Connection]:
    """A connection in one transaction, which holds whatever is done to tables too."""
    engine = sa.create_engine(url)
    if url.get_backend_name() == "sqlite":
        # Python's driver would begin only before rows change, and create tables outside of it
        sa.event.listen(
            engine, "connect", lambda driver, _: setattr(driver, "isolation_level", None)
        )
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
