"""Whether anything has changed at all, asked before pipelines and their libraries are imported."""

from typing import Any

import msgspec
from kedro.config import MissingConfigException
from kedro.framework import project as kedro_project
from kedro.framework.context import KedroContext
from kedro.framework.context.context import _convert_paths_to_absolute_posix
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from kedro_mlops.framework.session import data_folder

from .code_index import UnknownError, code_index
from .fingerprints import FileHashes, Fingerprints, by_name, digest, environment, plain
from .records import Records, WholeRun


def begin_whole_run(records: Records, configured: str) -> WholeRun:
    """What a run is made of that begins, before anything of that is edited.

    Args:
        records: To which hashes of files are added.
        configured: Its configuration, as ``hash_configuration`` says it.
    """
    packages = code_index(kedro_project.PACKAGE_NAME).read()
    return WholeRun("", packages, _made_of(records, configured, packages), {}, {})


def end_whole_run(begun: WholeRun, now: Fingerprints, kept: list[str], ended_at: str) -> WholeRun:
    """A run that has left nothing to do, to be told from what is there later.

    Args:
        begun: As it began.
        now: What there is.
        kept: The datasets that outlive the run, but for those that are code.
        ended_at: When it ended, in ISO 8601.
    """
    told = {name: found for name in kept if (found := now.told_by(name)) is not None}
    files = {name: now.of_files(name) for name in kept if name not in told}
    return msgspec.structs.replace(begun, ended_at=ended_at, files=files, told=told)


def unchanged_since(context: KedroContext, asked: str) -> str | None:
    """When such a run ended, if nothing has changed since; if in doubt, none."""
    records = Records.read(data_folder(context))
    whole = records.whole.get(asked)
    if whole is None:
        return None
    try:
        return whole.ended_at if _is_as_it_was(context, records, whole) else None
    except UnknownError:
        return None


def _is_as_it_was(context: KedroContext, records: Records, whole: WholeRun) -> bool:
    if whole.made_of != _made_of(records, hash_configuration(context), whole.packages):
        return False
    entries = _convert_paths_to_absolute_posix(
        context.project_path, _configured(context, "catalog")
    )
    catalog = DataCatalog.from_config(entries, _configured(context, "credentials"))
    code = code_index(kedro_project.PACKAGE_NAME)
    now = Fingerprints(Pipeline([]), catalog, code, records, None)
    return all(now.of_files(name) == found for name, found in whole.files.items()) and all(
        now.told_by(name) == found for name, found in whole.told.items()
    )


def hash_configuration(context: KedroContext) -> str:
    """Hash of the parameters and of the catalog."""
    return digest(
        [by_name(plain(_configured(context, kind))) for kind in ("parameters", "catalog")]
    )


def _configured(context: KedroContext, kind: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = context.config_loader[kind]
    except MissingConfigException:  # there need be none
        return {}
    return found


def _made_of(records: Records, configured: str, packages: list[str]) -> str:
    """Hash of the configuration, the environment and the code of some packages."""
    files, code = FileHashes(records.files), code_index(kedro_project.PACKAGE_NAME)
    sources = [files.of(str(path)) for path in code.sources(packages)]
    return digest([configured, environment(), sources])
