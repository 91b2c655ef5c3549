"""Paths that may have patterns in them, as those of a catalog.

As far as there is something by that very name, it is that: a folder may be called ``sales[1]``.
"""

import glob
import os
import re
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path


def for_spark(path: str) -> str:
    """A path as a pattern that finds nothing else, as Hadoop's file systems read it."""
    return re.sub(r"([*?\[\]{}\\])", r"\\\1", path)


def as_pattern(path: str, escape: Callable[[str], str] = glob.escape) -> str:
    """A pattern that finds what a path is meant to find.

    Args:
        path: The path.
        escape: By which a path becomes a pattern that finds nothing else.
    """
    there, others = _split(path)
    return str(Path(escape(str(there)), *others))


def find(path: str) -> list[str]:
    """What a path finds; if it has no pattern, itself or nothing."""
    return sorted(glob.glob(as_pattern(path), recursive=True))  # noqa: PTH207 - may be absolute


def n_said(path: str) -> int:
    """How many parts a path says of what it finds: those before the first pattern."""
    there, others = _split(path)
    return len(there.parts) + len([*takewhile(lambda part: not glob.has_magic(part), others)])


def _split(path: str) -> tuple[Path, tuple[str, ...]]:
    """As much of a path as is there, and the parts after it."""
    there = Path(path)
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    return there, Path(path).parts[len(there.parts) :]
