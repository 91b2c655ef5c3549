"""Tables of few rows: each is measured by a model that has not learned from it."""

import hashlib
from types import SimpleNamespace
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
from example.factories import COLUMNS, observations
from example.trained import CODE, Trained, model
from example.undated import HOMES, LOANS, READINGS, homes, loans, readings
from numpy.typing import NDArray
from pandas.testing import assert_frame_equal
from sklearn.base import BaseEstimator, ClassifierMixin

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.time_params import AsOf, Window
from kedro_mlops.gate.checks import SliceLimits
from kedro_mlops.gate.nodes import judge
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.modelling import evaluation
from kedro_mlops.modelling.fitting import fit_winner
from kedro_mlops.modelling.nodes import split_windows
from kedro_mlops.modelling.parameters import CrossValidation, Modelling
from kedro_mlops.modelling.tuning import tune
from kedro_mlops.models.families import FAMILIES, Families, Family
from kedro_mlops.models.folded import Folded, scores_of_rows
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.models.preprocessing import tree_preprocessing
from kedro_mlops.task.task import Costs

AS_OF, WINDOW = AsOf("2024-05-01"), Window(days=7)
BOOTSTRAP, COSTS = Bootstrap(n_resamples=50, confidence=0.95, seed=0), Costs()
GATE = SimpleNamespace(
    max_loss_increase=0.01,
    require_approval=False,
    slices=SliceLimits(min_rows=1000, at_least={}, max_loss_increase=0.05),
)
NOTHING = pd.DataFrame()
LINEAR = {"classifier": "logistic_regression", "regressor": "ridge"}


@pytest.fixture(scope="module")
def few(parameters: dict[str, Any]) -> Modelling:
    """Parameters by which few rows are cross-validated, and few trials made."""
    params = Modelling(**parameters["modelling"])
    folds = CrossValidation(folds=5, below_rows=2000, more_trials=2)
    return params.model_copy(
        update={"cross_validation": folds, "n_trials": {"logistic_regression": 1}}
    )


def learned(
    contract: Columns, rows: pd.DataFrame, params: Modelling, as_of: AsOf = AS_OF
) -> tuple[list[pd.DataFrame], Trained]:
    """The windows of rows, and what the modelling nodes make of them."""
    table = ibis.memtable(rows)
    params = params.model_copy(update={"n_trials": {LINEAR[contract.task.estimator]: 1}})
    windows = split_windows(contract, table, as_of, params)
    return windows, model(table, windows, as_of, WINDOW, params, BOOTSTRAP, COSTS, contract)


