"""Kedro's session and logging, for commands that are not typed in the project's folder."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml
from kedro.framework.context import KedroContext
from kedro.framework.context.context import _convert_paths_to_absolute_posix
from kedro.framework.project import LOGGING
from kedro.framework.session import KedroSession
from kedro.io import DataCatalog

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.project import project_folder
from kedro_mlops.core.storage import Place, configure, on_store, place

if TYPE_CHECKING:
    from upath import UPath


def data_folder(context: KedroContext) -> Path:
    """Where an environment keeps what its runs make, as far as that is on this machine."""
    folder: str = context.config_loader["globals"]["data"]
    return context.project_path / folder


def workplace(context: KedroContext) -> "tuple[Path, UPath | None]":
    """Where one run is at work: the folder, and the place on the store, if there is one."""
    artefacts = place(context.config_loader["globals"].get("artefacts", ""))
    return data_folder(context), artefacts if on_store(artefacts) else None


def file_of(context: KedroContext, entry: str) -> Place:
    """The file or folder of a catalog entry, without the imports of its dataset."""
    return place(context.config_loader["catalog"][entry]["filepath"], context.project_path)


def log_folder(context: KedroContext) -> Path:
    """Where services write what they answer.

    Raises:
        ProjectError: if that is a store, to which nothing can be appended.
    """
    folder = file_of(context, "prediction_log")
    if on_store(folder):
        raise ProjectError(
            f"The service cannot append to {folder}: let `filepath` of `prediction_log` be a "
            "folder of a disk in the catalog. What is ingested of it goes to the store."
        )
    return cast("Path", folder)


def open_store(context: KedroContext) -> None:
    """Let everything that is on the environment's store be opened with its credentials."""
    if store := context.config_loader["globals"].get("store"):
        configure(store, context.config_loader["credentials"].get("store") or {})


def catalog_of(context: KedroContext, entries: Iterable[str]) -> DataCatalog:
    """A catalog of a few entries and no parameters, for each of which Kedro would import Ibis."""
    known = _convert_paths_to_absolute_posix(context.project_path, context.config_loader["catalog"])
    return DataCatalog.from_config(
        {name: known[name] for name in entries}, context.config_loader["credentials"]
    )


class ProjectSession(KedroSession):
    """A session of this project, unless it is told of another one."""

    @classmethod
    def create(
        cls, project_path: Path | str | None = None, *args: Any, **kwargs: Any
    ) -> KedroSession:
        """Create a session; the arguments are Kedro's."""
        return super().create(project_path or project_folder(), *args, **kwargs)


def configure_logging() -> None:
    """Log as conf/logging.yml says; Kedro looks for that in the working directory only."""
    project = project_folder()
    file = project / "conf/logging.yml"
    if Path.cwd() == project or "KEDRO_LOGGING_CONFIG" in os.environ or not file.exists():
        return
    config = yaml.safe_load(file.read_text())
    for handler in config["handlers"].values():
        if "filename" in handler:
            handler["filename"] = str(project / handler["filename"])
    LOGGING.configure(config)
