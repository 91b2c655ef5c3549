"""Whether anything has changed at all, asked before pipelines and their libraries are imported."""

from kedro.framework import project as kedro_project
from kedro.framework.context import KedroContext
from kedro.framework.context.context import _convert_paths_to_absolute_posix
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from kedro_mlops.framework.session import data_folder

from .code_index import UnknownError, code_index
from .fingerprints import FileHashes, Fingerprints, by_name, digest, environment, plain
from .records import Records, WholeRun


def whole_run(
    context: KedroContext, records: Records, now: Fingerprints, kept: list[str], ended_at: str
) -> WholeRun:
    """A run that has left nothing to do, to be told from what is there later.

    Args:
        context: Of the run.
        records: To which hashes of files are added.
        now: What there is.
        kept: The datasets that outlive the run, but for those that are code.
        ended_at: When it ended, in ISO 8601.
    """
    told = {name: found for name in kept if (found := now.told_by(name)) is not None}
    files = {name: now.of_files(name) for name in kept if name not in told}
    packages = code_index(kedro_project.PACKAGE_NAME).read()
    return WholeRun(ended_at, packages, _made_of(context, records, packages), files, told)


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
    if whole.made_of != _made_of(context, records, whole.packages):
        return False
    entries = _convert_paths_to_absolute_posix(
        context.project_path, context.config_loader["catalog"]
    )
    catalog = DataCatalog.from_config(entries, context.config_loader["credentials"])
    code = code_index(kedro_project.PACKAGE_NAME)
    now = Fingerprints(Pipeline([]), catalog, code, records, None)
    return all(now.of_files(name) == found for name, found in whole.files.items()) and all(
        now.told_by(name) == found for name, found in whole.told.items()
    )


def _made_of(context: KedroContext, records: Records, packages: list[str]) -> str:
    """Hash of the configuration, the environment and the code of some packages."""
    loader, files = context.config_loader, FileHashes(records.files)
    sources = code_index(kedro_project.PACKAGE_NAME).sources(packages)
    code = [files.of(str(path)) for path in sources]
    configured = [by_name(plain(loader[kind])) for kind in ("parameters", "catalog")]
    return digest([*configured, environment(), code])
