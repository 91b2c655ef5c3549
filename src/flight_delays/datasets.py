"""Kedro datasets of the project's own kinds of artefact."""

import contextlib
import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import sqlalchemy as sa
from filelock import FileLock, Timeout
from kedro.io import AbstractDataset, AbstractVersionedDataset, DatasetError, Version
from kedro.io.core import VERSION_FORMAT, VersionNotFoundError, generate_timestamp

from flight_delays.errors import ProjectError
from flight_delays.model_package import Metadata, ModelPackage
from flight_delays.project import project_folder
from flight_delays.released import with_stand_in
from flight_delays.storage import PARTIAL, new_file, new_folder
from flight_delays.webhook import notify

logger = logging.getLogger(__name__)

LOCK_TIMEOUT_SECONDS = 60.0


class ModelPackageDataset(AbstractVersionedDataset[ModelPackage, ModelPackage | None]):
    """A model package as a folder of plain files, usually versioned.

    A version is listed only when it is complete, and is named after the moment of its saving, later
    than all the others. Saving the package that is already the newest version adds none, so the
    list of versions is the list of changes. One process saves at a time.

    Args:
        filepath: Folder of the package, or of its versions.
        load_args: ``missing_ok: true`` loads ``None`` while there is no version yet.
        save_args: ``guarded: true`` saves only what was made from the newest version, and refuses
            it if another one has been saved since.
        version: Set by Kedro for ``versioned: true``.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        load_args: dict[str, Any] | None = None,
        save_args: dict[str, Any] | None = None,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=PurePosixPath(filepath), version=version)
        self._missing_ok = bool((load_args or {}).get("missing_ok", False))
        self._guarded = bool((save_args or {}).get("guarded", False))
        self.metadata = metadata

    def load(self) -> ModelPackage | None:
        """Read the newest version."""
        if self._missing_ok and not self.exists():
            return None
        package = ModelPackage.read(Path(self._get_load_path()))
        return replace(with_stand_in(package), base=self.resolve_load_version())

    def save(self, data: ModelPackage) -> None:
        """Write a new version, unless it is what the newest version already says.

        Raises:
            ProjectError: if it is guarded, and another version was saved since the one it was made
                from; or if another process does not finish its saving.
        """
        if self._version is None:
            self._write(data, Path(self._filepath))
            return
        with self._alone():
            if self._is_newest(data):
                logger.info("%s stays as it is: %s", self._filepath.name, data.version)
                return
            if self._guarded:
                self._refuse_if_outdated(data)
            self._clear_leftovers()
            self._write(data, Path(self._get_versioned_path(self._next_version())))

    def _write(self, package: ModelPackage, path: Path) -> None:
        with new_folder(path) as folder:
            package.write(folder)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep all other processes from saving; the lock of one that was killed is gone with it."""
        folder = Path(self._filepath)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            held = FileLock(folder.with_name(f"{folder.name}.lock")).acquire(LOCK_TIMEOUT_SECONDS)
        except Timeout as error:
            raise ProjectError(
                f"Another process has been saving to {folder} for {LOCK_TIMEOUT_SECONDS:g} "
                "seconds. Nothing has changed; look what it is waiting for, and run again."
            ) from error
        with held:
            yield

    def _is_newest(self, package: ModelPackage) -> bool:
        saved = self.list_versions()
        if not saved:
            return False
        try:
            if Metadata.read(Path(saved[0])) != package.metadata:
                return False
            newest = ModelPackage.read(Path(saved[0]))
        except ProjectError as error:
            logger.warning("%s", error)
            return False
        return newest.reference == package.reference

    def _refuse_if_outdated(self, package: ModelPackage) -> None:
        newest = next(iter(self.list_versions(full_path=False)), None)
        if newest == package.base:
            return
        raise ProjectError(
            f"{package.version} was judged against {self._named(package.base)}, but "
            f"{self._named(newest)} serves since {newest}. Nothing has changed. Look at `kedro "
            "champion history`, and run the gate again: `kedro run --pipelines=gate,release`."
        )

    def _named(self, saved: str | None) -> str:
        """The model of a saved version."""
        if saved is None:
            return "no champion"
        return Metadata.read(Path(self._get_versioned_path(saved))).version

    def _clear_leftovers(self) -> None:
        """Remove what a killed process left: whoever saves is alone, so nobody is writing it."""
        for folder in filter(Path.is_dir, Path(self._filepath).iterdir()):
            if not (folder / self._filepath.name).exists():
                shutil.rmtree(folder)
            for partial in folder.glob(f"{PARTIAL}*"):
                shutil.rmtree(partial)

    def _next_version(self) -> str:
        """The present moment in Kedro's form, or the first one after the newest version."""
        now = generate_timestamp()
        newest = next(iter(self.list_versions(full_path=False)), None)
        if newest is None or newest < now:
            return now
        later = datetime.strptime(newest, VERSION_FORMAT) + timedelta(milliseconds=1)  # noqa: DTZ007
        return f"{later.strftime(VERSION_FORMAT)[:-4]}Z"

    def _exists(self) -> bool:
        try:
            return Path(self._get_load_path()).is_dir()
        except VersionNotFoundError:
            return False

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}


