import json
from dataclasses import replace

import ibis
import numpy as np
import pandas as pd
import pytest
from example.contracts import Observation
from example.trained import CODE
from pydantic import ValidationError

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.json_records import hash_rows
from kedro_mlops.core.time_params import AsOf
from kedro_mlops.modelling import fitting
from kedro_mlops.modelling.fitting import fit, fit_winner
from kedro_mlops.modelling.nodes import (
    choose_rule,
    package_candidate,
    profile_reference,
    split_windows,
)
from kedro_mlops.modelling.parameters import Modelling
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import Unloadable, content_hash, dump_estimator, scores_of
from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.task import Costs

COLUMNS = Columns.of(Observation)
OUTPUT = COLUMNS.task.output()
X, Y, TIME = COLUMNS.features, COLUMNS.label, COLUMNS.event_time
VALIDATION_START, TEST_START, AS_OF = pd.to_datetime(["2013-03-04", "2013-03-18", "2013-04-01"])


def test_windows_follow_each_other_without_overlap(windows):
    train, validation, test = windows

    spans = [(rows[TIME].min(), rows[TIME].max()) for rows in windows]

    assert spans[0][1] < VALIDATION_START <= spans[1][0]
    assert spans[1][1] < TEST_START <= spans[2][0]
    assert spans[2][1] < AS_OF
    assert all(rows[TIME].is_monotonic_increasing for rows in windows)
    keys = pd.concat([train, validation, test])[COLUMNS.keys]
    assert not keys.duplicated().any()


def test_windows_hold_every_label_known_at_their_end_and_no_other(windows, history):
    all_rows = history.model_input.to_pandas()
    starts = [pd.Timestamp("2013-01-01"), VALIDATION_START, TEST_START]
    ends = [VALIDATION_START, TEST_START, AS_OF]

    sizes = [len(rows) for rows in windows]

    expected = [
        (all_rows[TIME].between(start, end, inclusive="left") & (all_rows["known_at"] < end))
        for start, end in zip(starts, ends, strict=True)
    ]
    assert sizes == [mask.sum() for mask in expected]
    for rows, end in zip(windows, ends, strict=True):
        assert rows[COLUMNS.label_time].max() < end
        assert set(rows[Y]) == {0, 1}
    landed_next_day = all_rows[TIME].lt(TEST_START) & all_rows["known_at"].ge(TEST_START)
    assert landed_next_day.any()


@pytest.mark.parametrize(("min_rows", "window"), [(2000, "validation"), (10_000, "train")])
def test_a_window_with_too_few_rows_is_refused(history, as_of, modelling_params, min_rows, window):
    demanding = modelling_params.model_copy(update={"min_rows": min_rows})

    with pytest.raises(ProjectError) as refused:
        split_windows(COLUMNS, history.model_input, as_of, demanding)

    assert f"The {window} window" in str(refused.value)
    assert f"needs {min_rows} rows" in str(refused.value)


def test_a_window_of_one_class_is_refused(history, as_of, modelling_params):
    table = history.model_input
    in_test = table[TIME] >= ibis.literal(TEST_START)
    punctual = table.filter(~(in_test & table[Y]))

    with pytest.raises(ProjectError) as refused:
        split_windows(COLUMNS, punctual, as_of, modelling_params)

    assert "The test window, which ends on 2013-04-01" in str(refused.value)
    assert "of 1 classes" in str(refused.value)


def test_unknown_parameters_are_refused(modelling_params):
    given = modelling_params.model_dump() | {"validation_dais": 3}

    with pytest.raises(ValidationError) as refused:
        type(modelling_params)(**given)

    assert "validation_dais" in str(refused.value)


def test_the_measured_model_has_not_learned_from_the_test_window(
    windows, trained, modelling_params
):
    train, validation, _ = windows

    fitted = fit_winner(
        COLUMNS, FAMILIES, *windows, trained.recipe, None, modelling_params, 0, CODE
    )

    without_test = fit(
        COLUMNS,
        FAMILIES["logistic_regression"],
        trained.recipe["hyperparameters"],
        0,
        train,
        validation,
    )
    assert content_hash(fitted.evaluated) == content_hash(without_test)
    assert content_hash(fitted.final) == trained.candidate.metadata.content_hash
    assert content_hash(fitted.final) != content_hash(fitted.evaluated)
    assert fitted.training_seconds > 0


@pytest.fixture
def fits(monkeypatch):
    """The number of rows of each fit, as they are made."""
    made, once = [], fitting.fit

    def counted(contract, family, hyperparameters, seed, *windows):
        made.append(sum(map(len, windows)))
        return once(contract, family, hyperparameters, seed, *windows)

    monkeypatch.setattr(fitting, "fit", counted)
    return made


