"""What adoption changes in a project, to be looked at before it is done; all of it, or nothing."""

import difflib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.files import new_file, new_folder

from .written import edited, record

STAGED = ".adopting-"


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
        """Write, remove, and remember what was written; all as it was if that fails."""
        with tempfile.TemporaryDirectory(prefix=STAGED, dir=self.folder) as scratch:
            staged, kept = Path(scratch) / "staged", Path(scratch) / "kept"
            for path, text in self.files.items():
                _parent(staged / path).write_text(text, encoding="utf-8")
            gone = self._gone()
            moved: list[str] = []
            placed: list[str] = []
            try:
                for path in [*self.removed, *self.files]:
                    if (self.folder / path).exists():
                        (self.folder / path).rename(_parent(kept / path))
                        moved.append(path)
                for path in self.files:
                    (staged / path).rename(_parent(self.folder / path))
                    placed.append(path)
                record(self.folder, [*self.files, *gone])
            except BaseException:
                self._put_back(placed, moved, kept)
                raise

    def _put_back(self, placed: list[str], moved: list[str], kept: Path) -> None:
        """Take away what was placed, and give back what was moved."""
        for path in placed:
            (self.folder / path).unlink()
        for path in moved:
            if (self.folder / path).is_dir():
                shutil.rmtree(self.folder / path)
            (kept / path).rename(_parent(self.folder / path))

    def _before(self, path: str) -> str | None:
        file = self.folder / path
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def _gone(self) -> list[str]:
        """The files that are removed, but for those that are written anew."""
        found = [each for path in self.removed for each in _files(self.folder / path)]
        paths = [file.relative_to(self.folder).as_posix() for file in found]
        return [path for path in paths if path not in self.files]


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
