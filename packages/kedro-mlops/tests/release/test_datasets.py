from pathlib import Path
from typing import Any

import pytest
from kedro.io import DatasetError

from kedro_mlops.models.released import bento_folder, model_folder
from kedro_mlops.release.artefacts import ProvenRelease
from kedro_mlops.release.datasets import BentoFilesDataset, ReleaseDataset

from .test_nodes import write_bento

RELEASE = ProvenRelease(
    bento="my-bento:1", model="model:1", engine="compiled trees", challenger=None, labels={},
    rows_compared=1, features_compared=[], largest_difference=0.0, tolerance=0.1,
)  # fmt: skip
BUILD = """
include: [src/service.py]
docker: {dockerfile_template: Dockerfile.j2}
"""


def test_a_release_is_another_one_when_its_bento_or_model_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    write_bento(tmp_path, "my-bento:1", "model:1")
    (model := model_folder("model:1")).mkdir(parents=True, exist_ok=True)
    (model / "model.yaml").write_text("labels: {}")
    dataset = ReleaseDataset(
        filepath=str(tmp_path / "release.json"), model=f"{ProvenRelease.__module__}.ProvenRelease"
    )
    unmade = dataset.fingerprint()
    dataset.save(RELEASE)

    whole, again = dataset.fingerprint(), dataset.fingerprint()
    (bento_folder("my-bento:1") / "bento.yaml").unlink()
    without_bento = dataset.fingerprint()
    (model / "model.yaml").unlink()

    assert whole == again
    assert len({unmade, whole, without_bento, dataset.fingerprint()}) == 4


@pytest.mark.parametrize("file", ["bentofile.yaml", "src/service.py", "Dockerfile.j2"])
def test_what_bentoml_takes_is_another_thing_when_any_of_its_files_is(
    tmp_path: Path, file: str
) -> None:
    (tmp_path / "src").mkdir()
    for name in ("src/service.py", "Dockerfile.j2", "src/other.py"):
        (tmp_path / name).write_text("as it was")
    (tmp_path / "bentofile.yaml").write_text(BUILD)
    dataset = BentoFilesDataset(filepath=str(tmp_path / "bentofile.yaml"))
    before = dataset.load()
    (tmp_path / "src/other.py").write_text("anything")
    with_another = dataset.load()

    (tmp_path / file).write_text(BUILD.replace("include", "exclude: []\ninclude"))

    assert with_another == before != dataset.load() == dataset.fingerprint()


def test_what_bentoml_takes_is_not_saved(tmp_path: Path) -> None:
    dataset: Any = BentoFilesDataset(filepath=str(tmp_path / "bentofile.yaml"))

    with pytest.raises(DatasetError, match="written by people"):
        dataset.save("a hash")
