"""Whatever is asked, training measures what scikit-learn would, and packages all that it found."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from example.tasks import AS_OF, SEED, Life
from example.trained import CODE
from sklearn import metrics as reference

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.modelling import evaluation, tuning
from kedro_mlops.modelling import nodes as modelling
from kedro_mlops.modelling.fitting import Fitted, fit_winner
from kedro_mlops.modelling.parameters import CodeVersion
from kedro_mlops.models.datasets import ModelPackageDataset
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.metadata import LOSS_ESTIMATE
from kedro_mlops.models.package import ModelPackage, content_hash, dump_estimator, load_estimator
from kedro_mlops.task.outputs import Probabilities
from kedro_mlops.task.task import Costs

SIGNALS = ["distance_km", "humidity_pct"]


def says_classes(life: Life) -> bool:
    return isinstance(life.columns.task.output(), Probabilities)


def test_windows_follow_each_other_and_have_labels_as_numbers(life: Life) -> None:
    train, validation, test = life.windows
    label, time = life.columns.label, life.columns.event_time

    known = life.rows[life.rows["known_at"] < AS_OF.moment].dropna(subset=[label])
    rows = pd.concat(life.windows)
    assert 0 < len(rows) < len(known)  # late labels are of no window
    assert train[time].max() < validation[time].min() < test[time].min() < AS_OF.moment
    told = known.set_index(life.columns.keys)[label].reindex(
        pd.MultiIndex.from_frame(rows[life.columns.keys])
    )
    classes = life.columns.task.classes
    expected = told.map(classes.index) if classes else told
    assert rows[label].tolist() == expected.tolist()


def test_each_family_was_tried_and_the_loss_is_that_of_the_predictions(life: Life) -> None:
    found, task = life.trained, life.columns.task
    rows = found.validation_predictions

    assert set(found.trials["family"]) == {life.linear, "gradient_boosting"}
    assert found.trials[task.loss].min() == found.recipe["validation_loss"]
    scores = task.output().scores_in(rows)
    losses = task.row_loss(task.labels(rows[life.columns.label]), scores)
    assert losses.mean() == pytest.approx(found.recipe["validation_loss"])
    if says_classes(life):
        assert scores.sum(axis=1) == pytest.approx(1)


def test_a_family_that_does_not_learn_it_is_refused_by_name(
    life: Life, bootstrap: Bootstrap
) -> None:
    [other] = {"logistic_regression", "ridge"} - {life.linear}
    params = life.params.model_copy(update={"n_trials": {other: 1}})

    with pytest.raises(ProjectError, match=f"no family '{other}' of {life.columns.task.estimator}"):
        tuning.tune(
            life.columns, FAMILIES, *life.windows, pd.DataFrame(), None, params, bootstrap,
            SEED, CODE,
        )  # fmt: skip


def test_models_that_were_read_back_have_the_hashes_they_had(life: Life) -> None:
    package = life.candidate

    for model in filter(None, (package.estimator, package.evaluated, package.loss_estimate)):
        back = load_estimator(dump_estimator(model))
        # as a node gets it: another object, of which no bytes are known
        assert content_hash(deepcopy(back)) == content_hash(model)


def test_intervals_are_as_wide_as_their_coverage_asks(life: Life) -> None:
    if says_classes(life):
        pytest.skip("there are no intervals of classes")
    rows, rule = life.trained.validation_predictions, life.candidate.metadata.rule
    errors = np.abs(rows["prediction"] - rows[life.columns.label])

    assert rule.coverage == life.columns.task.coverage
    assert (errors <= rule.margin).mean() >= rule.coverage
    assert (errors < rule.margin).mean() < rule.coverage + 1 / len(rows)
    assert rule.margins is None


def test_costs_of_classes_say_which_is_taken(life: Life) -> None:
    if not says_classes(life):
        pytest.skip("no decision is taken by a number")
    dear = Costs(of_classes={"late": {"early": 20, "on_time": 20}})
    task, rows = life.columns.task, life.trained.predictions
    labels, scores = task.labels(rows[life.columns.label]), task.output().scores_in(rows)

    rule = modelling.choose_rule(life.columns, life.trained.validation_predictions, dear)

    cost = {}
    for name, found in {"plain": life.candidate.metadata.rule, "dear": rule}.items():
        taken = pd.DataFrame(task.output(found).of_rows(scores))
        cost[name] = task.costs_of_rows(labels, task.decided(taken), dear).mean()
        if name == "dear":
            assert (taken["prediction"] == "late").mean() > (rows["prediction"] == "late").mean()
    assert cost["dear"] < cost["plain"]
    with pytest.raises(ProjectError, match="'lost', which is no class of 'coming'"):
        task.choose_rule(labels, scores, Costs(of_classes={"lost": {"early": 1}}))


def test_the_metrics_are_those_of_scikit_learn(life: Life) -> None:
    rows, found = life.trained.predictions, life.trained.packaged["metrics"]
    task, y = life.columns.task, life.trained.predictions[life.columns.label]
    if says_classes(life):
        p = task.output().scores_in(rows)
        taken = rows["prediction"].map(task.classes.index)
        expected = {
            "log_loss": reference.log_loss(y, p),
            "roc_auc": reference.roc_auc_score(y, p, multi_class="ovr"),
            "accuracy": reference.accuracy_score(y, taken),
            "balanced_accuracy": reference.balanced_accuracy_score(y, taken),
            "macro_f1": reference.f1_score(y, taken, average="macro"),
        }
    else:
        p = rows["prediction"]
        inside = y.between(rows["prediction_low"], rows["prediction_high"])
        expected = {
            "mean_squared_error": reference.mean_squared_error(y, p),
            "root_mean_squared_error": reference.root_mean_squared_error(y, p),
            "mean_absolute_error": reference.mean_absolute_error(y, p),
            "r2": reference.r2_score(y, p),
            "bias": (p - y).mean(),
            "interval_coverage": inside.mean(),
            "interval_width": 2 * life.candidate.metadata.rule.margin,
        }

    assert set(found.candidate) == {*task.metrics.names}
    values = {name: found.candidate[name].value for name in expected}
    assert values == pytest.approx(expected)
    for interval in found.candidate.values():
        assert interval.low <= interval.value + 1e-9 and interval.value <= interval.high + 1e-9
    assert found.candidate[task.loss].value < min(
        baseline[task.loss].value for baseline in found.baselines.values()
    )
    assert set(found.baselines) == {task.baseline, "shallow_tree"}


def test_slices_are_all_the_rows_by_segment(life: Life, bootstrap: Bootstrap) -> None:
    slices = evaluation.evaluate_slices(life.columns, life.trained.predictions, bootstrap)

    for segment in life.columns.segments:
        part = slices[slices["segment"] == segment]
        assert part["n_rows"].sum() == len(life.trained.predictions)
        assert set(part["value"]) == set(life.trained.predictions[segment])
    assert slices[[*life.columns.task.main_metrics.names]].notna().all(axis=None)


def test_what_tells_the_label_is_found_by_importance_and_alone(
    life: Life, bootstrap: Bootstrap
) -> None:
    params, test = life.params, life.windows[2]
    importance = evaluation.measure_importance(
        life.columns, life.trained.fitted, test, params, SEED
    )
    alone = evaluation.measure_single_features(life.columns, *life.windows, params, SEED)

    assert importance["feature"][:2].tolist() == alone["feature"][:2].tolist() == SIGNALS
    assert alone["tells"][0] > 0.75
    assert alone["tells"][2:].between(0.5, 0.62).all()


def test_the_evaluation_has_all_that_is_drawn(life: Life) -> None:
    found, rows = life.trained.packaged["evaluation"], life.trained.predictions
    metrics, rule = life.trained.packaged["metrics"], life.candidate.metadata.rule

    titles = [
        figure.layout.title.text
        for figure in evaluation.draw_evaluation(life.columns, found, metrics, rule)
    ]

    assert sum(row["n_rows"] for row in found.calibration) == len(rows)
    assert found.window.label == life.columns.task.describe(
        life.columns.task.labels(rows[life.columns.label])
    )
    classes = [str(name) for name in life.columns.task.classes]
    assert [*found.roc] == [
        f"{model}: {name}" for model in ("model", "shallow_tree") for name in classes
    ]
    assert sum(found.confusion.values()) == (len(rows) if classes else 0)
    # a node has as many outputs whatever is asked
    assert len(titles) == 7
    assert titles.count("There is none") == (1 if classes else 2)
    assert any(title == "ROC" for title in titles) == bool(classes)


def test_the_reference_has_the_scores_and_the_shares_of_classes(life: Life) -> None:
    score, rows = life.candidate.reference.score, life.trained.predictions

    if says_classes(life):
        shares = rows["prediction"].value_counts().to_dict()
        assert score.counts["prediction"] == shares
        assert {*score.edges} == {f"probability_{name}" for name in life.columns.task.classes}
    else:
        assert {*score.counts} == {*score.edges} == {"prediction"}
    assert score.n_rows == len(rows)


def test_a_package_is_read_back_as_it_was_saved(life: Life, tmp_path: Path) -> None:
    package, test, folder = life.candidate, life.windows[2], tmp_path / "model"
    dataset = ModelPackageDataset(filepath=str(folder))

    dataset.save(package)
    found = dataset.load()

    assert found is not None
    assert (found.metadata, found.reference, found.evaluation) == (
        package.metadata, package.reference, package.evaluation,
    )  # fmt: skip
    one, other = found.predict(test), package.predict(test)
    assert [*one] == [told.name for told in life.columns.task.output().told]
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])
    if says_classes(life):
        assert not (folder / LOSS_ESTIMATE).exists()
        return
    rows = life.trained.predictions.merge(test)
    losses = found.expected_losses(rows)
    assert losses is not None
    np.testing.assert_array_equal(losses, package.expected_losses(rows))
    (folder / LOSS_ESTIMATE).write_bytes(b"another")
    with pytest.raises(ProjectError, match=f"{LOSS_ESTIMATE} is not the file that was saved"):
        ModelPackage.read(folder)


def test_the_loss_that_is_expected_has_the_unit_of_the_loss_and_is_never_below_zero(
    life: Life,
) -> None:
    if says_classes(life):
        pytest.skip("chances of classes follow from scores")
    columns, test = life.columns, life.windows[2]
    rows = test.merge(life.trained.predictions)
    expected = life.candidate.expected_losses(rows)
    assert expected is not None

    sure = columns.task.row_loss(rows[columns.label].to_numpy(), rows["prediction"].to_numpy())

    assert expected.mean() == pytest.approx(sure.mean(), rel=0.01)
    assert np.corrcoef(expected, sure)[0, 1] > 0.3
    assert expected.min() >= 0
    never = replace(life.candidate, loss_estimate=Below())
    assert (never.expected_losses(rows) == np.zeros(len(rows))).all()


class Below:
    """Says of every row what no loss is."""

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return np.full(len(rows), -1.0)


def test_the_same_rows_are_fitted_once(life: Life) -> None:
    code = CodeVersion(git_commit="c0ffee", lock_hash="10c4")

    def fitted(known: ModelPackage | None) -> Fitted:
        return fit_winner(
            life.columns, FAMILIES, *life.windows, life.trained.recipe, known, life.params, SEED,
            code,
        )  # fmt: skip

    one = fitted(None)
    known = modelling.package_candidate(**(life.trained.packaged | {"fitted": one}))
    again = fitted(known)

    assert again.final is one.final
    assert again.loss_estimate is one.loss_estimate
    assert (one.loss_estimate is None) == says_classes(life)
    assert fitted(replace(known, estimator=one.evaluated, evaluated=None)).final is not one.final
