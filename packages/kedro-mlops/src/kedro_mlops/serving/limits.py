"""What requests may take of what they share: time and memory."""

import time
from collections.abc import Callable

from .refusals import refused_rows

# raises OutOfTimeError once there is no time left; long work calls it between its steps
DeadlineCheck = Callable[[], None]


class OutOfTimeError(Exception):
    """Nobody waits for the work any more."""


def deadline(seconds: float) -> DeadlineCheck:
    """A check that fails when so many seconds have passed from now."""
    end = time.monotonic() + seconds

    def check_deadline() -> None:
        if time.monotonic() > end:
            raise OutOfTimeError

    return check_deadline


def no_deadline() -> None:
    """The check of work that nobody waits for."""


class Room:
    """The memory that requests in progress share; it belongs to the event loop.

    Attributes:
        n_free: Bytes that nobody has taken.
    """

    def __init__(self, n_bytes: int) -> None:
        self.n_free = n_bytes


class Share:
    """What a request takes of a room, until it is given back."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._n_bytes = 0

    def take(self, n_bytes: int) -> None:
        """Take more.

        Raises:
            BadRequestError: if there is not so much left.
        """
        if n_bytes > self._room.n_free:
            raise refused_rows(
                "overloaded", "Other requests need the memory; try again in a while."
            )
        self._room.n_free -= n_bytes
        self._n_bytes += n_bytes

    def give_back(self) -> None:
        """Take nothing any more."""
        self._room.n_free += self._n_bytes
        self._n_bytes = 0
