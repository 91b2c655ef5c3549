import msgspec
import numpy as np
import pytest
from example.contracts import Inputs
from example.factories import tiny_package

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.export.serving_form import N_KNOWN_ROWS, export
from kedro_mlops.runtime.known_rows import KNOWN_ROWS, KnownRows
from kedro_mlops.serving.model import ServedModel


def off(folder, spec):
    return KnownRows.read(folder).largest_difference(spec, ServedModel(folder, spec, 1).score)


def test_a_released_model_says_of_them_what_it_did(released):
    folder, spec = released

    known = KnownRows.read(folder)

    assert len(known.rows) == N_KNOWN_ROWS
    assert len(set(known.scores)) > 1
    assert off(folder, spec) <= known.tolerance


def test_so_does_one_that_scikit_learn_serves(tmp_path, windows):
    package = tiny_package("logistic_regression")

    spec = export(package, Columns.of(Inputs), windows[-1], 1e-9, tmp_path)

    assert spec.engine == "scikit-learn"
    assert off(tmp_path, spec) <= 1e-9


def test_they_are_features_alone(released):
    folder, spec = released

    [names] = {tuple(row) for row in KnownRows.read(folder).rows}

    assert list(names) == spec.features
    assert not any(field.personal for field in spec.fields if field.name in names)


def test_another_model_says_otherwise_of_them(released):
    folder, spec = released
    known = KnownRows.read(folder)

    other = msgspec.structs.replace(known, scores=[score + 0.01 for score in known.scores])

    score = ServedModel(folder, spec, 1).score
    assert other.largest_difference(spec, score) == pytest.approx(0.01, abs=1e-6)


def test_what_is_no_number_is_no_answer(released):
    folder, spec = released

    assert KnownRows.read(folder).largest_difference(spec, lambda _: (np.nan, [])) == np.inf


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_release_without_them_says_what_to_do(tmp_path, content):
    if content is not None:
        (tmp_path / KNOWN_ROWS).write_text(content)

    with pytest.raises(ProjectError, match="kedro run --pipelines=release"):
        KnownRows.read(tmp_path)
