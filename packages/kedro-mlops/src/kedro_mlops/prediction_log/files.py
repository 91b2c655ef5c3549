"""The files of the prediction log, and which of them nobody writes any more."""

import contextlib
import fcntl
import json
import re
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

_NAME = re.compile(r"(\d{4}-\d\d-\d\d)-([0-9a-z]+)(?:-(\d+))?\.(jsonl|arrow)")
TAIL_BYTES = 2**16


class Answered(NamedTuple):
    """Which model answered, and when, in UTC."""

    model_version: str
    moment: datetime


class LogFile(NamedTuple):
    """One file of the log: ``<day>-<process>-<number>``, JSON lines or an Arrow table.

    Sorted, the oldest come first, and those of one process as they were written.

    Attributes:
        day: The day it was begun.
        number: Counts the files of the process, over all days.
        process: The process that writes it, and no other ever will.
        path: Where it is.
    """

    day: date
    number: int
    process: str
    path: Path

    @classmethod
    def parse(cls, path: Path) -> "LogFile | None":
        """Read a file's name; ``None`` if it is not one of the log's."""
        found = _NAME.fullmatch(path.name)
        if found is None:
            return None
        day, process, number, _ = found.groups()
        return cls(date.fromisoformat(day), int(number or 0), process, path)


def is_table(path: Path) -> bool:
    """Whether a file is an Arrow table, which appears as a whole and is never added to."""
    return path.suffix == ".arrow"


def size_of(path: Path) -> int:
    """Size in bytes; nothing if another process has just removed it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def list_log(folder: Path) -> list[LogFile]:
    """The files of a log, oldest first."""
    return sorted(filter(None, map(LogFile.parse, folder.glob("*"))))


def last_answer(folder: Path) -> Answered | None:
    """Which model answered last as champion, by the newest lines of the log; not by its tables."""
    changed: dict[Path, float] = {}
    for file in list_log(folder):
        if not is_table(file.path):
            with contextlib.suppress(FileNotFoundError):  # another process may have removed it
                changed[file.path] = file.path.stat().st_mtime
    for path in sorted(changed, key=changed.__getitem__, reverse=True):
        for line in reversed(_tail(path)):
            with contextlib.suppress(ValueError, KeyError):  # the first of a tail may be cut
                record = json.loads(line)
                if record.get("variant") in (None, "champion"):
                    moment = datetime.fromisoformat(record["predicted_at"]).replace(tzinfo=None)
                    return Answered(record["model_version"], moment)
    return None


def _tail(path: Path) -> list[bytes]:
    """The last lines of a file; none if another process has just removed it."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(max(path.stat().st_size - TAIL_BYTES, 0))
        return file.read(TAIL_BYTES).splitlines()
    return []


def closed(files: Iterable[LogFile], today: date) -> list[LogFile]:
    """Those that nobody writes any more.

    That are tables; lines that their process has left behind for a newer file; and those of days
    before ``today`` whose process has ended. A day alone says nothing: clocks may be days off, and
    a process may have had nothing to write for as long.
    """
    ordered = sorted(files)
    newest = {file.process: file for file in ordered if not is_table(file.path)}
    return [
        file
        for file in ordered
        if file is not newest.get(file.process) or (file.day < today and not is_held(file.path))
    ]


def hold(descriptor: int) -> None:
    """Lock a file for as long as the process writes it; the system unlocks it when that ends.

    Raises:
        OSError: if the file system knows no locks.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: Path) -> bool:
    """Whether the process that writes a file lives, also on another machine that shares it.

    One that may not be read is taken to be held.
    """
    try:
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    return False
