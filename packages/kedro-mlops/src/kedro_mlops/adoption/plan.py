"""What adoption changes in a project, to be looked at before it is done; all of it, or nothing."""

import difflib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.files import new_file
from kedro_mlops.core.run_lock import alone_in

from .source import RAW
from .written import RECORD, edited, record

# beside what it will replace: what is new, copies of what is old, and what is removed
STAGE, NEW, OLD, REMOVED = ".adopting", "new", "old", "removed"
STAGES = STAGE, f"{RAW}/{STAGE}"
# is there as long as what is changed is neither all old nor all new
JOURNAL = "journal.json"


@dataclass(frozen=True)
class Plan:
    """The files of a project that will be others.

    Attributes:
        folder: The project.
        files: What is written, by its path.
        removed: The files and folders that go, or give way to copies.
        copies: The files that come from elsewhere, by their paths in the project.
        secrets: What is written, and shown to nobody but the owner, by its path.
    """

    folder: Path
    files: dict[str, str]
    removed: tuple[str, ...] = ()
    copies: Mapping[str, Path] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def check(self) -> None:
        """Refuse to lose what a person has written.

        Raises:
            ProjectError: naming the files.
        """
        new = [path for path, text in self.files.items() if self._before(path) != _plain(text)]
        links = [path for path in (*new, *self.secrets) if (self.folder / path).is_symlink()]
        if links:
            raise ProjectError(
                f"Links, which files would take the place of: {', '.join(links)}. Nothing was "
                "changed. Put what they lead to in their places; or say --force to replace them."
            )
        mine = edited(self.folder, [*sorted(new), *self._gone()])
        if mine:
            raise ProjectError(
                f"Edited since they were written, or not committed: {', '.join(mine)}. Nothing was "
                "changed. Keep what is yours, and say --force to replace them; --dry-run shows how."
            )

    def diff(self) -> Iterator[str]:
        """All changes, as a unified diff."""
        for path, text in sorted(self.files.items()):
            yield from _diff(path, self._before(path), _plain(text))
        for path in self._gone():
            yield f"removed: {path}\n"
        for path, source in self.copies.items():
            yield f"copied: {path}, from {source}\n"
        for path in self.secrets:
            yield f"changed, and not shown: {path}\n"

    def carry_out(self) -> None:
        """Write, remove, and remember what was written; all as it was if that fails.

        A file is the old one or the new one at any moment. If the process is killed, ``put_back``
        gives back what there was.

        Raises:
            ProjectError: if another adoption, or a run, is at work there.
        """
        with alone(self.folder):
            put_back(self.folder)
            self._carry_out()

    def _carry_out(self) -> None:
        try:
            copies = self._stage_copies()
            said = record(self.folder, self.files, copies, self._gone())
            texts = {**self.files, **self.secrets, RECORD: said}
            removed = self._stage(texts)
            for path in removed:
                (self.folder / path).rename(_parent(_staged(self.folder, REMOVED, path)))
            for path in (*texts, *self.copies):
                _staged(self.folder, NEW, path).replace(_parent(self.folder / path))
        except BaseException:
            put_back(self.folder)
            raise
        _forget(self.folder)

    def _stage_copies(self) -> dict[str, Path]:
        copies = {path: _staged(self.folder, NEW, path) for path in self.copies}
        for path, source in self.copies.items():
            shutil.copyfile(source, _parent(copies[path]))
        return copies

    def _stage(self, texts: Mapping[str, str]) -> list[str]:
        """Put beside the project what else it will hold, and what it takes to undo that.

        Returns:
            The files and folders that go.
        """
        removed = [path for path in self._outermost() if os.path.lexists(self.folder / path)]
        kept = [path for path in texts if _is_file(self.folder / path)]
        added = [p for p in (*texts, *self.copies) if not os.path.lexists(self.folder / p)]
        # a process that is killed leaves it, and a secret may be in it
        _parent(self.folder / STAGE / ".gitignore").write_text("*\n")
        for path, text in texts.items():
            new = _parent(_staged(self.folder, NEW, path))
            new.touch(mode=0o600 if path in self.secrets else 0o666)
            new.write_text(text, encoding="utf-8")
        for path in kept:
            old = _parent(_staged(self.folder, OLD, path))
            shutil.copy2(self.folder / path, old, follow_symlinks=False)
            if not old.is_symlink():
                shutil.copymode(old, _staged(self.folder, NEW, path))
        with new_file(self.folder / STAGE / JOURNAL) as journal:
            journal.write(json.dumps({"added": added, "kept": kept, "removed": removed}).encode())
        return removed

    def _before(self, path: str) -> str | None:
        file = self.folder / path
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else None

    def _gone(self) -> list[str]:
        """The files that are removed, but for those that are written anew."""
        found = [each for path in self._outermost() for each in _files(self.folder / path)]
        paths = [file.relative_to(self.folder).as_posix() for file in found]
        return [path for path in paths if path not in self.files]

    def _outermost(self) -> list[str]:
        """What is removed, but for what is in something else that is."""
        paths = dict.fromkeys(map(PurePosixPath, self.removed))
        return [str(path) for path in paths if paths.keys().isdisjoint(path.parents)]


