"""Values that configuration files may ask for with ``${name:argument}``."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from kedro_mlops.core.project import project_folder

UNKNOWN = "unknown"


def package_file(package: str, file: str) -> str:
    """Path of a data file inside an installed package, which is located but not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"The package '{package}' that holds '{file}' is not installed; run `uv sync --frozen`."
        )
    return str(Path(spec.origin).parent / file)


def git_commit() -> str:
    """The commit the code is at, with ``-dirty`` where files differ from it.

    Where there is no history, as in an image, ``GIT_COMMIT`` says it.
    """
    told = environment("GIT_COMMIT", UNKNOWN)
    git = shutil.which("git")
    if git is None:
        return told
    described = subprocess.run(  # noqa: S603
        [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=project_folder(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    return described.stdout.strip() or told


def file_sha256(file: str) -> str:
    """SHA-256 of a file of the project."""
    path = project_folder() / file
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else UNKNOWN


def environment(variable: str, default: str) -> str:
    """An environment variable, or what is taken where it is not set."""
    return os.environ.get(variable) or default


RESOLVERS: dict[str, Callable[..., str]] = {
    resolver.__name__: resolver for resolver in (package_file, git_commit, file_sha256, environment)
}
