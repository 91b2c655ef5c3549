"""What of a project is only about its example, and goes when a table of the owner's own comes.

Whole paths are declared in ``pyproject.toml``, by the part that they belong to, beside the folders
that have what takes their place::

    [tool.kedro-mlops]
    instead = ["starter/empty"]

    [tool.kedro-mlops.parts]
    example = ["tests/data_engineering", …]

In files that stay, lines are marked: between ``# if example`` and ``# end``, or in pages between
``<!-- if example -->`` and ``<!-- end -->``.
"""

import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .lock import without_unneeded

PYPROJECT, LOCK = "pyproject.toml", "uv.lock"
OF_A_TEMPLATE = ("template", "example")
MARKED = re.compile(
    r"^[ \t]*# if (?P<code>[a-z]+)\r?\n(?P<lines>.*?)^[ \t]*# end\r?\n"
    r"|^<!-- if (?P<page>[a-z]+) -->\r?\n(?P<prose>.*?)^<!-- end -->\r?\n",
    re.MULTILINE | re.DOTALL,
)


def replace_marked(text: str, chosen: Callable[[str, str], str | None]) -> str:
    """Replace what is marked.

    Args:
        text: What a file holds.
        chosen: Gives what is to be there, of a part and the marked lines; None for no change.
    """

    def choose(found: re.Match[str]) -> str:
        lines = found["lines"] or found["prose"] or ""
        replaced = chosen(found["code"] or found["page"], lines)
        return found[0] if replaced is None else replaced

    return MARKED.sub(choose, text)


def declared_parts(folder: Path) -> dict[str, list[str]]:
    """The paths of each part of a project that may go, as far as it declares any."""
    parts: dict[str, list[str]] = _declared(folder).get("parts", {})
    return parts


def without_example(folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """What becomes of a project without its example, and without what a template has for itself.

    Returns:
        The files that hold something else, by their paths; and what there is to remove.
    """
    parts = declared_parts(folder)
    declared = [path for part in OF_A_TEMPLATE for path in parts.get(part, [])]
    gone = tuple(path for path in declared if (folder / path).exists())
    staying = [path for path in files_in_git(folder) if not _is_of(path, gone)]
    files = _unmarked(folder, staying) | _instead(folder)
    if PYPROJECT in files and LOCK in staying:
        before = _text(folder / PYPROJECT)
        files[LOCK] = without_unneeded(_text(folder / LOCK), before, files[PYPROJECT])
    return files, gone


def _declared(folder: Path) -> dict[str, Any]:
    tools = tomllib.loads(_text(folder / PYPROJECT))["tool"]
    declared: dict[str, Any] = tools.get("kedro-mlops", {})
    return declared


def _instead(folder: Path) -> dict[str, str]:
    """What takes the place of others."""
    homes = [folder / home for home in _declared(folder).get("instead", [])]
    return {
        file.relative_to(home).as_posix(): _text(file)
        for home in homes
        for file in home.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }


def _unmarked(folder: Path, paths: list[str]) -> dict[str, str]:
    """The files that have something marked in them, without it."""
    found = {}
    for path in paths:
        if (folder / path).is_symlink():  # what it leads to is another file, or of others
            continue
        try:
            text = _text(folder / path)
        except UnicodeDecodeError:  # a picture, a table: nothing is marked in what is no text
            continue
        left = replace_marked(text, lambda part, _: "" if part in OF_A_TEMPLATE else None)
        if left != text:
            found[path] = left
    return found


def _text(file: Path) -> str:
    """What a file holds, with the line ends that it has."""
    return file.read_bytes().decode()


def files_in_git(folder: Path, *options: str) -> list[str]:
    """The files that git lists in a folder, those that it tracks if no options say otherwise."""
    command = ["git", "ls-files", "-z", *options]  # without -z, odd names are in quotes
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)  # noqa: S603
    paths = os.fsdecode(done.stdout).split("\0")
    return [path for path in paths if (folder / path).is_file()]


def _is_of(path: str, gone: tuple[str, ...]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in gone)
