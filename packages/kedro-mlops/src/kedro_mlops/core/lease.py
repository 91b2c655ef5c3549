"""One run at a time on a store, whatever machines they are on.

Who is at work says so in an object, ``NUMBER``, again and again; the highest number counts. Who
takes over, because that was given up or not been said again in time, creates the next number, which
a store does once. A machine that stood still meanwhile finds the higher number, and has lost it.
"""

import json
import logging
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .storage import create, names_below

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger(__name__)

BEAT_SECONDS = 30.0
# how long what was said holds, and how much clocks may differ
HOLDS, DIFFERENCE = timedelta(minutes=2), timedelta(minutes=1)
JUST_BEGUN = "one that has just begun"


class Lease:
    """The right to work on a store, which one holds; who has it may take it again.

    Args:
        folder: On the store, of the lease alone.
        where: Whose it is: of the same place it may be taken at once, since a lock of that place
            says that nobody else is at work there.
        said: Who that is, in words.
    """

    def __init__(self, folder: "UPath", where: str, said: str) -> None:
        self._folder, self._where, self._said = folder, where, said
        self._id = uuid.uuid4().hex
        self._number = self._held = 0
        self._ended, self._saying = threading.Event(), threading.Lock()

    def take(self) -> str | None:
        """Take it, or say who has it."""
        if self._held:
            self._held += 1
            return None
        numbers = self._numbers()
        last = max(numbers, default=0)
        if last and (other := self._other(last)):
            return other
        if not self._begin(last + 1):
            return JUST_BEGUN
        self._number, self._held = last + 1, 1
        for number in numbers:
            self._file(number).unlink(missing_ok=True)
        self._ended = threading.Event()
        name = f"lease of {self._folder}"
        threading.Thread(target=self._go_on, args=[self._ended], name=name, daemon=True).start()
        return None

    def release(self) -> None:
        """Give it up, if it was taken no more often."""
        self._held -= 1
        if not self._held:
            with self._saying:
                self._ended.set()
                try:
                    self._say(timedelta(0))
                except Exception as error:  # noqa: BLE001 - whatever a driver says; it lapses
                    logger.warning("%s is not told of the end: %s", self._folder.parent, error)

    def _begin(self, number: int) -> bool:
        """Create the next number, unless another has it, or there are later ones meanwhile."""
        if not create(self._file(number), self._content(HOLDS)):
            return False
        # who took a later one has removed this one, so that it could be created once more
        is_newest = max(self._numbers(), default=0) == number
        if not is_newest:
            self._file(number).unlink(missing_ok=True)
        return is_newest

    def _other(self, number: int) -> str | None:
        """Who else is at work, by the newest number."""
        try:
            found: dict[str, Any] = json.loads(self._file(number).read_bytes())
        except FileNotFoundError:
            return JUST_BEGUN
        holds = datetime.fromisoformat(found["until"]) + DIFFERENCE > datetime.now(UTC)
        return str(found["said"]) if holds and found["where"] != self._where else None

    def _go_on(self, ended: threading.Event) -> None:
        while not ended.wait(BEAT_SECONDS):
            try:
                with self._saying:
                    if ended.is_set():
                        return
                    self._say(HOLDS)
                if max(self._numbers(), default=0) > self._number:
                    logger.error(
                        "Another run has begun on %s, since this one was not heard of: what both "
                        "make is mixed. Stop one, and run again.",
                        self._folder.parent,
                    )
                    return
            except Exception as error:  # noqa: BLE001 - whatever a driver says
                logger.warning("%s does not hear of this run: %s", self._folder.parent, error)

    def _numbers(self) -> list[int]:
        return [int(name) for name in names_below(self._folder) if name.isdigit()]

    def _say(self, holds: timedelta) -> None:
        file = self._file(self._number)
        file.fs.pipe_file(file.path, self._content(holds))

    def _content(self, holds: timedelta) -> bytes:
        """What is in the object: with no time left, that nobody is at work."""
        until = datetime.now(UTC) + holds if holds else datetime.min.replace(tzinfo=UTC)
        about = {"where": self._where, "said": self._said, "id": self._id}
        return json.dumps({**about, "until": until.isoformat()}).encode()

    def _file(self, number: int) -> "UPath":
        return self._folder / f"{number:08d}"
