"""Where the project is, wherever a command is typed or a scheduler starts it."""

import importlib
from pathlib import Path
from types import ModuleType

from kedro.framework import project as kedro_project
from kedro.utils import find_kedro_project, is_kedro_project

_opened: list[Path] = []


def open_project(folder: Path) -> None:
    """Take a folder, that of the newest session, for the project from now on."""
    _opened[:] = [folder.resolve()]


def owners_module(name: str) -> ModuleType:
    """A module of the project's own package, which Kedro knows the name of."""
    return importlib.import_module(f"{kedro_project.PACKAGE_NAME}.{name}")


def project_folder() -> Path:
    """The project of the newest session; before there is one, that of this code.

    An installed wheel lies in no project: its project is that of the working directory.
    """
    if _opened:
        return _opened[0]
    own = Path(__file__).resolve().parents[2]
    return own if is_kedro_project(own) else Path(find_kedro_project(Path.cwd()) or Path.cwd())
