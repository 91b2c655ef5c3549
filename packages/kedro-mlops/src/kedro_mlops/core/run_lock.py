"""One run at a time where artefacts are made, and one process that saves: two would mix them.

The locks are the operating system's, so they go with a process, however that ends.
"""

import contextlib
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from filelock import BaseFileLock, FileLock, Timeout

from .errors import ProjectError

FILE = "run.lock"
# of a command that waits, wherever it takes a lock
WAIT = "run_lock.wait"

wait_option = click.option(
    "--wait",
    is_flag=True,
    expose_value=False,
    callback=lambda command, _, given: command.meta.update({WAIT: given}),
    help="Wait for another run in this environment to end.",
)


def take(data: Path) -> BaseFileLock:
    """Take the lock of a folder of artefacts; who has it may take it again, and releases it twice.

    Raises:
        ProjectError: if another run has it, unless the command that was typed says ``--wait``.
    """
    data.mkdir(parents=True, exist_ok=True)
    file = data / FILE
    lock = FileLock(file, is_singleton=True)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        other = file.read_text() or "one that has just begun"
        said = f"Another run is at work in {os.path.relpath(data)}: {other}."
        if not _may_wait():
            raise ProjectError(
                f"{said} Nothing was begun. Wait for its end, by `--wait` too, or stop it; runs in "
                "other environments are free to go on."
            ) from None
        click.echo(f"{said} Waiting for its end.")
        lock.acquire(poll_interval=0.5)
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    file.write_text(
        f"process {os.getpid()} on {platform.node()}, `{command}`, "
        f"since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    )
    return lock


@contextlib.contextmanager
def alone_in(data: Path) -> Iterator[None]:
    """Keep other runs out of a folder of artefacts."""
    lock = take(data)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def alone_saving(folder: Path, timeout_seconds: float) -> Iterator[None]:
    """Keep other processes from saving to a folder; the lock of one that was killed goes with it.

    Raises:
        ProjectError: if another one has been at it for so long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        held = lock.acquire(timeout_seconds)
    except Timeout as error:
        raise ProjectError(
            f"Another process has been saving to {folder} for {timeout_seconds:g} seconds. Nothing "
            "has changed; look what it is waiting for, and run again."
        ) from error
    with held:
        yield


def _may_wait() -> bool:
    command = click.get_current_context(silent=True)
    return command is not None and bool(command.meta.get(WAIT))
