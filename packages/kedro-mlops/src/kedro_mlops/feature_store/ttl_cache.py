"""What was read from the online store lately, and what of it is still asked for."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import date
from sys import getsizeof
from threading import Lock

# an entity, and the day for which it is asked; the day is None where values are not daily
Key = tuple[str | int, date | None]
# the values in the order of the group's columns, and why some are missing
Entry = tuple[tuple[float | None, ...], dict[str, str]]
# what keeping takes beside the entity, without values and for each value
KEPT_BYTES, VALUE_BYTES = 500, 40


class _Kept:
    """An entry, until when it is taken for true, and when it was last asked for."""

    __slots__ = ("asked", "entry", "until")

    def __init__(self, entry: Entry, until: float, asked: float) -> None:
        self.entry = entry
        self.until = until
        self.asked = asked


class TTLCache:
    """Entries for as long as they are taken for true; those that were read first go first.

    For any number of threads; getting, which is most of it, takes no lock.

    Args:
        max_bytes: What the entries may take in memory, about.
        seconds: How long they are taken for true.
    """

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._seconds = seconds
        self._lock = Lock()
        # of a dictionary, the first is found the more slowly the more were before it
        self._kept: OrderedDict[Key | None, _Kept] = OrderedDict()

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
        with self._lock:
            for key, entry in entries.items():
                old = self._kept.pop(key, None)
                self._n_bytes += _size(key, entry) - (_size(key, old.entry) if old else 0)
                self._kept[key] = _Kept(entry, now + self._seconds, old.asked if old else now)
            while self._n_bytes > self._max_bytes:
                first, gone = self._kept.popitem(last=False)
                self._n_bytes -= _size(first, gone.entry)

    def ageing(self, now: float) -> list[Key]:
        """What is past half of its time, and was asked for since it was read."""
        half = self._seconds / 2
        with self._lock:
            kept = list(self._kept.items())
        return [
            key
            for key, one in kept
            if key and now < one.until <= now + half and one.asked >= one.until - self._seconds
        ]


def _size(key: Key | None, entry: Entry) -> int:
    """What an entry takes in memory, in bytes, about."""
    return KEPT_BYTES + VALUE_BYTES * len(entry[0]) + (getsizeof(key[0]) if key else 0)