class OnlineStoreDataset(AbstractDataset[dict[str, pd.DataFrame], str]):
    """The online feature store: SQL tables that the service looks features up in.

    Saving replaces all the tables in one transaction, so that a reader sees either the old features
    or the new ones. Loading gives the store's URL, for those who are to read it.

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

    def save(self, data: dict[str, pd.DataFrame]) -> None:
        """Replace the tables; each frame's index is what its rows are looked up by."""
        if self._url.get_backend_name() == "sqlite" and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        with _connected(self._url) as connection:
            for table, rows in data.items():
                rows.to_sql(table, connection, if_exists="replace")

    def _exists(self) -> bool:
        if self._url.get_backend_name() == "sqlite" and not Path(self._url.database or "").exists():
            return False
        with _connected(self._url) as connection:
            return bool(sa.inspect(connection).get_table_names())

    def _describe(self) -> dict[str, Any]:
        return {"url": self._url.render_as_string(hide_password=True)}


class HistoryDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """A table that grows: JSON lines, to which saving adds rows or replaces those of the same key.

    Loading gives no rows while there is no file.

    Args:
        filepath: The file.
        key: Columns that identify a row; what is said of it again replaces what was said.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self, *, filepath: str, key: list[str], metadata: dict[str, Any] | None = None
    ) -> None:
        self._path = Path(filepath)
        self._key = key
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read all rows, ordered by key."""
        if not self._exists():
            return pd.DataFrame()
        try:
            lines = [json.loads(line) for line in self._path.read_text().splitlines()]
        except ValueError as error:
            raise DatasetError(
                f"{self._path} is not JSON lines: {error}. Mend or remove it; what it held of the "
                "past is then forgotten."
            ) from error
        return pd.DataFrame(lines)

    def save(self, data: pd.DataFrame) -> None:
        """Add the rows, in place of those that have their key."""
        if data.empty:
            return
        table = pd.concat([self.load(), data], ignore_index=True)
        table = table.drop_duplicates(self._key, keep="last").sort_values(self._key)
        with new_file(self._path) as file:
            table.to_json(file, orient="records", lines=True, double_precision=15)

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path), "key": self._key}


class AlertsDataset(AbstractDataset[list[dict[str, Any]], list[dict[str, Any]]]):
    """What somebody should hear of: in a JSON file, in the log, and posted to a webhook.

    Args:
        filepath: File of the newest alerts.
        credentials: ``webhook``, a URL to which alerts are posted as JSON, or null.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, str | None],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._path = Path(filepath)
        self._webhook = credentials["webhook"]
        self.metadata = metadata

    def load(self) -> list[dict[str, Any]]:
        """Read the newest alerts."""
        alerts: list[dict[str, Any]] = json.loads(self._path.read_text())
        return alerts

    def save(self, data: list[dict[str, Any]]) -> None:
        """Write, log, and post; what cannot be posted is logged, and never an error."""
        with new_file(self._path) as file:
            file.write(json.dumps(data, indent=2).encode())
        for alert in data:
            logger.warning("%s: %s", alert["kind"], alert["message"])
        if data and self._webhook:
            notify(self._webhook, {"alerts": data})

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


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
