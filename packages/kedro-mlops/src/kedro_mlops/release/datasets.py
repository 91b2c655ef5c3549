"""Kedro datasets of what BentoML builds from, and of what it has built."""

from pathlib import Path
from typing import Any, Never

import yaml
from kedro.io import AbstractDataset, DatasetError

from kedro_mlops.core.datasets import ModelJSONDataset
from kedro_mlops.core.files import hash_files
from kedro_mlops.models.released import store_files


class ReleaseDataset(ModelJSONDataset):
    """A proven release, as a file that says which Bento in BentoML's store it is.

    Args:
        filepath: The file.
        model: Import path of the release's class.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self, *, filepath: str, model: str, metadata: dict[str, Any] | None = None
    ) -> None:
        # without it, `kedro catalog resolve-patterns` cannot write how it was made
        super().__init__(filepath=filepath, model=model, metadata=metadata)

    def fingerprint(self) -> str:
        """Hash of the file, and of how its Bento and models are described in the store."""
        file = Path(str(self._filepath))
        if not file.exists():
            return ""
        release = self.load()
        tags = filter(None, [release.model, release.challenger])
        described = store_files(release.bento, tags)
        missing = [str(path) for path in described if not path.exists()]
        return hash_files(f"{missing}", [file, *filter(Path.exists, described)])


class BentoFilesDataset(AbstractDataset[Never, str]):
    """What `bentoml build` takes from the project, and how; loading gives a hash of all that.

    Args:
        filepath: The build file, ``bentofile.yaml``; its patterns begin where it is.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> str:
        """Hash the build file, and the names and contents of the files that it names."""
        build = yaml.safe_load(self._path.read_text())
        folder = self._path.parent
        patterns = [*build["include"], build["docker"]["dockerfile_template"]]
        paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
        return hash_files(f"{build} {[path.name for path in paths]}", paths)

    def save(self, data: Never) -> Never:  # noqa: ARG002
        """Refuse: people write these files."""
        raise DatasetError(f"{self._path} is written by people, and so is what it names.")

    def fingerprint(self) -> str:
        """What it loads."""
        return self.load()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
