from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from example.contracts import Observation
from example.factories import of_another_scikit_learn, protected
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.names import own
from kedro_mlops.gate.behaviour import Behaviour, check_behaviour
from kedro_mlops.gate.checks import metric_checks
from kedro_mlops.gate.nodes import Gate, admit, check_candidate, judge, read_limits
from kedro_mlops.measures.evaluation import Footprint
from kedro_mlops.modelling.evaluation import evaluate, evaluate_slices
from kedro_mlops.models.package import scores_of
from kedro_mlops.models.preprocessing import tree_preprocessing
from kedro_mlops.task.metrics import NO_MORE, Metrics

COLUMNS = Columns.of(Observation)
OUTPUT = COLUMNS.task.output()
X, Y, TIME = COLUMNS.features, COLUMNS.label, COLUMNS.event_time
TEST_START, AS_OF = pd.to_datetime(["2013-03-18", "2013-04-01"])
EARLIER = {
    "version": "20130318-earlier",
    "as_of": TEST_START,
    "trained_until": TEST_START,
    "evaluated_until": pd.Timestamp("2013-03-04"),
}
NO_LIMITS = {
    "min_loss_won": 0,
    "at_least": {},
    "at_most": {},
    "max_loss_increase": 0.01,
    "slices": {"min_rows": 10_000, "at_least": {"roc_auc": 0.5}, "max_loss_increase": 0.05},
    "fairness": {"min_rows": 100, "max_difference": {"selection_rate": 0.2}},
    "max_single_feature_auc": 0.85,
    "max_model_megabytes": 20,
    "max_one_row_milliseconds": 100,
    "require_approval": False,
}
HONEST = pd.DataFrame({"feature": ["humid", "windy"], "tells": [0.6, 0.7]})
WELL_BEHAVED = pd.DataFrame(
    {"name": ["calm"], "value": [0.01], "limit": [0.02], "passed": [True], "detail": ["little"]}
)
SMALL = Footprint(
    training_seconds=1,
    n_training_rows=1000,
    model_bytes=500_000,
    engine="compiled trees",
    one_row_milliseconds=0.01,
)

# what bad baselines say
BASELINES = {own(name): 0.99 for name in ("base_rate", "shallow_tree")}


@pytest.fixture
def test(windows):
    return windows[2]


@pytest.fixture
def good(trained):
    """Predictions of a good candidate: the real ones, every other moved towards the truth."""
    rows = trained.predictions
    step = np.where(np.arange(len(rows)) % 2, 0.4, 0)
    return rows.assign(probability=rows["probability"] + step * (rows[Y] - rows["probability"]))


@pytest.fixture
def champion(package):
    """A champion that has not seen the test window."""
    return package.with_record(**EARLIER)


@pytest.fixture
def oracle(champion, test):
    """A champion that knows the labels of the test window by heart."""
    model = make_pipeline(tree_preprocessing(COLUMNS), DecisionTreeClassifier(random_state=0))
    return replace(champion, estimator=model.fit(test[X], test[Y]))


@pytest.fixture
def collapsed(good):
    """Predictions that are good everywhere but at one depot, where they are turned around."""
    there = good["depot"] == "NORTH"
    turned = (1 - good["probability"]).clip(0.2, 0.8)
    return good.assign(probability=good["probability"].where(~there, turned), **BASELINES)


@pytest.fixture
def ask(package, test, good, bootstrap):
    """Let the gate judge the package on given predictions."""

    def ask(
        incumbent=None,
        predictions=good,
        rows=test,
        alone=HONEST,
        behaviour=WELL_BEHAVED,
        footprint=SMALL,
        contract=COLUMNS,
        **limits,
    ):
        metrics = evaluate(contract, predictions, bootstrap)
        candidate = package.with_record(metrics=metrics.candidate)
        slices = evaluate_slices(COLUMNS, predictions, bootstrap)
        params = Gate(**(NO_LIMITS | limits))
        found = alone, behaviour, footprint, params, bootstrap
        checks = check_candidate(contract, candidate, predictions, metrics, slices, *found)
        return judge(COLUMNS, candidate, incumbent, checks, rows, predictions, params, bootstrap)

    return ask


