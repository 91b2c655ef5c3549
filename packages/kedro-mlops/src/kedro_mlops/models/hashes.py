"""What the folder of a Bento, or of a model, in BentoML's store holds, as a hash."""

from collections.abc import Container
from pathlib import Path

from kedro_mlops.core.files import hash_files

# what Python makes of code when it runs, wherever it may write
COMPILED = "__pycache__"
# where a Bento has its models inside that is packed, or is just being packed
INSIDE = "models"


def folder_hash(folder: Path, without: Container[str] = ()) -> str:
    """SHA-256 of the names and contents of the files in a folder.

    Args:
        folder: Of files.
        without: What is passed over, by its name just below the folder.
    """
    files = [path for path in folder.rglob("*") if path.is_file() and COMPILED not in path.parts]
    named = {path.relative_to(folder): path for path in files}
    kept = {name: path for name, path in named.items() if name.parts[0] not in without}
    return hash_files(repr(sorted(name.as_posix() for name in kept)), kept.values())


def bento_hash(bento: Path) -> str:
    """SHA-256 of the files of a Bento, wherever its models are."""
    return folder_hash(bento, without=(INSIDE,))


def is_as_proven(bento: Path, proven: str | None) -> bool:
    """Whether a Bento has the files that were proven; by None, it is not known which."""
    # none is of champions from before it was recorded
    return proven is None or bento_hash(bento) == proven
