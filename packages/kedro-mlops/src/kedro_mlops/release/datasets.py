"""Kedro datasets of what BentoML builds from, and of what it has built."""

from pathlib import Path
from typing import Any, Never

import yaml
from kedro.io import AbstractDataset, DatasetError

from kedro_mlops.core.datasets import ModelJSONDataset
from kedro_mlops.core.files import hash_files
from kedro_mlops.core.storage import on_store, place
from kedro_mlops.models.kept_bentos import send
from kedro_mlops.models.released import store_files
from kedro_mlops.runtime.serving_spec import hash_of

from .artefacts import ProvenRelease


class ReleaseDataset(ModelJSONDataset):
    """A proven release, as a file that says which Bento in BentoML's store it is.

    On a store, the Bento itself is kept beside, for machines that have not built it.

    Args:
        filepath: The file, or its URL.
        model: Import path of the release's class.
        metadata: Ignored by Kedro, read by plugins.
    """

    def __init__(
        self, *, filepath: str, model: str, metadata: dict[str, Any] | None = None
    ) -> None:
        # without it, `kedro catalog resolve-patterns` cannot write how it was made
        super().__init__(filepath=filepath, model=model, metadata=metadata)
        self._place = place(filepath)

    def save(self, data: ProvenRelease) -> None:
        """Write the file, when its Bento is where others find it."""
        if on_store(self._place):
            send(data.bento, self._place.parent)
        super().save(data)

    def fingerprint(self) -> str:
        """Hash of the file, and of how its Bento and models are described in the store."""
        if not self._place.exists():
            return ""
        release = self.load()
        tags = filter(None, [release.model, release.challenger])
        described = store_files(release.bento, tags)
        missing = [str(path) for path in described if not path.exists()]
        said = hash_of(self._place.read_bytes())
        return hash_files(f"{missing} {said}", filter(Path.exists, described))


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