def named(decision, start):
    [check] = [check for check in decision.checks if check.name.startswith(start)]
    return check


def mean_loss(rows, p):
    return log_loss(rows[Y], p, labels=[0, 1])


def test_a_candidate_is_let_in_with_the_rows_that_it_was_trained_on(package, windows):
    assert admit(package, *windows) is package


def test_a_candidate_of_other_rows_is_refused_with_what_to_do(package, windows):
    train, validation, test = windows
    others = test.assign(distance_km=test["distance_km"] + 1)

    with pytest.raises(ProjectError, match=rf"{package.version}: another training.*kedro run"):
        admit(package, train, validation, others)


def test_the_first_candidate_that_passes_every_check_is_promoted(ask, package):
    limits = {"at_least": {"roc_auc": 0.6}, "at_most": {"brier_score": 0.25}}

    decision = ask(**limits)

    assert decision.outcome == "promote"
    assert decision.candidate == package.version
    assert decision.champion_before is None
    assert decision.as_of == "2013-04-01"
    assert "no champion yet" in decision.reasons[0]
    assert all(check.passed for check in decision.checks)


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"at_least": {"roc_auc": 0.999}}, "roc_auc floor"),
        ({"at_least": {"average_precision": 0.999}}, "average_precision floor"),
        ({"at_most": {"calibration_error": 0.001}}, "calibration_error ceiling"),
        ({"at_most": {"log_loss": 0.01}}, "log_loss ceiling"),
    ],
)
def test_a_candidate_beyond_a_limit_is_blocked_whoever_serves(ask, champion, limits, name):
    [limit] = [value for group in limits.values() for value in group.values()]

    decisions = [ask(incumbent, **limits) for incumbent in (None, champion)]

    assert [decision.outcome for decision in decisions] == ["block", "block"]
    assert decisions[1].champion_before == champion.version
    for decision in decisions:
        assert named(decision, name).limit == limit
        assert not named(decision, name).passed
        [reason] = decision.reasons
        assert reason.startswith(f"Failed: {name} ")
        assert f"{limit:g}" in reason


def test_limits_themselves_are_acceptable(ask, good, bootstrap):
    measured = evaluate(COLUMNS, good, bootstrap).candidate
    at_least = {"roc_auc": measured["roc_auc"].value}
    at_most = {"log_loss": measured["log_loss"].value}

    decision = ask(at_least=at_least, at_most=at_most)

    assert decision.outcome == "promote"


@pytest.mark.parametrize("baseline", ["base_rate", "shallow_tree"])
def test_a_candidate_that_does_not_beat_every_baseline_is_blocked(ask, good, baseline):
    unbeaten = good.assign(**{own(baseline): 0.3 * good["probability"] + 0.7 * good[Y]})

    decision = ask(predictions=unbeaten)

    assert decision.outcome == "block"
    failed = [f"better than {baseline}", "loss won from the better baseline"]
    assert [c.name for c in decision.checks if not c.passed] == failed
    assert decision.reasons[0].startswith(f"Failed: better than {baseline} ")


def test_a_share_of_the_better_baselines_loss_has_to_be_won(ask, good):
    losses = {name: mean_loss(good, good[own(name)]) for name in ("base_rate", "shallow_tree")}
    better = min(losses, key=losses.get)
    share = 1 - mean_loss(good, good["probability"]) / losses[better]

    passed, blocked = (ask(min_loss_won=share + more) for more in (-1e-9, 1e-9))

    won = named(passed, "loss won")
    assert (won.value, won.limit) == pytest.approx((share, share))
    assert won.passed
    assert passed.outcome == "promote"
    assert not named(blocked, "loss won").passed
    assert blocked.outcome == "block"
    [reason] = blocked.reasons
    assert f"Failed: loss won from the better baseline ({share:.2%} of the log loss of" in reason
    assert f"{better}, {losses[better]:.4f}, limit {share:.2%}" in reason


