"""What BentoML does, as far as it counts, when a Bento leaves its store or comes into it."""

import io
import shutil
import tarfile
from pathlib import Path
from typing import Literal

import pytest
import yaml

from kedro_mlops.models.released import bento_folder, bentoml_home, models_at, models_of


def packed(bento: Path, *models: Path, compression: Literal["xz", "gz"] = "xz") -> bytes:
    """An archive of a Bento, with models inside."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=f"w:{compression}") as archive:
        archive.add(bento, ".")
        for model in models:
            archive.add(model, f"models/{model.parent.name}/{model.name}")
    return content.getvalue()


class BentoML:
    """Its export and import.

    Attributes:
        exported: The Bentos that were exported.
        imported: Those that were imported.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.exported: list[str] = []
        self.imported: list[str] = []
        monkeypatch.setattr("bentoml.export_bento", self._export)
        monkeypatch.setattr("bentoml.import_bento", self._import)

    def _export(self, release: str, path: str) -> str:
        self.exported.append(release)
        Path(path).write_bytes(packed(bento_folder(release), *models_of(release)))
        return path

    def _import(self, folder: str, form: str) -> None:
        assert form == "folder"
        for model in models_at(Path(folder)):
            there = bentoml_home() / "models" / model.parent.name / model.name
            if not there.exists():
                shutil.copytree(model, there)
        described = yaml.safe_load(Path(folder, "bento.yaml").read_text())
        release = f"{described['name']}:{described['version']}"
        self.imported.append(release)
        shutil.copytree(folder, bento_folder(release), ignore=shutil.ignore_patterns("models"))
