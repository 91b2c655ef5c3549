"""Kedro's configuration, of which a run may change the globals too."""

import os
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf
from yaml import YAMLError

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.storage import is_url

GLOBALS = "globals"


class ProjectConfigLoader(OmegaConfigLoader):
    """Takes the runtime parameter ``globals`` for what it says, e.g. another folder of artefacts.

    ``kedro run --params globals.data=data/scratch`` keeps a run apart from all others. What lasts
    is below ``artefacts``: the folder ``data``, or that of this name on the ``store``, so that
    environments are apart there, too.
    """

    def __init__(
        self,
        conf_source: str,
        env: str | None = None,
        runtime_params: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        given = dict(runtime_params or {})
        changed = given.pop(GLOBALS, {})
        super().__init__(conf_source, env, given, **settings)
        self[GLOBALS] = _with_artefacts({**self[GLOBALS], **changed})

    def _read_dir_configs(self, *args: Any, **kwargs: Any) -> Any:
        """Read the files of a folder.

        Raises:
            ProjectError: if one is no YAML; Kedro does not always say which.
        """
        try:
            return super()._read_dir_configs(*args, **kwargs)
        except (YAMLError, UnicodeDecodeError) as error:
            raise ProjectError(_unreadable(Path(self.conf_source)) or str(error)) from error


def _with_artefacts(said: dict[str, Any]) -> dict[str, Any]:
    """Globals that say where what lasts is.

    Raises:
        ProjectError: if there are no such places.
    """
    data, store = said.get("data"), said.get("store")
    if data is None:
        return said
    if is_url(data):
        raise ProjectError(
            f"`data` is {data}, and runs need a folder of this machine: let `store` in globals.yml "
            "be that URL. What lasts is then below it, and `data` is for what a run can make again."
        )
    if store and not is_url(store):
        raise ProjectError(
            f"`store` in globals.yml is {store}, which is no URL such as s3://bucket/prefix. What "
            "is on a disk needs none: let `data` be that folder."
        )
    artefacts = f"{store.rstrip('/')}/{data.strip('/')}" if store else data
    return {"artefacts": artefacts, **said}


def _unreadable(folder: Path) -> str | None:
    """What is wrong with the first file of a configuration that is no YAML, in one sentence."""
    for file in sorted(folder.rglob("*.y*ml")):
        try:
            OmegaConf.load(file)
        except (YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or "it is no text in UTF-8"
            return f"{os.path.relpath(file)}{where}, is no YAML: {problem}."
    return None