def test_floors_of_single_metrics_may_be_left_out():
    limits = {name: limit for name, limit in NO_LIMITS.items() if not name.startswith("at_")}

    assert Gate(**limits) == Gate(**NO_LIMITS)


def test_to_be_as_good_as_a_baseline_is_not_enough(ask, good):
    tied = good.assign(probability=good[own("shallow_tree")])

    decision = ask(predictions=tied)

    assert decision.outcome == "block"
    assert named(decision, "better than shallow_tree").value == 0


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (
            {"at_least": {"roc_acu": 0.6}},
            r"gate\.at_least: .* metric 'roc_acu' of a binary task\. Did you mean 'roc_auc'",
        ),
        (
            {"slices": NO_LIMITS["slices"] | {"at_least": {"precision": 0.6}}},
            r"gate\.slices\.at_least: There is no main metric 'precision'",
        ),
        (
            {"fairness": {"min_rows": 100, "max_difference": {"selection": 0.1}}},
            r"gate\.fairness\.max_difference: .* rate 'selection' .*'selection_rate'",
        ),
    ],
)
def test_a_limit_on_a_metric_or_rate_that_does_not_exist_is_refused(limits, reason):
    with pytest.raises(ProjectError, match=reason):
        read_limits(COLUMNS, Gate(**(NO_LIMITS | limits)), NO_MORE)


def test_limits_on_metrics_that_exist_are_taken_as_they_are():
    own = Metrics({"own": COLUMNS.task.metrics.of_scores["log_loss"]})
    limits = Gate(**(NO_LIMITS | {"at_most": {"own": 0.6, "precision": 1}}))

    assert read_limits(COLUMNS, limits, own) is limits


def test_a_metric_that_is_not_defined_is_within_no_limit():
    checks = metric_checks({}, {"roc_auc": 0.5}, {"log_loss": 0.7})

    assert [check.passed for check in checks] == [False, False]


def test_the_champion_itself_trained_again_changes_nothing(ask, package):
    champion = package

    decision = ask(champion)

    assert decision.outcome == "keep"
    assert "is the champion" in decision.reasons[0]


def test_a_candidate_better_than_the_champion_is_promoted(ask, champion, good, test):
    loss_of_champion = mean_loss(test, champion.score(test))

    decision = ask(champion)

    check = named(decision, f"not worse than champion {champion.version}")
    assert decision.outcome == "promote"
    assert decision.champion_before == champion.version
    expected = mean_loss(good, good["probability"]) - loss_of_champion
    assert check.interval.value == pytest.approx(expected)
    assert check.value == check.interval.value < 0


def test_a_candidate_just_as_good_as_the_champion_is_promoted(ask, champion, good, test):
    equal = good.assign(probability=champion.score(test), **BASELINES)

    decision = ask(champion, predictions=equal, max_loss_increase=0)

    assert decision.outcome == "promote"
    assert named(decision, "not worse than champion").interval.value == 0


def test_a_candidate_worse_than_the_champion_is_kept_out(ask, oracle):
    better = oracle

    decision = ask(better)

    check = named(decision, "not worse than champion")
    assert decision.outcome == "keep"
    assert not check.passed
    assert check.value > check.limit == 0.01
    assert "is worse than the champion" in decision.reasons[0]


@pytest.fixture
def about_as_good(champion, test, good):
    """Predictions better than the champion's on even days and, more so, worse on odd ones."""
    serving, label = champion.score(test), good[Y]
    step = np.where(good[TIME].dt.day % 2, -0.06, 0.05)
    return good.assign(probability=(serving + step * (label - serving)).clip(0.001, 0.999))


def test_a_little_worse_is_accepted_while_it_may_be_chance(ask, champion, about_as_good):
    found = named(ask(champion, about_as_good), "not worse than champion").interval
    assert found.low < 0 < found.value

    tolerant = ask(champion, about_as_good, max_loss_increase=found.value + 1e-6)
    strict = ask(champion, about_as_good, max_loss_increase=found.value - 1e-6)

    assert (tolerant.outcome, strict.outcome) == ("promote", "keep")


