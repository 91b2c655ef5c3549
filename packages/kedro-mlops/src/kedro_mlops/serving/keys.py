"""API keys: who may ask."""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import psutil

from kedro_mlops.core.errors import ProjectError

logger = logging.getLogger(__name__)

MIN_LENGTH = 16
LOOK_SECONDS = 5.0
BEARER = b"bearer "


class ApiKeys:
    """Several keys, from a text and a file; the file is read again when it changes.

    Only their hashes are kept, and each is compared in constant time.

    Args:
        text: Keys separated by commas.
        file: A file with a key a line; lines that begin with ``#`` are comments.
        required: Whether a key is needed where there is none, so that nobody may ask.

    Raises:
        ProjectError: if the file cannot be read, or a key is too short to be one.
    """

    def __init__(
        self,
        text: str,
        file: Path | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        required: bool = False,
    ) -> None:
        self._required = required
        self._given = _hashes(text.split(","), "API_KEYS")
        self._file = file
        self._clock = clock
        self._changed = 0
        self._next_look = 0.0
        self._hashes = self._given
        if file is not None:
            self._hashes = self._given + self._read(file)

    @property
    def needed(self) -> bool:
        """Whether nobody may ask without a key."""
        return self._required or bool(self._hashes) or self._file is not None

    def knows(self, authorization: bytes | None) -> bool:
        """Whether a request's ``Authorization: Bearer …`` has one of the keys."""
        self._look()
        if authorization is None or authorization[:7].lower() != BEARER:
            return False
        asked = hashlib.sha256(authorization[7:].strip()).digest()
        known = False
        for digest in self._hashes:
            known |= hmac.compare_digest(asked, digest)
        return known

    def _look(self) -> None:
        if self._file is None or self._clock() < self._next_look:
            return
        self._next_look = self._clock() + LOOK_SECONDS
        try:
            if self._file.stat().st_mtime_ns != self._changed:
                self._hashes = self._given + self._read(self._file)
                logger.warning("The API keys were read again: there are %d", len(self._hashes))
        except (OSError, ProjectError) as error:
            logger.error("The API keys stay as they were: %s", error)

    def _read(self, file: Path) -> list[bytes]:
        try:
            changed = file.stat().st_mtime_ns
            keys = _keys_of(file)
        except (OSError, UnicodeDecodeError) as error:
            raise ProjectError(f"API_KEYS_FILE cannot be read: {error}.") from error
        found = _hashes(keys, str(file))
        if not found:
            raise ProjectError(f"API_KEYS_FILE {file} has no key; write one a line.")
        self._changed = changed
        return found


def a_key(text: str, file: Path | None) -> str:
    """One of the keys, for a service that is asked by its own image; empty if it needs none."""
    keys = [*text.split(","), *(_keys_of(file) if file else [])]
    return next((key.strip() for key in keys if key.strip()), "")


def _keys_of(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if not line.startswith("#")]


def _hashes(keys: list[str], source: str) -> list[bytes]:
    found = [key.strip() for key in keys if key.strip()]
    if any(len(key) < MIN_LENGTH for key in found):
        raise ProjectError(
            f"A key in {source} has fewer than {MIN_LENGTH} characters. Make a good one with "
            '`python3 -c "import secrets; print(secrets.token_urlsafe(32))"`.'
        )
    return [hashlib.sha256(key.encode()).digest() for key in found]


def refuse_if_open(keys: ApiKeys, addresses: list[str]) -> None:
    """Without keys, listen to this machine alone.

    Raises:
        ProjectError: if one of the addresses can be reached by others.
    """
    if keys.needed:
        return
    for address in addresses:
        if address != "localhost" and not ip_address(address).is_loopback:
            raise ProjectError(
                f"Without API keys the service answers only this machine, but it listens on "
                f"{address}. Set API_KEYS or API_KEYS_FILE, or serve with --host 127.0.0.1."
            )


def listening() -> list[str]:
    """The addresses on which this process listens."""
    connections = psutil.Process().net_connections(kind="inet")
    return [found.laddr.ip for found in connections if found.status == psutil.CONN_LISTEN]
