"""What was written for an owner, by its hashes: a file that is no longer like that is an edit."""

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..core.files import hash_files

RECORD = ".adopted.json"


def record(folder: Path, files: Mapping[str, str], gone: Iterable[str] = ()) -> str:
    """What ``RECORD`` says once files are written, and others are gone.

    Args:
        folder: The project.
        files: What they hold, by their paths in it.
        gone: Paths of which nothing is said any more.
    """
    hashes = _recorded(folder)
    for path in gone:
        hashes.pop(path, None)
    hashes |= {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
    return f"{json.dumps(dict(sorted(hashes.items())), indent=2)}\n"


def edited(folder: Path, paths: Iterable[str]) -> list[str]:
    """Those files that hold what nobody wrote for the owner.

    A file that is not there is none. One that is not on record is unless git has it as it is: of a
    project that is cloned nothing is recorded.
    """
    known = _recorded(folder)
    return [
        path
        for path in paths
        if (folder / path).exists()
        and known.get(path) != _hash(folder / path)
        and (path in known or not _is_as_committed(folder, path))
    ]


def _recorded(folder: Path) -> dict[str, str]:
    file = folder / RECORD
    hashes: dict[str, str] = json.loads(file.read_text()) if file.is_file() else {}
    return hashes


def _hash(path: Path) -> str:
    return hash_files("", [path])


def _is_as_committed(folder: Path, path: str) -> bool:
    """Whether git tracks a file and has nothing new in it."""
    return _git(folder, "ls-files", "--error-unmatch", path) and _git(
        folder, "diff", "--quiet", "HEAD", "--", path
    )


def _git(folder: Path, *command: str) -> bool:
    done = subprocess.run(["git", *command], cwd=folder, capture_output=True, check=False)  # noqa: S603, S607
    return done.returncode == 0
