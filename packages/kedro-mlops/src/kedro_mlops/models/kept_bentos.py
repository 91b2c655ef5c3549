"""Bentos that are kept on a store, for machines that have not built them."""

import contextlib
import gzip
import io
import logging
import lzma
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_mlops.core.errors import ProjectError

from .hashes import bento_hash, folder_hash, is_as_proven
from .released import bento_folder, bentoml_home, model_folder, models_at, models_of, spec_of

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger(__name__)

# where models are, beside the champion
FOLDER = "bentos"
# how an archive says that it is none, or not whole
DAMAGED = (
    tarfile.TarError, EOFError, ValueError, gzip.BadGzipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
CHUNK = 1_000_000


def send(release: str, models: "UPath") -> None:
    """Keep a Bento of this machine's store, with its models, unless just that is kept already.

    Raises:
        ProjectError: if it is not whole.
    """
    import bentoml  # noqa: PLC0415 - heavy

    kept, here = _file(release, models), _hashes(bento_folder(release))
    if kept.exists() and _is_kept(kept, here):
        return
    with tempfile.TemporaryDirectory(prefix="bento-") as scratch:
        packed = Path(bentoml.export_bento(release, f"{scratch}/{kept.name}"))
        kept.fs.pipe_file(kept.path, packed.read_bytes())


def fetch(release: str, models: "UPath", proven: str | None = None) -> None:
    """Bring a Bento into this machine's store, if it is not there, whole, and is kept.

    Args:
        release: Its tag.
        models: Where models are kept.
        proven: What its files hash to, if that is known.

    Raises:
        ProjectError: if what is kept is damaged.
    """
    from filelock import FileLock  # noqa: PLC0415 - a service that follows no store is without

    kept, home = _file(release, models), bentoml_home()
    home.mkdir(parents=True, exist_ok=True)
    # each worker of a service fetches by itself, and what another one brings may look whole before
    # it is
    with FileLock(home / f".{kept.name}.lock"):
        if not _is_whole(release, proven) and kept.exists():
            logger.info("Fetching %s from %s", release, models)
            _bring(kept, release)


def _bring(kept: "UPath", release: str) -> None:
    import bentoml  # noqa: PLC0415 - heavy

    with _unpacked(kept) as unpacked:
        # what was killed has left a half, and BentoML takes a folder that is there for a whole one
        shutil.rmtree(bento_folder(release), ignore_errors=True)
        for model in models_at(unpacked):
            known = model_folder(f"{model.parent.name}:{model.name}")
            if not _is_right(known):
                shutil.rmtree(known, ignore_errors=True)
        bentoml.import_bento(str(unpacked), "folder")


def _is_kept(kept: "UPath", expected: list[str]) -> bool:
    """Whether what is kept is what it is to be."""
    try:
        with _unpacked(kept) as unpacked:
            found = _hashes(unpacked)
    except ProjectError as error:
        logger.warning("%s", error)
        return False
    return found == expected


@contextlib.contextmanager
def _unpacked(kept: "UPath") -> Iterator[Path]:
    """What is kept, whole, in a folder of this machine.

    Raises:
        ProjectError: if it is damaged.
    """
    content = kept.read_bytes()
    with tempfile.TemporaryDirectory(prefix="bento-") as scratch:
        unpacked = Path(scratch) / "unpacked"
        try:
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                archive.extractall(unpacked, filter="data")
                # to its end, where its checksum is
                while archive.fileobj and archive.fileobj.read(CHUNK):
                    pass
        except DAMAGED as error:
            # its own words name the scratch folder, and would be others each time
            raise _damaged(kept, f"it cannot be unpacked ({type(error).__name__})") from error
        try:
            whole = all(map(_is_right, models_at(unpacked)))
        except ProjectError as error:
            raise _damaged(kept, "it has no bento.yaml that can be read") from error
        if not whole:
            raise _damaged(kept, "a model in it is not what was released")
        yield unpacked


def _damaged(kept: "UPath", why: str) -> ProjectError:
    return ProjectError(
        f"{kept} is damaged: {why}. Release the champion again, `kedro run --pipelines=release`, "
        "and it is replaced."
    )


def _hashes(bento: Path) -> list[str]:
    """What a Bento holds, and what each of its models does."""
    return [bento_hash(bento), *map(folder_hash, models_at(bento))]


def _is_whole(release: str, proven: str | None) -> bool:
    try:
        right = all(map(_is_right, models_of(release)))
    except ProjectError:
        return False
    return right and is_as_proven(bento_folder(release), proven)


def _is_right(model: Path) -> bool:
    try:
        spec_of(model)
    except ProjectError:
        return False
    return True


def _file(release: str, models: "UPath") -> "UPath":
    return models / FOLDER / f"{release.replace(':', '-')}.bento"
