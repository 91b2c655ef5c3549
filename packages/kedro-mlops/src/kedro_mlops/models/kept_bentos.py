"""Bentos that are kept on a store, for machines that have not built them."""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_mlops.core.errors import ProjectError

from .released import bento_folder, bentoml_home, model_folder, models_at, models_of, spec_of

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger(__name__)

# where models are, beside the champion
FOLDER = "bentos"


def send(release: str, models: "UPath") -> None:
    """Keep a Bento of this machine's store, with its models, unless it is kept already."""
    import bentoml  # noqa: PLC0415 - heavy

    kept = _file(release, models)
    if kept.exists():
        return
    with tempfile.TemporaryDirectory(prefix="bento-") as scratch:
        packed = Path(bentoml.export_bento(release, f"{scratch}/{kept.name}"))
        kept.fs.pipe_file(kept.path, packed.read_bytes())


def fetch(release: str, models: "UPath") -> None:
    """Bring a Bento into this machine's store, if it is not there and is kept."""
    if _is_whole(release) or not (kept := _file(release, models)).exists():
        return
    from filelock import FileLock  # noqa: PLC0415 - a service that follows no store is without

    # each worker of a service fetches by itself
    home = bentoml_home()
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / f".{kept.name}.lock"):
        if not _is_whole(release):
            logger.info("Fetching %s from %s", release, models)
            # what was killed has left a half
            shutil.rmtree(bento_folder(release), ignore_errors=True)
            _import(kept)


def _import(kept: "UPath") -> None:
    import bentoml  # noqa: PLC0415 - heavy

    with tempfile.TemporaryDirectory(prefix="bento-") as scratch:
        packed, unpacked = Path(scratch) / kept.name, Path(scratch) / "unpacked"
        packed.write_bytes(kept.read_bytes())
        shutil.unpack_archive(packed, unpacked, "gztar", filter="data")
        for model in models_at(unpacked):
            known = model_folder(f"{model.parent.name}:{model.name}")
            if not _is_right(known):  # BentoML takes a folder that is there for a whole model
                shutil.rmtree(known, ignore_errors=True)
        bentoml.import_bento(str(unpacked), "folder")


def _is_whole(release: str) -> bool:
    try:
        return all(map(_is_right, models_of(release)))
    except ProjectError:
        return False


def _is_right(model: Path) -> bool:
    try:
        spec_of(model)
    except ProjectError:
        return False
    return True


def _file(release: str, models: "UPath") -> "UPath":
    return models / FOLDER / f"{release.replace(':', '-')}.bento"