def test_the_models_of_a_candidate_are_taken_where_they_would_be_the_same(
    windows, trained, modelling_params, fits, tmp_path
):
    trained.candidate.write(tmp_path)
    known = type(trained.candidate).read(tmp_path)

    fitted = fit_winner(
        COLUMNS, FAMILIES, *windows, trained.recipe, known, modelling_params, 0, CODE
    )

    assert fits == []
    assert content_hash(fitted.final) == trained.candidate.metadata.content_hash
    assert content_hash(fitted.evaluated) == content_hash(trained.fitted.evaluated)
    assert fitted.training_seconds == trained.fitted.training_seconds
    assert fitted.recorded == trained.fitted.recorded
    rows = windows[2][X]
    np.testing.assert_array_equal(
        scores_of(OUTPUT, fitted.final, rows), scores_of(OUTPUT, trained.candidate.estimator, rows)
    )


@pytest.mark.parametrize(
    "change",
    [
        *("features", "rows", "split", "recipe", "loss", "seed", "lock", "files"),
        *("unloadable", "unmeasured", "no record"),
    ],
)
def test_the_winner_is_fitted_whatever_is_known_of_another(
    windows, trained, modelling_params, fits, change
):
    train, validation, test = windows
    candidate = trained.candidate
    dirty = CODE.model_copy(update={"git_commit": "0" * 40 + "-dirty"})
    of_dirty = candidate.with_record(lineage=dirty.lineage_of(candidate.metadata.lineage.data_hash))
    late = test[TIME] >= test[TIME].min() + pd.Timedelta(days=2)
    recipe = trained.recipe
    broken = Unloadable(dump_estimator(candidate.estimator), "it is of another scikit-learn")
    unknown = candidate.evaluation.model_copy(update={"training_seconds": None})
    given = {
        "contract": COLUMNS,
        "families": FAMILIES,
        "train": train,
        "validation": validation,
        "test": test,
        "recipe": recipe,
        "known_candidate": candidate,
        "params": modelling_params,
        "seed": 0,
        "code": CODE,
    }
    changes = {
        "features": {"contract": COLUMNS.only(*COLUMNS.features[1:], Y, TIME)},
        "rows": {"train": train.iloc[1:]},
        # the same rows, of which others are measured
        "split": {"validation": pd.concat([validation, test[~late]]), "test": test[late]},
        "recipe": {"recipe": recipe | {"hyperparameters": {"C": 0.123}}},
        "loss": {"known_candidate": candidate.with_record(loss="mean_absolute_error")},
        "seed": {"seed": 1},
        "lock": {"code": CODE.model_copy(update={"lock_hash": "2" * 64})},
        # others may follow under the same name
        "files": {"code": dirty, "known_candidate": of_dirty},
        "unloadable": {"known_candidate": replace(candidate, estimator=broken)},
        "unmeasured": {"known_candidate": replace(candidate, evaluated=None)},
        "no record": {"known_candidate": replace(candidate, evaluation=unknown)},
    }
    given |= changes[change]

    fit_winner(**given)

    before = len(given["train"]) + len(given["validation"])
    assert sorted(fits) == [before, before + len(given["test"])]


@pytest.mark.parametrize(("false_negative", "false_positive"), [(3, 1), (1, 1), (1, 5)])
def test_the_threshold_has_the_lowest_cost_on_the_validation_window(
    trained, false_negative, false_positive
):
    rows = trained.validation_predictions

    rule = choose_rule(
        COLUMNS, rows, Costs(false_negative=false_negative, false_positive=false_positive)
    )

    def cost(limit):
        decided = rows["probability"] >= limit
        missed, alarms = rows[Y].eq(1) & ~decided, rows[Y].eq(0) & decided
        return false_negative * missed.sum() + false_positive * alarms.sum()

    assert cost(rule.threshold) == min(cost(limit) for limit in rows["probability"])


def test_the_reference_profiles_what_was_known_as_of_the_moment(
    trained, history, as_of, window, modelling_params
):
    rows = history.model_input.to_pandas()
    known = rows[rows["known_at"] < as_of.moment]

    reference = profile_reference(
        COLUMNS, history.model_input, trained.predictions, as_of, window, modelling_params
    )

    features = reference.features
    assert features.n_rows == len(known)
    assert features.counts["depot"] == known["depot"].value_counts().to_dict()
    assert features.counts["van_year"]["missing"] == known["van_year"].isna().sum()
    assert sum(reference.score.counts["probability"].values()) == len(trained.predictions)


def test_the_reference_says_what_was_normal_of_every_column(trained):
    reference = trained.candidate.reference

    far = {name: levels["psi"] for name, levels in reference.features.normal.items()}
    assert far.keys() == reference.features.counts.keys()
    # the weather turns from week to week; where flights start does not
    assert far["temperature_c"] > 1
    assert far["depot"] < 0.1
    assert reference.score.normal["probability"]["psi"] > 0
    assert reference.n_days == 90


