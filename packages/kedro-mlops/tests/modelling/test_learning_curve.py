"""What more rows would be worth."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from example.factories import COLUMNS

from kedro_mlops.measures.evaluation import RowSample, worth_of_more_rows
from kedro_mlops.measures.metrics import Scored
from kedro_mlops.modelling import learning_curve
from kedro_mlops.modelling.fitting import fit
from kedro_mlops.modelling.learning_curve import measure_learning_curve
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import scores_of
from kedro_mlops.reporting import charts


@pytest.fixture
def measure(windows, trained, modelling_params, bootstrap):
    def measured(shares, test=windows[2], train=windows[0], sample=None):
        params = modelling_params.model_copy(update={"learning_curve": shares})
        return measure_learning_curve(
            COLUMNS,
            FAMILIES,
            trained.fitted,
            train,
            windows[1],
            test,
            trained.predictions,
            trained.recipe,
            params,
            bootstrap,
            0,
            sample,
        )

    return measured


def test_the_loss_is_that_of_models_of_fewer_rows(measure, windows, trained, caplog):
    with caplog.at_level("INFO"):
        curve = measure([0.5, 0.05])

    train, validation, _ = windows
    n_known = len(train) + len(validation)
    assert curve["n_rows"].tolist() == [round(n_known * share) for share in (0.05, 0.5, 1)]
    whole = Scored.of_scores(COLUMNS, trained.predictions)
    assert curve["loss"].iloc[-1] == pytest.approx(whole.row_loss.mean())
    # a twentieth of the rows is too few to learn from
    assert curve["loss"].iloc[0] > curve["loss"].iloc[-1]
    gains = [before - after for before, after in pairwise(curve["loss"])]
    assert curve["gain"].isna().tolist() == [True, False, False]
    np.testing.assert_allclose(curve["gain"][1:], gains)
    assert (curve["gain_low"][1:] <= curve["gain"][1:]).all()
    assert (curve["gain"][1:] <= curve["gain_high"][1:]).all()
    assert f"With {n_known:,} rows to learn from instead of {round(n_known / 2):,}" in caplog.text


def test_nearly_all_rows_are_all_of_them(measure, windows, trained):
    share = 1 - 0.4 / (len(windows[0]) + len(windows[1]))

    curve = measure([share])

    assert curve["loss"].iloc[0] == pytest.approx(curve["loss"].iloc[1], rel=1e-12)
    recipe, known = trained.recipe, pd.concat(windows[:2])
    model = fit(COLUMNS, FAMILIES[recipe["family"]], recipe["hyperparameters"], 0, known)
    scores = scores_of(COLUMNS.task.output(), model, windows[2][COLUMNS.features])
    np.testing.assert_array_equal(scores, Scored.of_scores(COLUMNS, trained.predictions).score)


def test_a_share_has_as_much_of_each_window_as_all_rows_have(measure, windows, monkeypatch):
    # given a window of which more rows were taken, to measure on, than are learned from
    n_taken = dict(zip(("train", "validation", "test"), map(len, windows), strict=True))
    sample = RowSample(n_known=n_taken | {"train": 4 * len(windows[0])}, n_taken=n_taken)
    learned, once = [], learning_curve.fit
    monkeypatch.setattr(
        learning_curve, "fit", lambda *given: learned.append(given[4]) or once(*given)
    )

    measure([0.25], sample=sample)

    [rows] = learned
    n_validation = int(rows[COLUMNS.event_time].isin(windows[1][COLUMNS.event_time]).sum())
    assert n_validation == pytest.approx(sample.n_alike("validation") / 4, rel=0.3)


def test_no_shares_no_curve(measure):
    assert measure([]).empty
    # of so few rows all are of one class
    assert measure([0.0001]).empty


def test_each_task_has_a_curve(life):
    curve = life.trained.packaged["evaluation"].learning_curve

    assert [row["n_rows"] for row in curve] == sorted(row["n_rows"] for row in curve)
    assert len(curve) == 3
    assert curve[0]["gain"] is None
    assert all(np.isfinite(row["loss"]) for row in curve)


def test_shares_that_lack_a_class_are_left_out(lives, bootstrap):
    life = lives("classes")
    train, validation, test = life.windows
    columns, trained = life.columns, life.trained
    # given one row of a class
    rare = train[columns.label].max()
    train = pd.concat(
        [train[train[columns.label] != rare], train[train[columns.label] == rare].head(1)]
    )
    validation = validation[validation[columns.label] != rare]
    params = life.params.model_copy(update={"learning_curve": [0.002, 0.999]})

    curve = measure_learning_curve(
        columns, FAMILIES, trained.fitted, train, validation, test, trained.predictions,
        trained.recipe, params, bootstrap, 0,
    )  # fmt: skip

    n_known = len(train) + len(validation)
    assert curve["n_rows"].tolist() == [round(0.999 * n_known), n_known]


CURVE = [
    {"n_rows": 50_000, "loss": 0.52, "gain": None, "gain_low": None, "gain_high": None},
    {"n_rows": 100_000, "loss": 0.51, "gain": 0.01, "gain_low": 0.008, "gain_high": 0.012},
]


def test_what_more_rows_are_worth_is_said_in_a_sentence():
    surely, perhaps = CURVE, [CURVE[0], CURVE[1] | {"gain_low": -0.001}]
    harmful = [CURVE[0], CURVE[1] | {"gain": -0.01, "gain_low": -0.012, "gain_high": -0.008}]

    assert worth_of_more_rows(surely, "log_loss") == (
        "With 100,000 rows to learn from instead of 50,000, log loss fell by "
        "0.0100 [0.0080, 0.0120]; as many rows again would be worth no more than that."
    )
    assert worth_of_more_rows(perhaps, "log_loss").endswith(
        "log loss fell by 0.0100 [-0.0010, 0.0120], which may be chance: more rows like these "
        "would be worth little."
    )
    assert worth_of_more_rows(harmful, "log_loss").endswith(
        "so that it surely rose: more rows like these would be worth nothing."
    )
    assert worth_of_more_rows([], "log_loss") == ""


def test_the_curve_is_drawn_over_the_rows():
    [line] = charts.learning_curve(CURVE, "log_loss").data

    assert [*line.x] == [50_000, 100_000]
    assert [*line.y] == [0.52, 0.51]
