"""What was written for an owner, by its hashes: a file that is no longer like that is an edit."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

RECORD = ".adopted.json"


def record(
    folder: Path, files: Mapping[str, str], copies: Mapping[str, Path], gone: Iterable[str]
) -> str:
    """What ``RECORD`` says once files are written, and others are gone.

    Args:
        folder: The project.
        files: What they hold, by their paths in it.
        copies: Files that hold what others will, by the paths of those.
        gone: Paths of which nothing is said any more.
    """
    hashes = _recorded(folder)
    for path in gone:
        hashes.pop(path, None)
    hashes |= {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
    hashes |= {path: _hash(file) for path, file in copies.items()}
    return f"{json.dumps(dict(sorted(hashes.items())), indent=2)}\n"


def edited(folder: Path, paths: Iterable[str]) -> list[str]:
    """Those files that hold what nobody wrote for the owner.

    A file that is not there is none. One that is not on record is unless git has it as it is: of a
    project that is cloned nothing is recorded.
    """
    known = _recorded(folder)

    def is_edited(path: str) -> bool:
        if path in known:
            return known[path] != _hash(folder / path)
        return not _is_as_committed(folder, path)

    return [path for path in paths if os.path.lexists(folder / path) and is_edited(path)]


def _recorded(folder: Path) -> dict[str, str]:
    file = folder / RECORD
    hashes: dict[str, str] = json.loads(file.read_text()) if file.is_file() else {}
    return hashes


def _hash(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return ""  # nobody has written such for the owner
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_as_committed(folder: Path, path: str) -> bool:
    """Whether git tracks a file and has nothing new in it."""
    return _git(folder, "ls-files", "--error-unmatch", "--", path) and _git(
        folder, "diff", "--quiet", "HEAD", "--", path
    )


def _git(folder: Path, *command: str) -> bool:
    # a path may have brackets or stars in it, which are no pattern then
    whole = ["git", "--literal-pathspecs", *command]
    done = subprocess.run(whole, cwd=folder, capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0
