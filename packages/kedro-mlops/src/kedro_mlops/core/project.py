"""Where the project is, wherever a command is typed or a scheduler starts it."""

import importlib
import importlib.util
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from kedro.framework import project as kedro_project
from kedro.utils import find_kedro_project, is_kedro_project

from .errors import ProjectError

_opened: list[Path] = []


def open_project(folder: Path) -> None:
    """Take a folder, that of the newest session, for the project from now on."""
    _opened[:] = [folder.resolve()]


def owners_module(name: str) -> ModuleType:
    """A module of the project's own package, which Kedro knows the name of."""
    return importlib.import_module(f"{kedro_project.PACKAGE_NAME}.{name}")


def project_folder() -> Path:
    """The project of the newest session; before there is one, that of the owner's package.

    An installed wheel lies in no project: its project is that of the working directory.
    """
    if _opened:
        return _opened[0]
    package = kedro_project.PACKAGE_NAME
    spec = importlib.util.find_spec(package) if package else None
    if spec is not None and spec.origin is not None:
        own = Path(spec.origin).resolve().parents[2]
        if is_kedro_project(own):
            return own
    return Path(find_kedro_project(Path.cwd()) or Path.cwd())


def run_in_project(command: Sequence[str], failure: str) -> str:
    """Run a tool in the project's folder, and return what it wrote.

    Raises:
        ProjectError: if it fails; what that means is given, what it said is added.
    """
    done = subprocess.run(  # noqa: S603
        command, cwd=project_folder(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        output = (done.stderr or done.stdout).strip()[-2000:]
        said = f"said:\n{output}" if output else f"said nothing, and ended with {done.returncode}."
        raise ProjectError(f"{failure}: `{Path(command[0]).name}` {said}")
    return done.stdout
