"""Bentos that are kept on a store, for machines that have not built them."""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .released import bento_folder

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
    if bento_folder(release).exists() or not (kept := _file(release, models)).exists():
        return
    import bentoml  # noqa: PLC0415 - heavy

    logger.info("Fetching %s from %s", release, models)
    with tempfile.TemporaryDirectory(prefix="bento-") as scratch:
        packed = Path(scratch) / kept.name
        packed.write_bytes(kept.read_bytes())
        try:
            bentoml.import_bento(str(packed))
        except bentoml.exceptions.BentoMLException:
            # another process was quicker
            if not bento_folder(release).exists():
                raise


def _file(release: str, models: "UPath") -> "UPath":
    return models / FOLDER / f"{release.replace(':', '-')}.bento"