def test_calibrated_scores_of_the_test_window_are_as_high_as_its_labels(trained):
    scores, labels = trained.predictions["probability"], trained.predictions[Y]

    calibration = trained.candidate.reference.calibration
    calibrated = COLUMNS.task.expected(scores.to_numpy(), calibration, None)

    assert calibrated.mean() == pytest.approx(labels.mean(), abs=1e-4)
    assert np.corrcoef(calibrated, scores)[0, 1] > 0.9


def test_scores_that_were_distorted_are_undone_by_the_calibration(
    history, as_of, window, modelling_params
):
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.05, 0.95, 20_000)
    log_odds = np.log(truth / (1 - truth))
    distorted = pd.DataFrame(
        {
            TIME: pd.Timestamp("2013-03-20"),
            "probability": 1 / (1 + np.exp(-(2 * log_odds - 1))),
            Y: (rng.random(len(truth)) < truth).astype(int),
        }
    )

    reference = profile_reference(
        COLUMNS, history.model_input, distorted, as_of, window, modelling_params
    )

    assert reference.calibration.slope == pytest.approx(0.5, abs=0.03)
    assert reference.calibration.intercept == pytest.approx(0.5, abs=0.05)


def test_a_candidate_carries_where_it_comes_from(trained, windows):
    train, validation, test = windows

    metadata = trained.candidate.metadata

    assert metadata.family == "logistic_regression"
    assert metadata.n_trials == {"logistic_regression": 4}
    assert metadata.choice.startswith("Logistic regression was taken:")
    assert metadata.features == X
    assert metadata.n_training_rows == len(train) + len(validation) + len(test)
    assert (metadata.as_of, metadata.trained_until) == (AS_OF, AS_OF)
    assert metadata.evaluated_until == TEST_START
    assert metadata.metrics == trained.packaged["metrics"].candidate
    assert metadata.lineage.git_commit == "0" * 40
    assert metadata.lineage.lock_hash == "1" * 64
    assert metadata.lineage.data_hash == hash_rows(*windows)
    assert metadata.content_hash == content_hash(trained.fitted.final)


def test_a_candidate_carries_the_parameters_it_was_trained_with_as_plain_json(
    trained, modelling_params
):
    parameters = trained.candidate.metadata.parameters

    assert json.loads(json.dumps(parameters)) == parameters
    assert parameters["as_of"] == f"{AS_OF:%Y-%m-%d}"
    assert Modelling(**parameters["modelling"]) == modelling_params


def test_a_candidate_predicts_as_its_final_model(trained, windows):
    test = windows[2]

    predicted = trained.candidate.predict(test)

    scores, decided = predicted["probability"], predicted["decision"]
    np.testing.assert_array_equal(scores, scores_of(OUTPUT, trained.fitted.final, test[X]))
    threshold = trained.packaged["rule"].threshold
    assert 0 < decided.sum() == (scores >= threshold).sum() < len(test)


@pytest.mark.parametrize("n_workers", [1, 2])
def test_the_same_inputs_give_the_same_version(trained, windows, modelling_params, n_workers):
    params = modelling_params.model_copy(update={"n_workers": n_workers})
    refitted = fit_winner(COLUMNS, FAMILIES, *windows, trained.recipe, None, params, 0, CODE)

    again = package_candidate(**{**trained.packaged, "fitted": refitted})

    assert again.version == trained.candidate.version
    assert again.version.startswith("20130401-")


@pytest.mark.parametrize("change", ["rule", "fitted", "as_of"])
def test_another_model_rule_or_moment_gives_another_version(trained, change):
    others = {
        "rule": DecisionRule(threshold=trained.packaged["rule"].threshold + 1e-9),
        "fitted": replace(trained.fitted, final=trained.fitted.evaluated),
        "as_of": AsOf("2013-04-02"),
    }

    other = package_candidate(**{**trained.packaged, change: others[change]})

    assert other.version != trained.candidate.version


def test_what_was_measured_on_rows_of_a_later_day_is_not_packaged(trained):
    # the test window's last day is 31 March
    with pytest.raises(ProjectError, match=r"20130331-\w+ is as of 2013-03-31.*another run"):
        package_candidate(**{**trained.packaged, "as_of": AsOf("2013-03-31")})


def test_the_data_hash_changes_with_a_value_and_with_the_order(windows):
    rows = windows[0].head(100)
    changed = rows.copy()
    changed.loc[changed.index[7], "distance_km"] += 1

    hashes = [hash_rows(table) for table in (rows, rows.copy(), changed, rows[::-1])]

    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
