"""The prediction log: what was answered, in files that survive a killed process.

Each process appends to files of its own, with one ``write`` per request on a descriptor opened for
appending: lines are whole, and what was answered is with the operating system. A file that could
not be written in full, or that somebody removed or moved, is cut back to whole lines and left for a
new one.
"""

import contextlib
import logging
import os
import uuid
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from threading import Lock
from time import time
from typing import TYPE_CHECKING

from kedro_mlops.core.errors import ProjectError

from .files import closed, hold, list_log, size_of

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

PARTIAL = ".partial"
FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
# there must be room for more than a byte
CHECK_BYTES = 16_384
# what is written beside for longer than this was left by a killed process
MAX_PARTIAL_SECONDS = 3600


class PredictionLog:
    """Writes predictions to ``<folder>/<day>-<process>-<number>``, ``.jsonl`` or ``.arrow``.

    A new file is begun on a new day and before one grows beyond ``max_file_bytes``; the oldest ones
    that nobody writes are then removed, if otherwise the log might grow beyond ``max_total_bytes``.
    Threads may share it.

    Args:
        folder: Of the log; processes, also on other machines, may share it.
        max_file_bytes: Greatest size of a file of lines.
        max_total_bytes: Size of all files in the folder, looked at for every so many bytes as a
            file may have: what other processes, or tables, add in between may go beyond it.

    Attributes:
        n_bytes: On disk, as far as this process knows: it looks whenever it begins a file.
        n_dropped_bytes: Removed by this process for want of room.
    """

    def __init__(self, folder: Path, max_file_bytes: int, max_total_bytes: int) -> None:
        if max_total_bytes < 2 * max_file_bytes:
            raise ProjectError(
                f"The prediction log {folder} may have {max_total_bytes:,} bytes in all and "
                f"{max_file_bytes:,} in a file: let it have room for at least two files."
            )
        self._folder = folder
        self._max_file_bytes = max_file_bytes
        self._max_total_bytes = max_total_bytes
        self._lock = Lock()
        self._process = uuid.uuid4().hex[:12]
        self._number = 0
        self._day = date.min
        self._path = ""
        self._inode = 0
        self._descriptor = -1
        self._size = 0
        self._tables_since_look = 0
        self.n_dropped_bytes = 0
        with self._told():
            self.n_bytes = sum(size_of(file.path) for file in list_log(folder))

    def append(self, lines: bytes, today: date) -> None:
        """Write whole JSON lines; when this returns, the operating system has them.

        Args:
            lines: One or more, each with its end.
            today: The day in UTC; that of an earlier call if that was later.

        Raises:
            ProjectError: if they cannot be written; then none of them is in the log.
        """
        with self._lock:
            size = self._size + len(lines)
            if self._descriptor < 0 or today > self._day or size > self._max_file_bytes:
                self._begin(today)
            if not self._write(lines):
                self._begin(today)
                if not self._write(lines):
                    raise self._error("its files are removed while they are written")
            self.n_bytes += len(lines)
            self._size += len(lines)

    def append_table(self, table: "pa.Table", today: date) -> None:
        """Write the rows of a bulk request as a file of their own, which is whole or not there.

        Raises:
            ProjectError: if it cannot be written; then none of the rows is in the log.
        """
        with self._told():
            with self._lock:
                if self._tables_since_look + table.nbytes > self._max_file_bytes:
                    self._make_room(today)
                path = self._next_path(today, "arrow")
            # lines of other threads need not wait for it
            _write_table(table, path)
            size = size_of(path)
            with self._lock:
                self.n_bytes += size
                self._tables_since_look += size

    def check(self) -> None:
        """See whether predictions can be written, and leave nothing behind.

        Raises:
            ProjectError: if they cannot.
        """
        with self._told():
            trial = self._folder / f"{self._process}-check{PARTIAL}"
            try:
                trial.write_bytes(b"\n" * CHECK_BYTES)
            finally:
                trial.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file of lines; what is appended later goes to a new one."""
        with self._lock:
            self._close()

    def _begin(self, today: date) -> None:
        """Open the next file of lines; one that was left is never written again."""
        self._close()
        with self._told():
            self._make_room(today)
            path = self._next_path(today, "jsonl")
            try:
                with _whole(path) as beside:
                    self._descriptor = os.open(beside, FLAGS, 0o644)
                    # before others can find it: what nobody holds may be removed
                    hold(self._descriptor)
            except OSError:
                self._close()
                raise
            self._path, self._inode = str(path), os.fstat(self._descriptor).st_ino
        self._day = max(today, self._day)

    def _write(self, lines: bytes) -> bool:
        """Add to the file; nothing is added, and the file left, if it is not in the log any more.

        Raises:
            ProjectError: if the lines cannot be written in full.
        """
        try:
            complete = os.write(self._descriptor, lines) == len(lines)
        except OSError as error:
            self._take_back()
            raise self._error(error) from error
        if not complete:
            self._take_back()
            raise self._error("the disk is full, or the file reached a limit")
        # afterwards, so that no moment is left at which it may be removed unnoticed
        if not self._is_in_place():
            self._take_back()
            return False
        return True

    def _is_in_place(self) -> bool:
        """Whether the file still has its name: it or its folder may be removed, or moved."""
        try:
            return os.stat(self._path).st_ino == self._inode  # noqa: PTH116 - for every request
        except OSError:
            return False

    def _next_path(self, today: date, kind: str) -> Path:
        self._number += 1
        day = max(today, self._day).isoformat()
        return self._folder / f"{day}-{self._process}-{self._number:04d}.{kind}"

    def _take_back(self) -> None:
        """Cut off what was half written, and leave the file: its end may have been read."""
        try:
            os.ftruncate(self._descriptor, self._size)
            if not self._size:
                Path(self._path).unlink(missing_ok=True)
        except OSError:
            logger.exception("A file in %s may end in half a line", self._folder)
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._size = -1, 0

    def _make_room(self, today: date) -> None:
        """Remove the oldest closed files until another one fits; count what is there."""
        self._clear_leftovers()
        files = list_log(self._folder)
        total = sum(size_of(file.path) for file in files)
        # one day's grace: another process may be writing its last lines of yesterday
        for file in closed(files, today - timedelta(days=1)):
            if total + self._max_file_bytes <= self._max_total_bytes:
                break
            size = size_of(file.path)
            file.path.unlink(missing_ok=True)
            total -= size
            self.n_dropped_bytes += size
            logger.warning(
                "%s was removed: the prediction log may have %d bytes. Ingest it more often "
                "(kedro run --pipelines=monitoring), or give it more room.",
                file.path,
                self._max_total_bytes,
            )
        self.n_bytes, self._tables_since_look = total, 0

    def _clear_leftovers(self) -> None:
        for path in self._folder.glob(f"*{PARTIAL}"):
            with contextlib.suppress(FileNotFoundError):
                if time() - path.stat().st_mtime > MAX_PARTIAL_SECONDS:
                    path.unlink()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Make sure of the folder, and say what goes wrong in it."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise self._error(error) from error

    def _error(self, cause: object) -> ProjectError:
        return ProjectError(
            f"The prediction log in {self._folder} cannot be written: {cause}. What cannot be "
            "logged is not answered; free space there, or let the service write to another folder "
            "(PREDICTION_LOG_DIR)."
        )


def _write_table(table: "pa.Table", path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415

    # less than half the size, for less time than the other half would take to write
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        _whole(path) as beside,
        pa.OSFile(str(beside), "wb") as sink,
        pa.ipc.new_file(sink, table.schema, options=options) as writer,
    ):
        writer.write_table(table)


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Where to write a file that then appears under its name, whole, or not at all."""
    beside = path.with_name(f".{path.name}{PARTIAL}")
    try:
        yield beside
        beside.rename(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
