from dataclasses import replace

import numpy as np
import pytest
from example.factories import of_another_scikit_learn, write_bento, write_labels

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.datasets import ModelPackageDataset
from kedro_mlops.models.package import UnloadableError, is_mute
from kedro_mlops.models.released import model_folder, models_of, spec_of
from kedro_mlops.models.stand_in import with_stand_in
from kedro_mlops.runtime.serving_spec import SPEC, TREES, hash_of

BENTO = "bento:1"
MODEL = "model:1"


@pytest.fixture
def home(monkeypatch, tmp_path):
    """BentoML's home, with a Bento of one model, which it does not have."""
    folder = tmp_path / "bentoml"
    monkeypatch.setenv("BENTOML_HOME", str(folder))
    write_bento(folder, BENTO, MODEL)
    return folder


@pytest.fixture
def stored(released, home):
    """The release of trees in BentoML's store: the folder of its model."""
    folder = home / "models/model/1"
    folder.mkdir(parents=True)
    for path in released[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    write_labels(folder, hash_of((folder / SPEC).read_bytes()))
    return folder


@pytest.fixture
def champion(boosted):
    """The model of the release, after scikit-learn was upgraded."""
    return of_another_scikit_learn(boosted.with_record(release=BENTO))


def test_the_trees_of_its_release_answer_for_a_model_that_cannot_be_loaded(
    stored, champion, boosted, real_rows, tmp_path
):
    ModelPackageDataset(filepath=str(tmp_path / "champion")).save(champion)

    back = ModelPackageDataset(filepath=str(tmp_path / "champion")).load()

    np.testing.assert_allclose(back.score(real_rows), boosted.score(real_rows), atol=1e-9)
    assert back.metadata == champion.metadata


def test_a_model_that_can_be_loaded_needs_no_release(boosted):
    package = boosted.with_record(release=BENTO)

    assert with_stand_in(package) is package


def test_a_candidate_has_no_release_yet(champion, stored):
    assert is_mute(with_stand_in(champion.with_record(release=None)).estimator)


def test_the_release_of_another_model_does_not_answer(champion, stored):
    assert is_mute(with_stand_in(champion.with_record(version="another")).estimator)


@pytest.mark.parametrize("damage", ["tree", "label", "bento"])
def test_a_release_that_is_not_what_was_released_does_not_answer(
    stored, champion, real_rows, damage, caplog
):
    if damage == "tree":
        (stored / TREES).write_bytes(b"other")
    elif damage == "label":
        (stored / "model.yaml").write_text("labels: {}")
    release = "bento:lost" if damage == "bento" else BENTO

    package = with_stand_in(champion.with_record(release=release))

    assert caplog.text
    with pytest.raises(UnloadableError, match="kedro champion promote"):
        package.score(real_rows)


@pytest.mark.parametrize("said", ["${HOME}/bentoml", None])
def test_the_store_is_where_bentoml_has_it(stored, released, said, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    if said:
        monkeypatch.setenv("BENTOML_HOME", said)
    else:
        monkeypatch.delenv("BENTOML_HOME")

    assert models_of(BENTO) == [model_folder(MODEL)] == [stored]
    assert spec_of(stored) == released[1]


def test_a_release_that_is_not_there_is_named_with_the_next_step(home):
    with pytest.raises(ProjectError, match=r"bento/2/bento\.yaml is missing.*pipelines=release"):
        models_of("bento:2")


def test_a_model_that_is_not_there_is_named_with_the_next_step(home):
    [folder] = models_of(BENTO)

    with pytest.raises(ProjectError, match=r"model/1/model\.yaml is missing.*pipelines=release"):
        spec_of(folder)


@pytest.mark.parametrize("content", [b"", b"services: [", b"\xff\x00", b"services: [{models: 1}]"])
def test_a_release_that_is_damaged_is_named_with_the_next_step(home, content):
    (home / "bentos/bento/1/bento.yaml").write_bytes(content)

    with pytest.raises(ProjectError, match=r"1/bento\.yaml cannot be read.*pipelines=release"):
        models_of(BENTO)


def test_what_stands_in_travels_no_further_than_the_run(stored, champion, tmp_path):
    asked = with_stand_in(champion)

    asked.write(tmp_path)

    assert (tmp_path / "model.skops").read_bytes() == champion.estimator.data
    assert replace(asked.estimator, stand_in=None) == champion.estimator