class Memory(ClassifierMixin, BaseEstimator):
    """Knows the rows that it has learned from, and lets nobody ask about them."""

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, rows: NDArray[Any], labels: NDArray[Any]) -> "Memory":
        self.classes_, self.known_ = np.unique(labels), {row.tobytes() for row in rows}
        return self

    def predict_proba(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        assert not self.known_ & {np.asarray(row).tobytes() for row in np.asarray(rows)}
        return np.full((len(rows), 2), 0.5)


MEMORY: Families = {
    "memory": Family(
        tree_preprocessing, fixed={}, default={}, suggest=lambda _: {}, classifier=Memory
    )
}


@pytest.mark.parametrize("dated", [False, True])
def test_no_model_is_asked_about_a_row_that_it_has_learned_from(
    few: Modelling, dated: bool
) -> None:
    contract = COLUMNS if dated else LOANS
    rows = observations(300, 40, 0) if dated else loans(300)
    as_of = AsOf("2013-02-10") if dated else AS_OF
    params = few.model_copy(update={"n_trials": {"memory": 1}})
    windows = split_windows(contract, ibis.memtable(rows), as_of, params)

    recipe, trials, tuned, _ = tune(
        contract, MEMORY, *windows, NOTHING, None, params, BOOTSTRAP, 0, CODE
    )
    fitted = fit_winner(contract, MEMORY, *windows, recipe, None, params, 0, CODE)
    rule = contract.task.choose_rule(np.array([0.0, 1.0]), np.array([0.4, 0.6]), COSTS)
    predicted = evaluation.predict_test(contract, fitted, *windows, rule, 0)
    evaluation.measure_importance(contract, fitted, windows[2], params, 0)

    assert len(trials) == params.n_trials["memory"] * 2
    assert len(tuned) == len(predicted) == len(windows[2]) > 200 - 20 * dated
    assert (len(windows[0]) > 0) == dated
    # the spy does see: the model that would serve has learned from them all
    with pytest.raises(AssertionError):
        fitted.final.predict_proba(windows[2][contract.features])


def test_out_of_fold_predictions_are_those_of_a_model_of_other_rows(few: Modelling) -> None:
    windows, trained = learned(LOANS, loans(200), few)
    test, evaluated = windows[2], trained.fitted.evaluated
    assert isinstance(evaluated, Folded)
    numbers = evaluated.folds.of(np.array([_md5(loan) for loan in test["loan"]]))

    for fold in range(5):
        rest = test[numbers != fold].reset_index(drop=True)
        family = FAMILIES["logistic_regression"]
        alone = family.build(LOANS.task, LOANS, trained.recipe["hyperparameters"], 0)
        alone.fit(rest[LOANS.features], rest["defaulted"])
        expected = alone.predict_proba(test.loc[numbers == fold, LOANS.features])[:, 1]
        for found in (trained.predictions, trained.validation_predictions):
            assert found.loc[numbers == fold, "probability"].to_numpy() == pytest.approx(expected)
    assert trained.recipe["validation_loss"] == pytest.approx(
        trained.candidate.metadata.metrics["log_loss"].value
    )
    assert "out of fold" in trained.recipe["choice"]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_rows_are_cut_into_windows_from_as_many_as_said(few: Modelling) -> None:
    table, labelled = ibis.memtable(loans(1000)), 800

    def cut(below: int | None) -> list[int]:
        params = few.model_copy(
            update={
                "min_rows": 5,
                "cross_validation": below
                and CrossValidation(folds=5, below_rows=below, more_trials=1),
            }
        )
        return [len(rows) for rows in split_windows(LOANS, table, AS_OF, params)]

    assert cut(labelled + 1) == [0, 0, labelled]
    assert cut(labelled) == cut(None) == [400, 200, 200]


@pytest.mark.parametrize(
    ("contract", "rows"),
    [
        (LOANS, loans(50)),
        (LOANS, loans(50, 0.08)),
        (READINGS, readings(12)),
        (HOMES, homes(50)),
    ],
)
def test_fifty_rows_give_a_wide_interval(
    few: Modelling, contract: Columns, rows: pd.DataFrame
) -> None:
    windows, trained = learned(contract, rows, few)

    test = windows[2]
    assert len(trained.predictions) == len(test) == pytest.approx(0.8 * len(rows), abs=6)
    loss = trained.candidate.metadata.metrics[contract.task.loss]
    assert loss.low < loss.value < loss.high
    assert loss.high - loss.low > 0.2 * loss.value
    alone = evaluation.measure_single_features(contract, *windows, few, 0)
    assert alone["feature"][0] in ("income", "age", "pulse", "area")


@pytest.mark.parametrize("n_positive", [0, 1])
def test_a_class_of_too_few_rows_is_refused(few: Modelling, n_positive: int) -> None:
    rows = loans(50)
    rows["defaulted"] = pd.array([i < n_positive for i in range(50)], dtype="boolean")
    params = few.model_copy(update={"later_share": 0.01})

    with pytest.raises(ProjectError, match="too few to be cross-validated"):
        split_windows(LOANS, ibis.memtable(rows), AS_OF, params)


def test_trials_that_are_behind_are_given_up_and_the_same_ones_again(few: Modelling) -> None:
    params = few.model_copy(update={"n_trials": {"gradient_boosting": 8}})
    windows = split_windows(LOANS, ibis.memtable(loans(150)), AS_OF, params)
    given = (windows, NOTHING, None, params, BOOTSTRAP, 0, CODE)

    (recipe, trials, tuned, known), (again, trials_again, tuned_again, _) = (
        tune(LOANS, FAMILIES, *given[0], *given[1:]) for _ in range(2)
    )

    assert len(trials) == 16
    assert 0 < trials["is_pruned"].sum() < 11
    assert not trials["is_pruned"][:5].any()
    best = trials.loc[~trials["is_pruned"], "log_loss"].min()
    assert recipe["validation_loss"] == best
    assert recipe == again
    assert_frame_equal(trials.drop(columns="seconds"), trials_again.drop(columns="seconds"))
    assert_frame_equal(tuned, tuned_again)
    # they are known as such
    third, trials_known, tuned_known, _ = tune(LOANS, FAMILIES, *windows, known, tuned, *given[3:])
    assert third == recipe
    assert_frame_equal(trials_known, trials)
    assert_frame_equal(tuned_known, tuned)


@pytest.fixture(scope="module")
def saved(
    few: Modelling, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Trained, list[pd.DataFrame], ModelPackage]:
    windows, trained = learned(LOANS, loans(200), few)
    folder = tmp_path_factory.mktemp("saved")
    trained.candidate.write(folder)
    return trained, windows, ModelPackage.read(folder)


def test_a_package_keeps_the_models_of_all_folds(saved: Any) -> None:
    trained, windows, read = saved

    scores = scores_of_rows(LOANS, read.metadata.output, read.evaluated, LOANS.features, windows[2])

    assert scores.tolist() == trained.predictions["probability"].tolist()
    assert read.metadata.n_folds == 5


@pytest.mark.parametrize("n_folds", [5, 4])
def test_a_known_candidate_is_not_fitted_again_if_it_has_the_same_folds(
    saved: Any, few: Modelling, n_folds: int
) -> None:
    trained, windows, read = saved
    assert few.cross_validation is not None
    folds = few.cross_validation.model_copy(update={"folds": n_folds})
    params = few.model_copy(update={"cross_validation": folds})

    fitted = fit_winner(LOANS, FAMILIES, *windows, trained.recipe, read, params, 0, CODE)

    assert (fitted.evaluated is read.evaluated) == (n_folds == 5)


@pytest.mark.parametrize("n_folds", [5, 7])
def test_champion_and_candidate_meet_on_all_rows_which_neither_has_learned_from(
    few: Modelling, saved: Any, n_folds: int
) -> None:
    trained, _, champion = saved
    more = pd.concat([loans(200), loans(80, 0.5, seed=3)], ignore_index=True)
    folds = CrossValidation(folds=n_folds, below_rows=2000, more_trials=1)
    now, again = learned(LOANS, more, few.model_copy(update={"cross_validation": folds}))
    candidate, test = again.candidate.with_record(version="another"), now[2]

    decision = judge(LOANS, candidate, champion, [], test, again.predictions, GATE, BOOTSTRAP)

    [check] = [check for check in decision.checks if "not worse" in check.name]
    before = trained.predictions.set_index("loan")["probability"]
    met = test["loan"].isin(before.index)
    assert 100 < met.sum() < len(test)
    other = scores_of_rows(
        LOANS, champion.metadata.output, champion.evaluated, LOANS.features, test
    )
    # rows of then are scored as they were then: by a model that has not learned from them
    assert other[met].tolist() == before[test.loc[met, "loan"]].tolist()
    losses = [
        LOANS.task.row_loss(test["defaulted"].to_numpy(float), found)
        for found in (again.predictions["probability"].to_numpy(), other)
    ]
    assert check.value == pytest.approx((losses[0] - losses[1]).mean())


def test_a_champion_of_windows_meets_one_of_folds(few: Modelling) -> None:
    windows_only = few.model_copy(update={"cross_validation": None, "min_rows": 5})
    [then, old], [now, new] = (learned(LOANS, loans(300), each) for each in (windows_only, few))
    seen = set(pd.concat(then[:2])["loan"])

    for champion, candidate, test, unseen in (
        (old, new, now[2], ~now[2]["loan"].isin(seen)),
        (new, old, then[2], pd.Series(data=True, index=then[2].index)),
    ):
        challenger = candidate.candidate.with_record(version="another")
        decision = judge(
            LOANS, challenger, champion.candidate, [], test, candidate.predictions, GATE, BOOTSTRAP
        )  # fmt: skip
        [check] = [check for check in decision.checks if "not worse" in check.name]
        rows, model = test[unseen], champion.fitted.evaluated
        assert len(rows) == len(then[2])
        losses = [
            LOANS.task.row_loss(rows["defaulted"].to_numpy(float), scores)
            for scores in (
                candidate.predictions.loc[unseen, "probability"].to_numpy(),
                scores_of_rows(LOANS, LOANS.task.output(), model, LOANS.features, rows),
            )
        ]
        assert check.value == pytest.approx((losses[0] - losses[1]).mean())


def test_by_time_the_first_rows_are_only_learned_from(few: Modelling) -> None:
    rows = observations(400, 40, 0)
    (train, validation, test), trained = learned(COLUMNS, rows, few, AsOf("2013-02-10"))

    metadata = trained.candidate.metadata
    days = test[COLUMNS.event_time]
    assert validation.empty
    assert train[COLUMNS.event_time].max() < days.min()
    assert len(train) == pytest.approx(len(test) / 5, rel=0.5)
    assert metadata.evaluated_until == days.min().normalize()
    assert metadata.n_training_rows == len(train) + len(test)
    # later labels change nothing that was said before
    late = days >= days.quantile(0.7)
    flipped = test.assign(late=test["late"].where(~late, 1 - test["late"]))
    fitted = fit_winner(
        COLUMNS, FAMILIES, train, validation, flipped, trained.recipe, None, few, 0, CODE
    )
    [one, other] = (
        scores_of_rows(COLUMNS, COLUMNS.task.output(), each.evaluated, COLUMNS.features, test)
        for each in (trained.fitted, fitted)
    )
    same = one == other
    assert same[~late].all()
    assert not same.all()


def test_a_model_that_is_fitted_to_noise_is_found_out(few: Modelling) -> None:
    rows = loans(150)
    rows["defaulted"] = rows["defaulted"].sample(frac=1, random_state=0).to_numpy()
    params = few.model_copy(update={"n_trials": {"gradient_boosting": 1}})
    windows = split_windows(LOANS, ibis.memtable(rows), AS_OF, params)
    recipe = {
        "family": "gradient_boosting",
        "hyperparameters": {"max_iter": 200, "min_samples_leaf": 1},
        "n_trials": {},
        "choice": "",
    }

    fitted = fit_winner(LOANS, FAMILIES, *windows, recipe, None, params, 0, CODE)

    test, said = windows[2], {}
    for name, asked in (("out of fold", fitted.evaluated), ("learned", fitted.final)):
        scores = scores_of_rows(LOANS, LOANS.task.output(), asked, LOANS.features, test)
        said[name] = LOANS.task.tells(test["defaulted"].to_numpy(float), scores)
    assert said["learned"] > 0.99
    assert said["out of fold"] < 0.7
