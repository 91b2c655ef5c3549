import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.task.multiclass import Multiclass, row_log_loss
from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.task import MIN_ROWS, Costs

CLASSES = ("a", "b", "c")
TASK = Multiclass("kind", CLASSES)
CODES = range(len(CLASSES))
ALL = np.eye(len(CLASSES))

# few distinct probabilities, so that many rows tie
PROBABILITIES = st.lists(st.integers(1, 6), min_size=3, max_size=3)
ROW = st.tuples(st.sampled_from(CODES), PROBABILITIES, st.integers(0, 3), st.integers(0, 3))
ROWS = st.lists(ROW, min_size=2, max_size=30)
quick = settings(max_examples=60, deadline=None)


def arrays(rows):
    """Codes, labels, probabilities and two resamples, none of which is empty."""
    codes, parts, *weights = zip(*rows, strict=True)
    assume(all(sum(w) for w in weights))
    p = np.array(parts, dtype=np.float64)
    codes = np.array(codes)
    return codes, ALL[codes], p / p.sum(axis=1, keepdims=True), np.array(weights, dtype=np.float64)


def one_vs_rest(codes, p, weights):
    """Of the classes that a resample has besides others."""
    drawn = {*codes[weights > 0].tolist()}
    areas = [
        sklearn_metrics.roc_auc_score(codes == code, p[:, code], sample_weight=weights)
        for code in drawn
        if len(drawn) > 1
    ]
    return np.mean(areas) if areas else np.nan


def log_loss(codes, p, weights):
    return sklearn_metrics.log_loss(codes, p, sample_weight=weights, labels=[*CODES])


@pytest.mark.parametrize(("name", "expected"), [("log_loss", log_loss), ("roc_auc", one_vs_rest)])
@given(rows=ROWS)
@quick
def test_a_metric_of_weighted_rows_is_scikit_learns(name, expected, rows):
    codes, y, p, weights = arrays(rows)

    values = TASK.metrics.of_scores[name](y, p, weights)

    assert values == pytest.approx([expected(codes, p, w) for w in weights], nan_ok=True)


def test_the_area_of_all_classes_is_scikit_learns_average_of_one_against_the_rest():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], 500)
    codes = np.array([rng.choice(3, p=row) for row in p])

    [value] = TASK.metrics.of_scores["roc_auc"](ALL[codes], p, np.ones((1, 500)))

    assert value == pytest.approx(sklearn_metrics.roc_auc_score(codes, p, multi_class="ovr"))


@given(rows=ROWS)
@quick
def test_the_calibration_error_is_that_of_the_most_probable_class(rows):
    codes, y, p, weights = arrays(rows)
    right, top = codes == p.argmax(axis=1), p.max(axis=1)

    values = TASK.metrics.of_scores["calibration_error"](y, p, weights)

    bins = np.minimum((top * 10).astype(int), 9)
    expected = [
        sum(abs((w * (right - top))[bins == each].sum()) for each in range(10)) / w.sum()
        for w in weights
    ]
    assert values == pytest.approx(expected)
    curve = TASK.calibration_curve(y, p)
    gaps = (curve["observed"] - curve["predicted"]).abs()
    [unweighted] = TASK.metrics.of_scores["calibration_error"](y, p, np.ones((1, len(y))))
    assert np.average(gaps, weights=curve["n_rows"]) == pytest.approx(unweighted)


DECISIONS = {
    "accuracy": sklearn_metrics.accuracy_score,
    "balanced_accuracy": lambda y, said, sample_weight: sklearn_metrics.recall_score(
        y, said, labels=np.unique(y), average="macro", sample_weight=sample_weight
    ),
    "macro_f1": lambda y, said, sample_weight: sklearn_metrics.f1_score(
        y, said, average="macro", sample_weight=sample_weight
    ),
}


@pytest.mark.parametrize("name", DECISIONS)
@given(rows=ROWS)
@quick
def test_a_metric_of_decisions_is_scikit_learns(name, rows):
    codes, y, p, weights = arrays(rows)
    taken = p.argmax(axis=1)

    values = TASK.metrics.of_decisions[name](y, ALL[taken], weights)

    # a resample may lack a class
    expected = [
        DECISIONS[name](codes[w > 0], taken[w > 0], sample_weight=w[w > 0]) for w in weights
    ]
    assert values == pytest.approx(expected)


@given(rows=ROWS)
@quick
def test_the_loss_on_chances_is_the_loss_to_expect_of_their_labels(rows):
    _, _, p, _ = arrays(rows)
    chances = p[::-1]

    expected = row_log_loss(chances, p)

    of_each = [row_log_loss(np.broadcast_to(ALL[code], p.shape), p) for code in CODES]
    assert expected == pytest.approx((chances.T * of_each).sum(axis=0))


