"""The release that a champion serves by: whether it is whole, and how another store gets it."""

import logging
import shutil
import tempfile
from pathlib import Path

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.storage import on_store
from kedro_mlops.models.hashes import COMPILED, folder_hash, is_as_proven
from kedro_mlops.models.kept_bentos import fetch
from kedro_mlops.models.metadata import Metadata
from kedro_mlops.models.released import (
    BUILD_AGAIN,
    bento_folder,
    bentoml_home,
    model_folder,
    models_of,
    spec_of,
)

from .history import Catalog, Saved, champions

logger = logging.getLogger(__name__)

STAYS = "Nothing has changed."


def bring_release(champion: Saved) -> None:
    """Fetch the release from the store that a champion is on, if another machine has built it."""
    metadata = champion.metadata
    if metadata.release and on_store(champion.folder):
        try:
            fetch(metadata.release, champion.folder.parents[2], metadata.release_sha256)
        except ProjectError as error:
            # it may be built again; that it is not here, who needs it finds
            logger.warning("%s", error)


def release_problem(metadata: Metadata, home: Path | None = None) -> str | None:
    """Why a champion's release cannot serve as it is; nothing if it can.

    It is looked for in BentoML's store, or in that of another home.
    """
    try:
        specs = [spec_of(model) for model in models_of(str(metadata.release), home)]
    except ProjectError as error:
        return str(error)
    served = [(spec.model_version, spec.rule) for spec in specs]
    if (metadata.version, metadata.rule) not in served:
        return (
            f"The release {metadata.release} in BentoML's store holds another model. {BUILD_AGAIN}"
        )
    return None


def release_of(catalog: Catalog) -> str:
    """Which Bento the champion is.

    Raises:
        ProjectError: if there is no champion, or its release cannot serve as it is.
    """
    champion = champions(catalog)[0]
    bring_release(champion)
    if problem := release_problem(champion.metadata):
        raise ProjectError(problem)
    return str(champion.metadata.release)


def check_files(metadata: Metadata, home: Path) -> None:
    """Refuse a Bento with other files than those that were proven; its models say so themselves."""
    folder, proven = bento_folder(str(metadata.release), home), metadata.release_sha256
    if not is_as_proven(folder, proven):
        raise ProjectError(
            f"The files in {folder} are not those that were proven. {STAYS} Remove it, `bentoml "
            f"delete {metadata.release}`, and release it again: `kedro run --pipelines=release`."
        )


def carry(release: str, home: Path) -> None:
    """Copy a Bento, after its models, into BentoML's store, unless that has it.

    Raises:
        ProjectError: if it has another one of that name.
    """
    if home == bentoml_home():
        return
    pairs = [
        *((folder, model_folder(_tag(folder))) for folder in models_of(release, home)),
        (bento_folder(release, home), bento_folder(release)),
    ]
    for there, here in pairs:
        if here.exists():
            if folder_hash(there) != folder_hash(here):
                raise ProjectError(
                    f"{here} is another one than {there}, of the same name. {STAYS} Remove it, "
                    f"`bentoml delete {release}` or `bentoml models delete {_tag(here)}`, and "
                    "promote again."
                )
        else:
            _copy(there, here)


def _copy(there: Path, here: Path) -> None:
    """Copy a folder, which appears in the store only when it is complete."""
    # BentoML takes for a version whatever is beside one
    scratch = bentoml_home() / "tmp"
    for folder in (scratch, here.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as staging:
        staged = Path(staging) / here.name
        shutil.copytree(there, staged, ignore=shutil.ignore_patterns(COMPILED))
        staged.rename(here)


def _tag(folder: Path) -> str:
    """The name and version of what a store keeps in a folder."""
    return f"{folder.parent.name}:{folder.name}"
