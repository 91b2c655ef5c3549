"""One run at a time where artefacts are made, and one process that saves: two would mix them.

The locks are the operating system's, so they go with a process, however that ends. On a store there
is a lease beside, for what is on other machines.
"""

import contextlib
import os
import platform
import shlex
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from filelock import BaseFileLock, FileLock, Timeout

from .errors import ProjectError
from .lease import JUST_BEGUN, Lease
from .storage import Place

if TYPE_CHECKING:
    from upath import UPath

FILE = "run.lock"
# made once in each folder
ID = "run.lock.id"
# of a command that waits, wherever it takes a lock
WAIT = "run_lock.wait"
# how often it is looked whether a store is free
LOOK_SECONDS = 5.0

wait_option = click.option(
    "--wait",
    is_flag=True,
    expose_value=False,
    callback=lambda command, _, given: command.meta.update({WAIT: given}),
    help="Wait for another run in this environment to end.",
)


@dataclass(frozen=True)
class RunLock:
    """What a run holds while it is at work."""

    lock: BaseFileLock
    lease: Lease | None

    def release(self) -> None:
        """Let others begin."""
        try:
            if self.lease is not None:
                self.lease.release()
        finally:
            self.lock.release()


def take(data: Path, store: "UPath | None" = None) -> RunLock:
    """Take the lock of a folder of artefacts; who has it may take it again, and releases it twice.

    Args:
        data: The folder, on this machine.
        store: Where of its artefacts those are that last, if they are elsewhere.

    Raises:
        ProjectError: if another run has it, unless the command that was typed says ``--wait``.
    """
    data.mkdir(parents=True, exist_ok=True)
    file = data / FILE
    lock = FileLock(file, is_singleton=True)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _wait_or_refuse(os.path.relpath(data), file.read_text() or JUST_BEGUN)
        lock.acquire(poll_interval=0.5)
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    said = (
        f"process {os.getpid()} on {platform.node()}, `{command}`, "
        f"since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    )
    file.write_text(said)
    try:
        return RunLock(lock, None if store is None else _leased(store, data, said))
    except BaseException:
        lock.release()
        raise


# of this process, by their places
_leases: dict[str, Lease] = {}


def _leased(store: "UPath", data: Path, said: str) -> Lease:
    where = f"{platform.node()}:{data.resolve()}:{_id_of(data)}"
    lease = _leases.setdefault(f"{store} {where}", Lease(store / FILE, where, said))
    if (other := lease.take()) is not None:
        _wait_or_refuse(str(store), other)
        while lease.take() is not None:
            time.sleep(LOOK_SECONDS)
    return lease


def _id_of(data: Path) -> str:
    """What no folder of another machine is called, whatever name and paths that machine has."""
    file = data / ID
    if not file.exists():
        file.write_text(uuid.uuid4().hex)
    return file.read_text()


def _wait_or_refuse(where: str, other: str) -> None:
    said = f"Another run is at work in {where}: {other}."
    command = click.get_current_context(silent=True)
    if command is None or not command.meta.get(WAIT):
        raise ProjectError(
            f"{said} Nothing was begun. Wait for its end, by `--wait` too, or stop it; runs in "
            "other environments are free to go on."
        ) from None
    click.echo(f"{said} Waiting for its end.")


@contextlib.contextmanager
def alone_in(data: Path, store: "UPath | None" = None) -> Iterator[None]:
    """Keep other runs out of a folder of artefacts."""
    lock = take(data, store)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def alone_saving(folder: Place, timeout_seconds: float, file: Path | None = None) -> Iterator[None]:
    """Keep other processes from saving to a folder; the lock of one that was killed goes with it.

    Args:
        folder: Where to.
        timeout_seconds: How long another process may take.
        file: The lock; if not given, it is beside the folder.

    Raises:
        ProjectError: if another one has been at it for so long.
    """
    if file is None:
        folder.mkdir(parents=True, exist_ok=True)
        file = Path(str(folder.with_name(f"{folder.name}.lock")))
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        held = lock.acquire(timeout_seconds)
    except Timeout as error:
        raise ProjectError(
            f"Another process has been saving to {folder} for {timeout_seconds:g} seconds. Nothing "
            "has changed; look what it is waiting for, and run again."
        ) from error
    with held:
        yield
