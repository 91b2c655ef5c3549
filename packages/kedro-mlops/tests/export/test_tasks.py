"""Whatever is asked, what serves says just what scikit-learn does."""

from pathlib import Path

import numpy as np
import pytest
from example.tasks import Life

from kedro_mlops.export.serving_form import export
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.serving.model import ServedModel


def served(life: Life, package: ModelPackage, folder: Path) -> ServedModel:
    folder.mkdir()
    label = life.columns[life.columns.label]
    spec = export(
        package, life.columns.inputs, life.windows[2], 1e-9, folder, name="parcels", label=label
    )
    return ServedModel(folder, spec, 1, load=lambda _: package.estimator)


@pytest.mark.parametrize("trees", [True, False])
def test_every_row_gets_the_score_of_scikit_learn(life: Life, trees: bool, tmp_path: Path) -> None:
    small = {"max_iter": 30} if trees else {}
    package = life.of_family("gradient_boosting" if trees else life.linear, **small)
    model = served(life, package, tmp_path / "form")
    spec, test = model.spec, life.windows[2].head(60)

    rows = test[[field.name for field in spec.fields]].astype(object)
    said = [model.score(row)[0] for row in rows.where(rows.notna(), None).to_numpy().tolist()]

    assert spec.engine == ("compiled trees" if trees else "scikit-learn"), spec.engine_reason
    # the exponential of C and that of NumPy, and sums of one row and of many, may end otherwise
    exact = trees and len(spec.classes) < 3
    np.testing.assert_allclose(said, package.score(test), rtol=0 if exact else 1e-13, atol=0)
    assert not trees or ("to the last bit" in spec.engine_reason) == exact
    assert spec.output == package.metadata.output
    assert (spec.task, spec.label, spec.unit, [*spec.classes]) == (
        life.columns.task.name,
        life.columns.label,
        life.columns.task.unit,
        [*life.columns.task.classes],
    )


def test_scores_that_are_no_probabilities_are_counted_in_the_bins_they_had(
    life: Life, tmp_path: Path
) -> None:
    spec = served(life, life.candidate, tmp_path / "form").spec

    if life.columns.task.classes:
        assert spec.score_buckets == []
        return
    scores = life.trained.predictions["prediction"]
    shares = np.bincount(np.digitize(scores, spec.score_buckets)) / len(scores)
    assert len(shares) == 10
    assert shares == pytest.approx(0.1, abs=0.01)