def test_a_candidate_that_is_surely_worse_is_never_accepted(ask, oracle):
    decision = ask(oracle, max_loss_increase=100)

    check = named(decision, "not worse than champion")
    assert check.interval.low > 0
    assert decision.outcome == "keep"


def test_a_champion_trained_later_is_not_replaced(ask, package):
    later = package.with_record(**(EARLIER | {"as_of": pd.Timestamp("2013-05-01")}))

    decision = ask(later)

    assert decision.outcome == "keep"
    assert "2013-05-01" in decision.reasons[0]


@pytest.mark.parametrize("trained_until", ["2013-03-25", "2013-04-01"])
def test_a_champion_that_has_seen_test_rows_is_compared_as_it_was_measured(
    ask, oracle, good, test, trained_until
):
    moment = pd.Timestamp(trained_until)
    seen = oracle.with_record(as_of=moment, trained_until=moment, evaluated_until=TEST_START)

    decision = ask(seen)

    check = named(decision, "not worse than champion")
    measured = mean_loss(test, scores_of(OUTPUT, oracle.evaluated, test[X]))
    expected = mean_loss(good, good["probability"]) - measured
    assert check.interval.value == pytest.approx(expected)
    assert decision.outcome == "promote"


def test_only_rows_that_the_champion_has_not_seen_are_compared(ask, champion, good, test):
    middle = pd.Timestamp("2013-03-25")
    unseen = test[TIME] >= middle
    seen = champion.with_record(trained_until=AS_OF, evaluated_until=middle)

    decision = ask(seen)

    measured = mean_loss(test[unseen], scores_of(OUTPUT, champion.evaluated, test.loc[unseen, X]))
    expected = mean_loss(good[unseen], good.loc[unseen, "probability"]) - measured
    value = named(decision, "not worse than champion").interval.value
    assert value == pytest.approx(expected)


def test_without_the_measured_model_the_serving_one_is_compared_on_rows_it_has_not_seen(
    ask, champion, good, test
):
    middle = pd.Timestamp("2013-03-25")
    unseen = test[TIME] >= middle
    seen = replace(champion.with_record(trained_until=middle), evaluated=None)

    decision = ask(seen)

    expected = mean_loss(good[unseen], good.loc[unseen, "probability"]) - mean_loss(
        test[unseen], champion.score(test[unseen])
    )
    value = named(decision, "not worse than champion").interval.value
    assert value == pytest.approx(expected)


def test_a_champion_that_has_seen_every_row_stays(ask, champion):
    seen = replace(champion.with_record(trained_until=AS_OF), evaluated=None)

    decision = ask(seen)

    assert decision.outcome == "keep"
    assert "every row that the candidate was tested on" in decision.reasons[0]


@pytest.mark.parametrize("trained_until", ["2013-03-18", "2013-03-25"])
def test_a_champion_that_cannot_be_asked_leaves_the_choice_to_a_person(
    ask, champion, package, trained_until
):
    moment = pd.Timestamp(trained_until)
    unloadable = of_another_scikit_learn(champion.with_record(trained_until=moment))

    decision = ask(unloadable)

    [reason] = decision.reasons
    assert decision.outcome == "await_approval"
    assert decision.champion_before == unloadable.version
    assert "cannot be compared with: it is of 1.0.2." in reason
    assert f"`kedro champion promote {package.version} --reason …`" in reason


def test_a_champion_that_cannot_be_loaded_is_compared_by_what_stands_in_for_it(ask, oracle):
    unloadable = of_another_scikit_learn(oracle)
    stand_in = replace(unloadable.estimator, stand_in=oracle.score)

    decision = ask(replace(unloadable, estimator=stand_in))

    assert decision.outcome == "keep"
    assert named(decision, "not worse") == named(ask(oracle), "not worse")


def test_a_candidate_that_is_not_fit_is_blocked_also_where_the_champion_cannot_be_asked(
    ask, champion
):
    decision = ask(of_another_scikit_learn(champion), at_least={"roc_auc": 0.999})

    assert decision.outcome == "block"