def simulated(n_rows=30_000):
    """Labels that come with some chances, and scores that are too sure of themselves."""
    rng = np.random.default_rng(0)
    logits = rng.normal([0, -0.5, 0.5], 1, (n_rows, 3))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = ALL[(rng.random((n_rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=2)]
    said = np.exp(2 * logits + [0.5, 0, 0])
    return labels, said / said.sum(axis=1, keepdims=True)


def test_the_loss_that_is_estimated_without_labels_is_the_one_that_is_realised():
    y, p = simulated()
    half = len(y) // 2
    calibration = TASK.calibrate(y[:half], p[:half])

    expected = TASK.expected(p[half:], calibration, None)

    # logits that were doubled are halved, and the class that was favoured no more is
    assert calibration.slope == pytest.approx(0.5, abs=0.03)
    assert calibration.intercept[1] - calibration.intercept[0] == pytest.approx(0.25, abs=0.07)
    assert expected.sum(axis=1) == pytest.approx(1)
    assert expected.mean(axis=0) == pytest.approx(y[half:].mean(axis=0), abs=0.01)
    one = np.ones((1, half))
    for name, metric in TASK.estimated_metrics.of_scores.items():
        [estimated], [realised], [naive] = (
            metric(label, p[half:], one) for label in (expected, y[half:], p[half:])
        )
        assert estimated == pytest.approx(realised, rel=0.02), name
        assert abs(naive - realised) > 5 * abs(estimated - realised), name


def test_scores_of_nought_and_one_can_be_calibrated():
    y = np.tile(ALL, (20, 1))
    sure = np.where(np.arange(len(y))[:, None] % 10, y, np.roll(y, 1, axis=1))

    expected = TASK.expected(sure, TASK.calibrate(y, sure), None)

    assert np.isfinite(expected).all()
    assert expected.max(axis=1) == pytest.approx(0.9, abs=0.01)


PRICES = st.lists(st.integers(0, 9), min_size=9, max_size=9)


@given(rows=ROWS, prices=PRICES)
@quick
def test_the_class_is_taken_that_is_expected_to_cost_least(rows, prices):
    codes, y, p, _ = arrays(rows)
    matrix = np.array(prices).reshape(3, 3) * (1 - ALL)
    said = {
        true: {
            taken: matrix[i, j] for j, taken in enumerate(CLASSES) if i != j
        } for i, true in enumerate(CLASSES)
    }  # fmt: skip
    costs = Costs(of_classes=said)

    rule = TASK.choose_rule(y, p, costs)
    predicted = TASK.output(rule).of_rows(p)

    taken = TASK.decided(predicted)
    assert rule == DecisionRule(costs=matrix.tolist())
    assert (taken.sum(axis=1) == 1).all()
    of_each = np.array([[matrix[:, j] @ row for j in CODES] for row in p])
    assert (of_each * taken).sum(axis=1) == pytest.approx(of_each.min(axis=1))
    costs_of_rows = TASK.costs_of_rows(y, taken, costs)
    assert costs_of_rows.tolist() == matrix[codes, taken.argmax(axis=1)].tolist()
    [mean] = TASK.cost_metric(costs)["cost"](y, taken, np.ones((1, len(y))))
    assert mean == pytest.approx(costs_of_rows.mean())


def test_a_class_that_is_dear_to_miss_is_taken_though_it_is_not_the_most_probable():
    p = np.array([[0.6, 0.3, 0.1]])
    rule = TASK.choose_rule(ALL, ALL, Costs(of_classes={"b": {"a": 5}}))

    assert TASK.output().of_rows(p)["prediction"].tolist() == ["a"]
    assert TASK.output(rule).of_rows(p)["prediction"].tolist() == ["b"]


def test_without_prices_a_wrong_class_costs_one_and_the_most_probable_is_taken():
    assert TASK.choose_rule(ALL, ALL, Costs()) == DecisionRule()
    assert TASK.costs_of_rows(ALL, np.roll(ALL, 1, axis=0), Costs()).tolist() == [1, 1, 1]
    assert TASK.costs_of_rows(ALL, ALL, Costs()).tolist() == [0, 0, 0]


@pytest.mark.parametrize("priced", [{"aa": {"b": 2}}, {"b": {"aa": 2}}])
def test_the_price_of_a_class_that_there_is_not_is_refused(priced):
    with pytest.raises(
        ProjectError, match=r"names 'aa', which is no class of 'kind'\. Did you mean 'a'"
    ):
        TASK.choose_rule(ALL, ALL, Costs(of_classes=priced))


def test_rows_are_counted_by_the_true_class_and_the_one_that_is_taken():
    y, taken = ALL[[0, 0, 0, 1, 2]], ALL[[0, 1, 1, 1, 0]]

    found = TASK.confusion(y, taken)

    assert {what: n for what, n in found.items() if n} == {
        "a": 1, "a taken for b": 2, "b": 1, "c taken for a": 1,
    }  # fmt: skip
    wrong, of = TASK.row_rates(y, taken, taken)["error_rate"]
    assert (wrong.sum(), of.sum()) == (3, 5)


@pytest.mark.parametrize(
    ("n_rows", "enough"),
    [((MIN_ROWS, MIN_ROWS, 0), True), ((99, MIN_ROWS - 1, 1), False), ((0, 99, 0), False)],
)
def test_rows_say_something_if_there_are_some_of_two_classes(n_rows, enough):
    assert TASK.is_enough(np.repeat(ALL, n_rows, axis=0)) is enough


def test_a_feature_tells_as_much_as_of_the_class_that_it_tells_best():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 2000)
    noise = rng.dirichlet([1, 1, 1], 2000)
    leak = np.column_stack([noise[:, 0], codes == 1, noise[:, 2]])

    assert TASK.tells(ALL[codes], leak) == 1
    assert 0.5 <= TASK.tells(ALL[codes], noise) < 0.55
    assert [*TASK.roc_curves(ALL[codes[codes < 2]], leak[codes < 2])] == ["a", "b"]


def test_few_rows_that_are_told_apart_do_not_make_scores_surer():
    y = ALL[[0, 1, 2] * 4]
    p = 0.7 * y + 0.1

    calibration = TASK.calibrate(y, p)

    assert 1 < calibration.slope < 2
    assert TASK.expected(p, calibration, None).max() < 0.98
