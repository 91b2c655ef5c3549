"""What delta-rs is asked, and how it is understood."""

import glob
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from kedro.io import DatasetError

from .errors import ProjectError

if TYPE_CHECKING:
    from deltalake import DeltaTable

# what a reader has to know of without seeing other rows in the files than they have
PLAIN = {"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
# what else it raises, besides its `DeltaError`
ITS_OWN = {"Exception", "PanicException"}
# options of stores, as fsspec and delta-rs call them
OPTIONS = {
    "key": "aws_access_key_id",
    "secret": "aws_secret_access_key",  # pragma: allowlist secret
    "token": "aws_session_token",
    "endpoint_url": "aws_endpoint_url",
    "region_name": "aws_region",
}


class NotInstalledError(ProjectError, DatasetError):
    """The extra is missing, by which Delta tables are read."""


class Feed:
    """Batches for delta-rs, which tells in words of its own of what fails in them.

    Attributes:
        failed: What that was.
        stopped: Set if nobody wants them any more; no version is made of them then.
    """

    def __init__(self) -> None:
        self.failed: list[Exception] = []
        self.stopped = Event()

    def of(self, batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        """The same batches, as long as somebody wants them."""
        try:
            for batch in batches:
                if self.stopped.is_set():
                    raise InterruptedError
                yield batch
        except Exception as error:
            if not self.stopped.is_set():
                self.failed.append(error)
            raise


def storage_options(protocol: str, given: Mapping[str, Any]) -> dict[str, str]:
    """The options of a store, as delta-rs has them.

    Args:
        protocol: Of its URL; of a folder it is empty.
        given: In addition to those by which fsspec opens such a store.
    """
    if not protocol:
        return {}
    from fsspec.config import conf  # noqa: PLC0415

    known, told = _flat(conf.get(protocol, {})), _flat(given)
    told = {name: known.get(name) for name in OPTIONS} | told
    options = {OPTIONS.get(name, name.lower()): str(told[name]) for name in told if told[name]}
    endpoint = options.get("aws_endpoint_url", os.environ.get("AWS_ENDPOINT_URL", ""))
    return options | ({"aws_allow_http": "true"} if endpoint.startswith("http:") else {})


def _flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of fsspec, some of which may be among those of its client."""
    return {**options, **(options.get("client_kwargs") or {})} | {"client_kwargs": None}


def library() -> Any:
    """The package.

    Raises:
        NotInstalledError: if it is not there.
    """
    try:
        import deltalake  # noqa: PLC0415 - not always there
    except ImportError as error:
        raise NotInstalledError(
            "A table of the catalog is a Delta table, and what reads them is not installed: "
            "`uv sync --frozen --extra delta`."
        ) from error
    return deltalake


@contextmanager
def in_words(url: str, what: str, failed: Iterable[Exception] = ()) -> Iterator[None]:
    """Errors of delta-rs in one line each, without its own stack; those before it as they are."""
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    try:
        yield
        return
    except BaseException as raised:  # noqa: BLE001 - a panic of Rust is no Exception
        error = raised
    for before in failed:
        raise before
    if not (isinstance(error, DeltaError | OSError) or type(error).__name__ in ITS_OWN):
        raise error
    raise DatasetError(f"{url} cannot be {what}: {_in_a_line(error)}.") from error


def _in_a_line(error: BaseException) -> str:
    """What an error says, without colours, and without the stack of another language."""
    said = re.sub(r"\x1b\[[\d;]*m|↳", "", str(error))
    return " ".join(re.split(r"\n\s*\d+: ", said)[0].split()).rstrip(".")


def state_of(delta: "DeltaTable") -> str:
    """What tells a version from all others, also from those of a table that was in its place."""
    files = sorted(file["path"] for file in _added(delta))
    said = [delta.metadata().id, delta.version(), files]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def plain_files(delta: "DeltaTable", folder: str) -> list[str]:
    """The files of a version that have its rows and no others; of another version there are none.

    They are in the order in which they were added.
    """
    protocol = delta.protocol()
    features = set(protocol.reader_features or ())
    if protocol.min_reader_version not in (1, 3) or not features <= PLAIN:
        return []
    if delta.metadata().partition_columns:
        return []
    added = sorted(_added(delta), key=lambda file: (file["modification_time"], file["path"]))
    files = [f"{folder}/{file['path']}" for file in added]
    return files if all(map(_is_plain_name, files)) else []


def _added(delta: "DeltaTable") -> list[dict[str, Any]]:
    """The files of a version, and when they were added, in milliseconds."""
    added = pa.table(delta.get_add_actions()).select(["path", "modification_time"])
    return list(added.to_pylist())


def _is_plain_name(file: str) -> bool:
    """Whether an engine finds a file by its name, in which it may look for a pattern."""
    return not glob.has_magic(file) and Path(file).is_file()