def alone(folder: Path) -> AbstractContextManager[None]:
    """Keep other adoptions of a project away, and runs where it usually has its data."""
    return alone_in((folder / RAW).parent)


def put_back(folder: Path) -> bool:
    """Give back what a change that was stopped halfway has taken; whether there was one.

    It may be stopped itself, and called again.

    Raises:
        ProjectError: if it was not stopped, but is at work.
    """
    if not any((folder / stage).exists() for stage in STAGES):
        return False
    with alone(folder):
        return _put_back(folder)


def _put_back(folder: Path) -> bool:
    if not (folder / STAGE / JOURNAL).exists():
        _forget(folder)
        return False
    journal = json.loads((folder / STAGE / JOURNAL).read_bytes())
    for path in journal["added"]:
        (folder / path).unlink(missing_ok=True)
    for path in journal["removed"]:
        if os.path.lexists(removed := _staged(folder, REMOVED, path)):
            # what has been written there is among what follows, or comes from elsewhere
            _delete(folder / path)
            removed.rename(_parent(folder / path))
    for path in journal["kept"]:
        if os.path.lexists(old := _staged(folder, OLD, path)):
            old.replace(_parent(folder / path))
    _forget(folder)
    return True


def _staged(folder: Path, state: str, path: str) -> Path:
    """Where a file is until it is in its place: raw data may be on a disk of its own."""
    stage = STAGES[path.startswith(f"{RAW}/")]
    return folder / stage / state / path


def _forget(folder: Path) -> None:
    """Without the journal, nothing of it counts any more."""
    (folder / STAGE / JOURNAL).unlink(missing_ok=True)
    for stage in STAGES:
        _delete(folder / stage)


def _delete(path: Path) -> None:
    """Delete a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _files(path: Path) -> list[Path]:
    """The files at a path and below, but for what Python compiles; links are followed nowhere."""
    if path.is_dir() and not path.is_symlink():
        return sorted(each for each in path.rglob("*") if _is_file(each) and each.suffix != ".pyc")
    return [path] if _is_file(path) else []


def _is_file(path: Path) -> bool:
    return path.is_file() or path.is_symlink()


def _plain(text: str) -> str:
    """A text whatever its line ends are, as it is read."""
    return text.replace("\r\n", "\n")


def _diff(path: str, before: str | None, after: str) -> Iterator[str]:
    told = f"a/{path}" if before is not None else "/dev/null"
    old, new = (text.splitlines(keepends=True) for text in (before or "", after))
    yield from difflib.unified_diff(old, new, told, f"b/{path}")


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
