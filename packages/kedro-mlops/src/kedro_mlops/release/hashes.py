"""What the folder of a Bento, or of a model, in BentoML's store holds, as a hash."""

from pathlib import Path

from kedro_mlops.core.files import hash_files

# what Python makes of code when it runs, wherever it may write
COMPILED = "__pycache__"


def folder_hash(folder: Path) -> str:
    """SHA-256 of the names and contents of the files in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and COMPILED not in path.parts]
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    return hash_files(repr(names), files)
