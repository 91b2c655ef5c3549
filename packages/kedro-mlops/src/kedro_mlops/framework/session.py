"""Kedro's session and logging, for commands that are not typed in the project's folder."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from kedro.framework.context import KedroContext
from kedro.framework.context.context import _convert_paths_to_absolute_posix
from kedro.framework.project import LOGGING
from kedro.framework.session import KedroSession
from kedro.io import DataCatalog

from kedro_mlops.core.project import project_folder


def data_folder(context: KedroContext) -> Path:
    """Where an environment keeps what its runs make."""
    folder: str = context.config_loader["globals"]["data"]
    return context.project_path / folder


def file_of(context: KedroContext, entry: str) -> Path:
    """The file or folder of a catalog entry, without the imports of its dataset."""
    path: str = context.config_loader["catalog"][entry]["filepath"]
    return context.project_path / path


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
