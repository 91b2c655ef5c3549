"""Kedro datasets of what the service answered: its raw log, and the table made of it.

The log is taken part by part. A part that was taken is a file named after it, which appears only
when it is complete, so that an ingestion may be stopped anywhere and repeated: the names of the
parts are the account of what is done.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import AbstractDataset, DatasetError
from kedro.utils import load_obj

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.engine import (
    DEFAULT_CONNECTION,
    EngineMixin,
    pattern_of,
    without_partitions,
)
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.files import new_file
from kedro_mlops.core.project import project_folder
from kedro_mlops.core.run_lock import alone_saving
from kedro_mlops.core.storage import Place, names_below, on_store, place

from .parts import Part, Taken, finished, new_parts, range_of, schema_of, take, taken_until

logger = logging.getLogger(__name__)

LOCK_TIMEOUT_SECONDS = 600.0
REJECTED = "rejected"
# in the folder of the log, which is shared by all who read it
LOCK = "ingestion.lock"


class PredictionLogDataset(AbstractDataset[None, list[Part]]):
    """What is new in the log of the service; confirming it removes the files that are done with.

    Args:
        filepath: Folder of the log.
        served: Folder of the parts that were taken, or its URL.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self, *, filepath: str, served: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self._folder = Path(filepath)
        self._served = place(served, project_folder())
        self.metadata = metadata

    def load(self) -> list[Part]:
        """Say which parts have not been taken yet; none while nothing is served."""
        return new_parts(self._folder, _taken(self._served))

    def save(self, data: None) -> None:  # noqa: ARG002
        """Refuse: the service writes its log."""
        raise DatasetError("The prediction log is written by the service alone.")

    def confirm(self) -> None:
        """Remove files that nobody writes any more, and of which all has been taken."""
        done = finished(self._folder, _taken(self._served))
        for path in done:
            path.unlink(missing_ok=True)
        if done:
            logger.info("Ingested, and removed from %s: %d files", self._folder, len(done))

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder), "served": str(self._served)}


class ServedPredictionsDataset(
    EngineMixin, AbstractDataset[dict[str, Callable[[], Taken]], ir.Table]
):
    """Every prediction of the service, once: a Parquet file for each part of its log.

    Saving adds parts, each as soon as it has been read. Loading gives a lazy table in the types of
    the contract; columns that are younger than a prediction are missing in it. What was no
    prediction is in the folder ``rejected``, with the reason.

    Args:
        filepath: Folder of the parts, or its URL on a store.
        log: Folder of the log, by whose lock they are added to a store.
        copy: Folder of this machine in which those of a store are read; each is fetched once.
        contract: Import path of the Pandera model of a prediction.
        connection: Of the engine that reads them; see ``EngineMixin``.
        load_args: Make it read files of which some have columns that others have not.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        contract: str,
        log: str = "",
        copy: str = "",
        connection: dict[str, Any] | None = None,
        load_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._folder = place(filepath)
        self._log_folder = project_folder() / log
        self._fetched = project_folder() / copy
        if on_store(self._folder) and not (log and copy):
            raise DatasetError(
                f"The parts of {filepath} are on a store: let `log` be the folder of the log, and "
                "`copy` one of this machine in which they are read."
            )
        self._columns = Columns.of(load_obj(contract)).without_personal()
        self._connection_config = connection or DEFAULT_CONNECTION
        self._load_args = load_args or {"union_by_name": True}
        self.metadata = metadata

    def load(self) -> ir.Table:
        """Read all the parts."""
        schema = ibis.Schema.from_pyarrow(schema_of(self._columns))
        files = self._files()
        if not files:
            return ibis.memtable([], schema=schema)
        asked = without_partitions(self._connection_config["backend"], self._load_args)
        table = self._connection.read_parquet(files, **asked)
        return table.select(
            {
                name: table[name].cast(dtype) if name in table.columns else ibis.null(dtype)
                for name, dtype in schema.items()
            }
        )

    def _files(self) -> str | list[str]:
        """What is read; nothing, if there are no parts."""
        if not on_store(self._folder):
            there = any(self._folder.glob("*.parquet"))
            backend = self._connection_config["backend"]
            return pattern_of(f"{self._folder}/*.parquet", backend) if there else ""
        fetched = []
        for name in parts_in(self._folder):
            file = self._fetched / name
            # of the same name is the same part
            if not file.exists():
                with new_file(file) as new:
                    new.write((self._folder / name).read_bytes())
            fetched.append(str(file))
        return fetched

    def save(self, data: dict[str, Callable[[], Taken]]) -> None:
        """Add the parts, each by its name; those that another process has added are left alone."""
        # who reads a log shares its disk, and so its lock, whatever else they share
        lock = self._log_folder / LOCK if on_store(self._folder) else None
        with alone_saving(self._folder, LOCK_TIMEOUT_SECONDS, lock):
            if not on_store(self._folder):
                for half_written in self._folder.rglob(".*"):
                    half_written.unlink()
            until = _taken(self._folder)
            for name, read in data.items():
                stem, start, end = range_of(name)
                if until.get(stem, 0) == start and self._add(name, read):
                    until[stem] = end

    def _add(self, name: str, read: Callable[[], Taken]) -> bool:
        """Say whether there was something to be added."""
        try:
            taken = read()
        except FileNotFoundError as error:
            logger.warning(
                "%s was removed by the service, for want of room, before it was ingested. Ingest "
                "more often, or give the prediction log more room.",
                error.filename,
            )
            return False
        # before the part: when that is there, nobody looks at those bytes again
        if taken.rejected:
            self._set_aside(name, taken.rejected)
        with new_file(self._folder / f"{name}.parquet") as file:
            pq.write_table(taken.rows, file)
        return True

    def _set_aside(self, name: str, rejected: list[dict[str, Any]]) -> None:
        stem, start, _ = range_of(name)
        # named by its start: taken again, the part may be longer, and then this is replaced
        path = self._folder / REJECTED / f"{stem}.{start}.jsonl"
        with new_file(path) as file:
            file.write("".join(f"{json.dumps(record)}\n" for record in rejected).encode())
        first = rejected[0]
        logger.warning(
            "%d of the entries of %s are no predictions and were set aside in %s, the first of "
            "them at byte %d: %s",
            len(rejected), first["file"], path, first["position"], first["reason"],
        )  # fmt: skip

    def _exists(self) -> bool:
        return bool(self._folder.is_dir())

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


def read_log(folder: Path, columns: Columns) -> pa.Table:
    """All that a service has logged so far, straight from its log.

    Raises:
        ProjectError: if something in it is no prediction.
    """
    taken = [take(part, columns) for part in new_parts(folder, {})]
    for record in (record for found in taken for record in found.rejected):
        raise ProjectError(
            f"{record['file']} has no prediction at byte {record['position']}: "
            f"{record['reason']}. The service writes what the contract does not say."
        )
    return pa.concat_tables([schema_of(columns).empty_table(), *(found.rows for found in taken)])


def parts_in(folder: Place) -> list[str]:
    """The files of the parts in a folder."""
    if on_store(folder):
        names = [name for name in names_below(folder) if "/" not in name]
    else:
        names = [path.name for path in cast("Path", folder).glob("*.parquet")]
    return [name for name in names if name.endswith(".parquet")]


def _taken(folder: Place) -> dict[str, int]:
    """How far the files of the log have been taken, by their stems."""
    return taken_until(name.removesuffix(".parquet") for name in parts_in(folder))
