from dataclasses import replace
from types import SimpleNamespace

import bentoml.bentos
import bentoml.models
import numpy as np
import pytest
from bentoml.exceptions import NotFound

from flight_delays.datasets import ModelPackageDataset
from flight_delays.errors import ProjectError
from flight_delays.model_package import UnloadableError, is_mute
from flight_delays.portable.plan import PLAN, PLAN_LABEL, TREES, hash_of
from flight_delays.released import models_of
from flight_delays.stand_in import with_stand_in
from tests.factories import of_another_scikit_learn

BENTO = "bento:1"


@pytest.fixture
def stored(released, monkeypatch, tmp_path):
    """The release of trees in BentoML's store, in a folder of the test's own."""
    for path in released[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    info = SimpleNamespace(labels={PLAN_LABEL: hash_of((tmp_path / PLAN).read_bytes())})
    bento = SimpleNamespace(info=SimpleNamespace(all_models=[SimpleNamespace(tag="model:1")]))

    def get(tag, known, found):
        if tag != known:
            raise NotFound(tag)
        return found

    model = SimpleNamespace(path=tmp_path, info=info)
    monkeypatch.setattr(bentoml.bentos, "get", lambda tag: get(tag, BENTO, bento))
    monkeypatch.setattr(bentoml.models, "get", lambda tag: get(tag, "model:1", model))
    return model


@pytest.fixture
def champion(boosted):
    """The model of the release, after scikit-learn was upgraded."""
    return of_another_scikit_learn(boosted.with_record(release=BENTO))


def test_the_trees_of_its_release_answer_for_a_model_that_cannot_be_loaded(
    stored, champion, boosted, real_rows, tmp_path
):
    ModelPackageDataset(filepath=str(tmp_path / "champion")).save(champion)

    back = ModelPackageDataset(filepath=str(tmp_path / "champion")).load()

    np.testing.assert_allclose(back.predict(real_rows), boosted.predict(real_rows), atol=1e-9)
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
        (stored.path / TREES).write_bytes(b"other")
    elif damage == "label":
        del stored.info.labels[PLAN_LABEL]
    release = "bento:lost" if damage == "bento" else BENTO

    package = with_stand_in(champion.with_record(release=release))

    assert caplog.text
    with pytest.raises(UnloadableError, match="kedro champion promote"):
        package.predict(real_rows)


def test_a_release_that_is_not_whole_is_named(stored):
    with pytest.raises(ProjectError, match=r"bento:2 is not whole.*pipelines=release"):
        models_of("bento:2")


def test_what_stands_in_travels_no_further_than_the_run(stored, champion, tmp_path):
    asked = with_stand_in(champion)

    asked.write(tmp_path)

    assert (tmp_path / "model.skops").read_bytes() == champion.estimator.data
    assert replace(asked.estimator, stand_in=None) == champion.estimator
