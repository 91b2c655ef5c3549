"""The versions of an artefact on a store: folders of files, of which one follows another.

On a disk a folder is renamed when it is complete, and a lock keeps others out. On a store a version
is uploaded unseen, and counts from the moment at which one object is created that names it:
``after/PREDECESSOR``. A store creates that once, so no two versions follow the same one, and who
is killed before leaves what nobody sees.

``VERSION/claim``      says whose the folder is, so that no two upload to one
``VERSION/NAME/…``     the files, of which that one which is written last makes it whole
``after/PREDECESSOR``  names the version; ``after/0`` the first, and below it those that were copied
                       here from a disk, if there were any
"""

import os
import platform
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .storage import create, names_below, refuse_if_careless

if TYPE_CHECKING:
    from upath import UPath

CLAIM, AFTER = "claim", "after"
# what the first version comes after; every other name is later
FIRST = "0"


class Seen(NamedTuple):
    """What was there at a moment.

    Attributes:
        names: Of the versions that count and are whole, newest first.
        last: The newest that counted, though somebody may have removed it since.
        copied: Those that were copied here, while none has followed them.
        leftovers: Uploads that do not count: they go on, or were killed.
    """

    names: list[str]
    last: str
    copied: list[str]
    leftovers: list[str]


class StoreVersions:
    """The versions in a folder of a store.

    Args:
        folder: Of the versions; each has a folder of its name, and in that one of this one's name.
        whole: The file of a version that is written last.
    """

    def __init__(self, folder: "UPath", whole: str) -> None:
        self._folder, self._whole = folder, whole

    def path(self, name: str) -> "UPath":
        """Where the files of a version are."""
        return self._folder / name / self._folder.name

    def look(self) -> Seen:
        """See what there is now."""
        found = names_below(self._folder)
        parts = [tuple(name.split("/")) for name in found]
        before = sorted(names[1] for names in parts if names[0] == AFTER and len(names) == 2)
        claimed = {names[0] for names in parts if names[1:] == (CLAIM,)}
        file = (self._folder.name, self._whole)
        whole = {names[0] for names in parts if names[1:] == file}
        folders = {names[0] for names in parts} - {AFTER}
        copied = [] if before else sorted(whole - claimed, reverse=True)
        names = self._named(before) if before else copied
        # it may have come while the others were listed
        if names and (self.path(names[0]) / self._whole).exists():
            whole.add(names[0])
        return Seen(
            names=[name for name in names if name in whole],
            last=names[0] if names else FIRST,
            copied=copied,
            leftovers=sorted((folders & claimed) - {*names}),
        )

    def newest(self) -> str:
        """The newest version that counts and is whole; empty, if there is none. Asks little."""
        before = names_below(self._folder / AFTER)
        if before and (self.path(name := self._read(before[-1])[0]) / self._whole).exists():
            return name
        return next(iter(self.look().names), "")

    def _named(self, before: list[str]) -> list[str]:
        """The versions that count, newest first, by what they come after."""
        first = self._read(FIRST)
        if before[-1] == FIRST:
            return first
        return [
            *self._read(before[-1]),
            *sorted(set(before) - {FIRST, *first}, reverse=True),
            *first,
        ]

    def _read(self, before: str) -> list[str]:
        return (self._folder / AFTER / before).read_text().splitlines()

    def begin(self, name: str, later: Callable[[str], str]) -> str:
        """Take a name for a new version, or a later one if somebody uploads by that one.

        Raises:
            ProjectError: if this is not a store of which two writers can be told apart.
        """
        mine = f"{platform.node()} {os.getpid()} {uuid.uuid4().hex}".encode()
        while not create(claim := self._folder / name / CLAIM, mine):
            name = later(name)
        refuse_if_careless(claim, mine)
        return name

    def add(self, name: str, seen: Seen) -> bool:
        """Let an uploaded version count, unless another one has come since somebody looked."""
        if seen.copied and not self._keep(seen.copied):
            return False
        return create(self._folder / AFTER / seen.last, name.encode())

    def _keep(self, copied: list[str]) -> bool:
        """Let those count that were copied here."""
        return create(self._folder / AFTER / FIRST, "\n".join(copied).encode())

    def remove(self, name: str) -> None:
        """Remove an upload that does not count."""
        place = self._folder / name
        place.fs.rm(place.path, recursive=True)
