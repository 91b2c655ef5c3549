"""Files that are either whole or not there.

fsspec's local filesystem writes in place, so a crash leaves half a file where a good one was.
This one writes beside the target and renames when the writer is done. ``settings.py`` registers it
for the ``file`` protocol, which is what Kedro's datasets use.
"""

import contextlib
import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileOpener, LocalFileSystem

from .storage import Place, on_store

PARTIAL = ".partial-"


class AtomicFileSystem(LocalFileSystem):  # type: ignore[misc]
    """A local filesystem on which a file appears under its name only when it is complete."""

    def _open(self, path: str, mode: str = "rb", block_size: Any = None, **kwargs: Any) -> Any:
        if "w" not in mode or not kwargs.get("autocommit", True):
            return super()._open(path, mode=mode, block_size=block_size, **kwargs)
        if self.auto_mkdir:
            self.makedirs(self._parent(path), exist_ok=True)
        return _AtomicFile(path, mode, fs=self, **kwargs)


class _AtomicFile(LocalFileOpener):  # type: ignore[misc]
    """Writes to a temporary neighbour; closing commits, unless an exception is on its way.

    Made for ``with`` blocks, which is how Kedro's datasets write.
    """

    def _open(self) -> None:
        target = Path(self.path)
        handle, self.temp = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        self._exception_before = sys.exception()
        self.f = os.fdopen(handle, self.mode)

    def close(self) -> None:
        if self.f.closed:
            return
        failed = sys.exception() not in (None, self._exception_before)
        try:
            self.f.close()
        except OSError:
            failed = True
            raise
        finally:
            self._discard() if failed else self._commit()

    def _commit(self) -> None:
        umask = os.umask(0)
        os.umask(umask)
        Path(self.temp).chmod(0o666 & ~umask)
        os.replace(self.temp, self.path)  # noqa: PTH105

    def _discard(self) -> None:
        Path(self.temp).unlink(missing_ok=True)

    def __exit__(self, *exc: object) -> None:
        self.close()


def register() -> None:
    """Make every dataset on the ``file`` protocol write atomically."""
    fsspec.register_implementation("file", AtomicFileSystem, clobber=True)
    fsspec.register_implementation("local", AtomicFileSystem, clobber=True)


@contextlib.contextmanager
def new_file(path: Place) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name only when it is complete."""
    if on_store(path):
        # as a whole: what a store is sent piece by piece, it keeps when the sender fails
        content = io.BytesIO()
        yield content
        path.fs.pipe_file(path.path, content.getvalue())
        return
    with AtomicFileSystem(auto_mkdir=True).open(str(path.absolute()), "wb") as file:
        yield file


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that appears under its name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=path.parent) as scratch:
        staged = Path(scratch) / path.name
        staged.mkdir()
        yield staged
        if path.exists():
            path.rename(Path(scratch) / "replaced")
        staged.rename(path)


def hash_files(said: str, paths: Iterable[Path]) -> str:
    """SHA-256 of what is said, and of what files hold, in the order of their paths."""
    digest = hashlib.sha256(said.encode())
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()
