"""What was read from the online store lately, and what of it is still asked for."""

from collections.abc import Mapping, Sequence
from datetime import date

# an entity, and the day for which it is asked; the day is None where values are not daily
Key = tuple[str, date | None]
# the values in the order of the group's columns, and why some are missing
Entry = tuple[tuple[float | None, ...], dict[str, str]]


class _Kept:
    """An entry, until when it is taken for true, and when it was last asked for."""

    __slots__ = ("asked", "entry", "until")

    def __init__(self, entry: Entry, until: float, asked: float) -> None:
        self.entry = entry
        self.until = until
        self.asked = asked


class Recent:
    """Entries for as long as they are taken for true; those that were read first go first.

    Getting is for any thread, without a lock; keeping is for one at a time.

    Args:
        size: Entries that are kept.
        seconds: How long they are taken for true.
    """

    def __init__(self, size: int, seconds: float) -> None:
        self._size = size
        self._seconds = seconds
        self._kept: dict[Key | None, _Kept] = {}

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._kept)

    def get(self, key: Key, now: float) -> Entry | None:
        """An entry, if it is there and still true."""
        found = self._kept.get(key)
        if found is None or now >= found.until:
            return None
        found.asked = now
        return found.entry

    def get_all(self, keys: Sequence[Key | None], now: float) -> list[Entry | None]:
        """The same for many keys, and quicker than one by one."""
        found = list(map(self._kept.get, keys))
        for one in found:
            if one is not None:
                one.asked = now
        return [one.entry if one is not None and now < one.until else None for one in found]

    def keep(self, entries: Mapping[Key, Entry], now: float) -> None:
        """Add what was read now."""
        for key, entry in entries.items():
            old = self._kept.pop(key, None)
            self._kept[key] = _Kept(entry, now + self._seconds, old.asked if old else now)
        while len(self._kept) > self._size:
            del self._kept[next(iter(self._kept))]

    def ageing(self, now: float) -> list[Key]:
        """What is past half of its time, and was asked for since it was read."""
        half = self._seconds / 2
        return [
            key
            for key, one in list(self._kept.items())
            if key and now < one.until <= now + half and one.asked >= one.until - self._seconds
        ]