def test_a_champion_that_needs_a_lost_feature_gives_way(ask, champion, test):
    lost = "van_volume"

    decision = ask(champion, rows=test.drop(columns=lost))

    assert decision.outcome == "promote"
    assert lost in decision.reasons[0]


def test_every_check_says_what_was_found_and_what_was_asked(ask, champion):
    limits = {"at_least": {"roc_auc": 0.6}, "at_most": {"log_loss": 0.01}}

    checks = [c for d in (ask(champion), ask(**limits)) for c in d.checks]

    assert [check.name for check in checks] == [
        "no leak through windy",
        "better than base_rate",
        "better than shallow_tree",
        "loss won from the better baseline",
        "behaviour: calm",
        "model megabytes",
        "one-row milliseconds",
        f"not worse than champion {champion.version}",
        "no leak through windy",
        "roc_auc floor",
        "log_loss ceiling",
        "better than base_rate",
        "better than shallow_tree",
        "loss won from the better baseline",
        "behaviour: calm",
        "model megabytes",
        "one-row milliseconds",
    ]
    for check in checks:
        assert isinstance(check.passed, bool)
        assert np.isfinite([check.value, check.limit]).all()
        assert check.detail


def test_a_feature_that_gives_the_label_away_blocks_by_name(ask, champion):
    alone = pd.DataFrame({"feature": ["humid", "told", "leak"], "tells": [0.6, 0.86, 0.99]})

    decision = ask(champion, alone=alone)

    failed = [check.name for check in decision.checks if not check.passed]
    assert decision.outcome == "block"
    assert failed == ["no leak through leak", "no leak through told"]
    assert decision.reasons[0] == "Failed: no leak through leak (0.99, limit 0.85)."


def test_the_strongest_honest_feature_is_on_record(ask):
    decision = ask()

    check = named(decision, "no leak through")
    assert check.name == "no leak through windy"
    assert check.passed
    assert (check.value, check.limit) == (0.7, 0.85)


# only the airports have so many rows
SLICES = {"min_rows": 250, "at_least": {"roc_auc": 0.55}, "max_loss_increase": 0.05}


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ({"footprint": SMALL.model_copy(update={"model_bytes": 20_500_000})}, "model megabytes"),
        (
            {"footprint": SMALL.model_copy(update={"one_row_milliseconds": 130.0})},
            "one-row milliseconds",
        ),
        ({"behaviour": WELL_BEHAVED.assign(value=0.3, passed=False)}, "behaviour: calm"),
    ],
)
def test_a_candidate_too_large_too_slow_or_ill_behaved_is_blocked_by_name(
    ask, champion, found, name
):
    decision = ask(champion, **found)

    assert decision.outcome == "block"
    assert [check.name for check in decision.checks if not check.passed] == [name]
    assert decision.reasons[0].startswith(f"Failed: {name} (")


def test_a_candidate_that_lowers_risk_with_wind_is_blocked_by_name(ask, package, test, parameters):
    lowering = make_pipeline(FunctionTransformer(_calm), LogisticRegression())
    lowering.fit(test[X], np.arange(len(test)) % 2)
    lowering[-1].coef_, lowering[-1].intercept_ = np.array([[-0.05]]), np.array([0.0])
    suite = Behaviour(**parameters["behaviour"])

    found = check_behaviour(COLUMNS, replace(package, estimator=lowering), test, suite, seed=0)
    decision = ask(behaviour=found)

    failed = [check.name for check in decision.checks if not check.passed]
    assert decision.outcome == "block"
    assert failed == ["behaviour: more wind does not lower the risk"]


def _calm(rows):
    return rows[["wind_kmh"]].fillna(0)


def test_a_candidate_one_slice_of_which_collapses_is_blocked_by_its_name(ask, collapsed):
    whole = ask(predictions=collapsed)

    decision = ask(predictions=collapsed, slices=SLICES)

    failed = [check.name for check in decision.checks if not check.passed]
    assert whole.outcome == "promote"
    assert decision.outcome == "block"
    assert failed == ["slice depot=NORTH: roc_auc floor"]


