"""What adoption changes in a project, to be looked at before it is done; all of it, or nothing."""

import difflib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.files import new_file, new_folder

from .written import RECORD, edited, record

# beside what it will replace: what is new, copies of what is old, and what is removed
STAGE, NEW, OLD, REMOVED = ".adopting", "new", "old", "removed"
# is there as long as what is changed is neither all old nor all new
JOURNAL = "journal.json"


@dataclass(frozen=True)
class Plan:
    """The files of a project that will be others.

    Attributes:
        folder: The project.
        files: What is written, by its path.
        removed: The files and folders that are only about what the project was about before.
    """

    folder: Path
    files: dict[str, str]
    removed: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse to lose what a person has written.

        Raises:
            ProjectError: naming the files.
        """
        new = {path for path, text in self.files.items() if self._before(path) != text}
        mine = edited(self.folder, [*sorted(new), *self._gone()])
        if mine:
            raise ProjectError(
                f"Edited since they were written, or not committed: {', '.join(mine)}. Nothing was "
                "changed. Keep what is yours, and say --force to replace them; --dry-run shows how."
            )

    def diff(self) -> Iterator[str]:
        """All changes, as a unified diff."""
        for path, text in sorted(self.files.items()):
            yield from _diff(path, self._before(path), text)
        for path in self._gone():
            yield f"removed: {path}\n"

    def carry_out(self) -> None:
        """Write, remove, and remember what was written; all as it was if that fails.

        A file is the old one or the new one at any moment. If the process is killed, ``put_back``
        gives back what there was.
        """
        put_back(self.folder)
        files = self.files | {RECORD: record(self.folder, self.files, self._gone())}
        removed = [path for path in self.removed if (self.folder / path).exists()]
        kept = [path for path in files if (self.folder / path).is_file()]
        added = [path for path in files if path not in kept]
        stage = self.folder / STAGE
        for path, text in files.items():
            _parent(stage / NEW / path).write_text(text, encoding="utf-8")
        for path in kept:
            shutil.copy2(self.folder / path, _parent(stage / OLD / path))
        with new_file(stage / JOURNAL) as journal:
            journal.write(json.dumps({"added": added, "kept": kept, "removed": removed}).encode())
        try:
            for path in removed:
                (self.folder / path).rename(_parent(stage / REMOVED / path))
            for path in files:
                (stage / NEW / path).replace(_parent(self.folder / path))
        except BaseException:
            put_back(self.folder)
            raise
        _forget(stage)

    def _before(self, path: str) -> str | None:
        file = self.folder / path
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def _gone(self) -> list[str]:
        """The files that are removed, but for those that are written anew."""
        found = [each for path in self.removed for each in _files(self.folder / path)]
        paths = [file.relative_to(self.folder).as_posix() for file in found]
        return [path for path in paths if path not in self.files]


def put_back(folder: Path) -> bool:
    """Give back what a change that was stopped halfway has taken; whether there was one.

    It may be stopped itself, and called again.
    """
    stage = folder / STAGE
    if not (stage / JOURNAL).exists():
        _forget(stage)
        return False
    journal = json.loads((stage / JOURNAL).read_bytes())
    for path in journal["added"]:
        (folder / path).unlink(missing_ok=True)
    for path in journal["removed"]:
        if (stage / REMOVED / path).exists():
            # what has been written there is among what follows
            if (folder / path).is_dir():
                shutil.rmtree(folder / path)
            (stage / REMOVED / path).rename(_parent(folder / path))
    for path in journal["kept"]:
        if (stage / OLD / path).exists():
            (stage / OLD / path).replace(_parent(folder / path))
    _forget(stage)
    return True


def _forget(stage: Path) -> None:
    """Without the journal, nothing of it counts any more."""
    (stage / JOURNAL).unlink(missing_ok=True)
    if stage.exists():
        shutil.rmtree(stage)


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, which appears under its name only when it is complete."""
    if source.is_dir():
        with new_folder(target) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
    else:
        with source.open("rb") as read, new_file(target) as written:
            shutil.copyfileobj(read, written)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(
            file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts
        )
    return [path] if path.exists() else []


def _diff(path: str, before: str | None, after: str) -> Iterator[str]:
    told = f"a/{path}" if before is not None else "/dev/null"
    old, new = (text.splitlines(keepends=True) for text in (before or "", after))
    yield from difflib.unified_diff(old, new, told, f"b/{path}")


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
