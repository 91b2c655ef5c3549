"""Who follows the champion: a file of each process beside the prediction log, for people to ask."""

import contextlib
import os
import socket
import uuid
from pathlib import Path

import msgspec

from kedro_mlops.prediction_log.files import hold, is_held

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
        for left in folder.glob("*.json"):
            if not is_held(left):
                left.unlink(missing_ok=True)
        self.process = f"{socket.gethostname()}:{os.getpid()}"
        self._path = folder / f"{uuid.uuid4().hex}.json"
        # others see it only when it is locked, or they would take it for one that was left
        unseen = self._path.with_suffix(".new")
        self._file = unseen.open("xb", buffering=0)
        hold(self._file.fileno())
        unseen.rename(self._path)

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
    for path in (log_folder / FOLDER).glob("*.json"):
        # a file that is being written can be read a moment later
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            if is_held(path):
                found.append(msgspec.json.decode(path.read_bytes(), type=Following))
    return sorted(found, key=lambda one: one.process)
