"""A Delta table, in a folder or on a store, which others go on writing."""

from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import DatasetError

from kedro_mlops.contract.delta_tables import DeltaTableDataset
from kedro_mlops.core.errors import ProjectError

from .source import CONNECTION, LIMITED, Source, name_of, with_kinds

_READING = {
    "type": "kedro_mlops.contract.delta_tables.DeltaTableDataset",
    "connection": CONNECTION,
}


def open_folder(path: Path, _: str) -> Source:
    """Find a Delta table in a folder, which the project will read where it is.

    Raises:
        ProjectError: if it cannot be read.
    """
    return _source(str(path), path=path, _reading=_READING)


def open_on_store(url: str) -> Source:
    """Find a Delta table on a store, as the machine's environment says how to open that.

    Raises:
        ProjectError: if there is none, or it cannot be read.
    """
    return _source(url, _reading=_READING | {"filepath": url})


def _source(where: str, **known: Any) -> Source:
    dataset = DeltaTableDataset(filepath=where, connection=LIMITED)
    try:
        table, left_out = with_kinds(dataset.load())
    except DatasetError as error:
        raise ProjectError(str(error)) from error
    if not table.columns:
        raise ProjectError(f"{where} has no columns that a contract can tell of.")
    name = name_of(PurePosixPath(where))
    return Source(name, table, grows=True, left_out=left_out, **known)