def test_a_candidate_surely_worse_than_the_champion_on_a_slice_is_kept_out(
    ask, champion, test, good
):
    serving, label = champion.score(test), good[Y]
    step = np.where(good["depot"] == "NORTH", -0.2, 0.4)
    torn = good.assign(probability=(serving + step * (label - serving)).clip(0.001, 0.999))

    decision = ask(champion, torn, slices={**SLICES, "at_least": {"roc_auc": 0}})

    failed = [check.name for check in decision.checks if not check.passed]
    assert named(decision, "not worse than champion").value < 0
    assert decision.outcome == "keep"
    assert failed == ["slice depot=NORTH: not worse than champion"]
    assert "worse than the champion on a slice: slice depot=NORTH" in decision.reasons[0]


def test_a_candidate_that_treats_groups_unlike_is_blocked_by_the_column(ask, champion, good):
    unlike = good.assign(decision=good["depot"] == "NORTH")

    decision = ask(champion, unlike, contract=protected(COLUMNS, "depot"))

    [name] = [check.name for check in decision.checks if not check.passed]
    assert decision.outcome == "block"
    assert name == "fairness of depot: selection_rate difference"
    assert decision.reasons[0].startswith(f"Failed: {name} (1.0000 [1.0000, 1.0000] from ")
    assert ask(champion, unlike).outcome == "promote"


def test_a_candidate_that_was_rolled_back_is_not_promoted_again(ask, champion, package):
    returned_to = champion.with_record(withdrawn=["another", package.version])

    decision = ask(returned_to)

    assert decision.outcome == "keep"
    [reason] = decision.reasons
    assert "was rolled back" in reason
    assert f"`kedro champion promote {package.version} --reason …`" in reason


def test_where_a_person_approves_a_candidate_that_passed_waits(ask, champion, package):
    promoted = ask(champion)

    decision = ask(champion, require_approval=True)

    assert decision.outcome == "await_approval"
    [*reasons, last] = decision.reasons
    assert reasons == promoted.reasons
    assert f"`kedro champion promote {package.version} --reason …`" in last


def test_what_is_not_fit_waits_for_nobody(ask, champion, oracle, package):
    withdrawn = oracle.with_record(withdrawn=[package.version])

    blocked = ask(champion, at_least={"roc_auc": 0.999}, require_approval=True)
    kept = ask(withdrawn, require_approval=True)

    assert blocked.outcome == "block"
    assert kept.outcome == "keep"
    assert "is worse than the champion" in kept.reasons[0]


def test_a_decision_says_that_the_gate_took_it_and_as_of_when(ask):
    decision = ask()

    assert decision.decided_by == "gate"
    assert decision.decided_at == "2013-04-01T00:00:00"


def test_figures_of_another_training_judge_nobody(package, good, bootstrap):
    metrics = evaluate(COLUMNS, good, bootstrap)
    candidate = package.with_record(metrics=metrics.candidate)
    others = evaluate(COLUMNS, good.head(500), bootstrap)
    slices = evaluate_slices(COLUMNS, good, bootstrap)
    found = slices, HONEST, WELL_BEHAVED, SMALL, Gate(**NO_LIMITS), bootstrap

    assert all(check.passed for check in check_candidate(COLUMNS, candidate, good, metrics, *found))
    with pytest.raises(ProjectError, match=f"not measured on the candidate {package.version}"):
        check_candidate(COLUMNS, candidate, good, others, *found)


def test_rows_of_another_training_judge_nobody(package, test, good, bootstrap):
    limits = Gate(**NO_LIMITS)

    assert judge(COLUMNS, package, None, [], test, good, limits, bootstrap).outcome == "promote"
    with pytest.raises(ProjectError, match="pipelines=modelling,gate,release"):
        judge(COLUMNS, package, None, [], test.iloc[::-1], good, limits, bootstrap)
