"""Whatever is asked, a candidate that earns it is promoted, and one that does not is not."""

from dataclasses import replace
from typing import Any

import pytest
from example.tasks import SEED, Life

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.gate.behaviour import Behaviour, check_behaviour, read_suite
from kedro_mlops.gate.nodes import Gate, check_candidate, judge, read_limits
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.modelling import evaluation
from kedro_mlops.modelling.fitting import fit
from kedro_mlops.models.decision import Decision
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.task.metrics import NO_MORE

# what keeps each model from learning: its prior is all
DULL: dict[str, dict[str, Any]] = {"logistic_regression": {"C": 1e-9}, "ridge": {"alpha": 1e9}}
LIMITS = {
    "multiclass": {"at_least": {"roc_auc": 0.6, "accuracy": 0.4}, "slices": {"roc_auc": 0.6}},
    "regression": {"at_least": {"r2": 0.3}, "slices": {"r2": 0.2}},
}
CHANGES = {"multiclass": 0.001, "regression": 0.5}


def limits_of(life: Life, **changes: Any) -> Gate:
    said = LIMITS[life.columns.task.name]
    limits = {
        "min_loss_won": 0.01,
        "at_least": said["at_least"],
        "max_loss_increase": 0.01,
        "slices": {"min_rows": 100, "at_least": said["slices"], "max_loss_increase": 0.05},
        "fairness": {"min_rows": 100, "max_difference": {life.columns.task.rates[0]: 0.5}},
        "max_single_feature_auc": 0.95,
        "max_model_megabytes": 20,
        "max_one_row_milliseconds": 500,
        "require_approval": False,
    }
    return Gate(**(limits | changes))


def suite_of(life: Life, expect: str = "not_lower") -> Behaviour:
    """Farther is later, and the van does not matter."""
    output = life.columns.task.output()
    [*_, score] = output.score_columns()
    small = CHANGES[life.columns.task.name]
    farther = {
        "name": "farther",
        "add": {"distance_km": 500},
        "expect": expect,
        "score": score,
        "tolerance": small,
    }
    van = {"name": "another van", "swap": ["van_year", "van_volume"], "max_change": 100 * small}
    return Behaviour(n_rows=300, invariance=[van], direction=[farther])


def judged(
    life: Life,
    candidate: ModelPackage,
    bootstrap: Bootstrap,
    champion: ModelPackage | None = None,
    expect: str = "not_lower",
    **limits: Any,
) -> Decision:
    """What the gate says of a model that was fitted without the test window."""
    columns, (train, validation, test) = life.columns, life.windows
    fitted = replace(life.trained.fitted, evaluated=candidate.estimator)
    rule = candidate.metadata.rule
    predictions = evaluation.predict_test(columns, fitted, train, validation, test, rule, SEED)
    metrics = evaluation.evaluate(columns, predictions, bootstrap)
    candidate = candidate.with_record(metrics=metrics.candidate)
    params = read_limits(columns, limits_of(life, **limits), NO_MORE)
    suite = read_suite(columns, suite_of(life, expect))
    checks = check_candidate(
        columns,
        candidate,
        predictions,
        metrics,
        evaluation.evaluate_slices(columns, predictions, bootstrap),
        evaluation.measure_single_features(columns, *life.windows, life.params, SEED),
        check_behaviour(columns, candidate, test, suite, SEED),
        evaluation.measure_footprint(columns, candidate, test, fitted, 1e-9),
        params,
        bootstrap,
    )
    return judge(columns, candidate, champion, checks, test, predictions, params, bootstrap)


def before_the_test_window(life: Life, package: ModelPackage, version: str) -> ModelPackage:
    """The package as one of which the test window is news."""
    start = life.windows[2][life.columns.event_time].min().normalize()
    return package.with_record(
        version=version, as_of=start, trained_until=start, evaluated_until=start
    )


@pytest.fixture(scope="module")
def good(life: Life) -> ModelPackage:
    return life.of_family(life.linear)


@pytest.fixture(scope="module")
def dull(life: Life) -> ModelPackage:
    return life.of_family(life.linear, **DULL[life.linear])


def test_a_candidate_that_is_good_becomes_the_first_champion(
    life: Life, good: ModelPackage, bootstrap: Bootstrap
) -> None:
    decision = judged(life, good, bootstrap)

    assert (decision.outcome, decision.reasons) == (
        "promote", ["There is no champion yet, and the candidate passed every check."],
    )  # fmt: skip
    names = " ".join(check.name for check in decision.checks)
    for named in ("no leak", "floor", "slice ", "better than", "loss won", "behaviour", "megabyte"):
        assert named in names


def test_a_candidate_that_learned_nothing_is_blocked(
    life: Life, dull: ModelPackage, bootstrap: Bootstrap
) -> None:
    decision = judged(life, dull, bootstrap)

    failed = {check.name for check in decision.checks if not check.passed}
    assert decision.outcome == "block"
    assert {"better than shallow_tree", "loss won from the better baseline"} <= failed


def test_the_better_model_wins_the_contest(
    life: Life, good: ModelPackage, dull: ModelPackage, bootstrap: Bootstrap
) -> None:
    champion = before_the_test_window(life, dull, "20130101-dull")

    won = judged(life, good, bootstrap, champion)

    [check] = [c for c in won.checks if c.name == "not worse than champion 20130101-dull"]
    assert won.outcome == "promote"
    assert check.interval is not None and check.interval.high < 0
    assert won.champion_before == "20130101-dull"


def test_a_candidate_that_is_worse_than_the_champion_is_kept_out(
    life: Life, good: ModelPackage, bootstrap: Bootstrap
) -> None:
    family = FAMILIES["gradient_boosting"]
    by_heart = fit(life.columns, family, family.default, SEED, life.windows[2])
    oracle = before_the_test_window(life, replace(good, estimator=by_heart), "20130101-oracle")

    lost = judged(life, good, bootstrap, oracle)

    loss = life.columns.task.loss.replace("_", " ")
    assert lost.outcome == "keep"
    assert lost.reasons[0].startswith(f"The candidate is worse than the champion: {loss} differs")


def test_behaviour_is_of_the_score_that_is_named(
    life: Life, good: ModelPackage, bootstrap: Bootstrap
) -> None:
    decision = judged(life, good, bootstrap, expect="not_higher")

    [failed] = [check for check in decision.checks if not check.passed]
    assert decision.outcome == "block"
    assert failed.name == "behaviour: farther"


def test_of_several_scores_one_has_to_be_named(life: Life) -> None:
    suite = suite_of(life)
    unnamed = suite.model_copy(
        update={"direction": [suite.direction[0].model_copy(update={"score": None})]}
    )
    if len(life.columns.task.output().score_columns()) == 1:
        assert read_suite(life.columns, unnamed) == unnamed
        return
    with pytest.raises(ProjectError, match="'farther' names 'None', which is not a score"):
        read_suite(life.columns, unnamed)


def test_limits_are_of_what_such_a_task_is_measured_by(life: Life) -> None:
    foreign = "r2" if life.columns.task.classes else "roc_auc"

    with pytest.raises(ProjectError, match=f"no metric '{foreign}' of a {life.columns.task.name}"):
        read_limits(life.columns, limits_of(life, at_least={foreign: 0.5}), NO_MORE)
    with pytest.raises(ProjectError, match=r"fairness.max_difference: There is no rate 'recall'"):
        fairness = {"min_rows": 9, "max_difference": {"recall": 0.1}}
        read_limits(life.columns, limits_of(life, fairness=fairness), NO_MORE)
