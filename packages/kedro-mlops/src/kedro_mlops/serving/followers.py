"""Who follows the champion: a file of each process beside the prediction log, for people to ask."""

import contextlib
import fcntl
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec

FOLDER = "followers"


class Following(msgspec.Struct, frozen=True):
    """What a process that follows the champion serves.

    Attributes:
        process: Its host and number.
        model_version: What it answers with.
        release: The Bento that is from.
        since: When it took it, in UTC, by ISO 8601.
        refused: The release that it did not take, if that is the newest champion's.
        reason: Why it did not.
    """

    process: str
    model_version: str
    release: str
    since: str
    refused: str = ""
    reason: str = ""


class FollowerFile:
    """The file of this process, which is locked as long as the process lives.

    Args:
        log_folder: The prediction log.

    Raises:
        OSError: if it cannot be written.
    """

    def __init__(self, log_folder: Path) -> None:
        folder = log_folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for left, is_held in _looked_at(folder):
            if not is_held:
                left.unlink(missing_ok=True)
        self.process = f"{socket.gethostname()}:{os.getpid()}"
        self._path = folder / f"{uuid.uuid4().hex}.json"
        self._file = self._path.open("xb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, following: Following) -> None:
        """Say what is served now."""
        data = msgspec.json.encode(following)
        os.pwrite(self._file.fileno(), data, 0)
        self._file.truncate(len(data))

    def close(self) -> None:
        """Nobody follows any more."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def followers(log_folder: Path) -> list[Following]:
    """What the processes serve that follow the champion now, and log to a folder."""
    found = []
    for path, is_held in _looked_at(log_folder / FOLDER):
        # a file that is being written can be read a moment later
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            if is_held:
                found.append(msgspec.json.decode(path.read_bytes(), type=Following))
    return sorted(found, key=lambda one: one.process)


def _looked_at(folder: Path) -> Iterator[tuple[Path, bool]]:
    """The files, and whether their processes live."""
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                yield path, True
            else:
                yield path, False
