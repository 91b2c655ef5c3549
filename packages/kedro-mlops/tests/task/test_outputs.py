"""What is answered of one row is what is answered of it among many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedro_mlops.task.outputs import (
    OUTPUTS,
    Output,
    Probabilities,
    Probability,
    Quantity,
)
from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.tasks import TASKS

CLASSES = ["a", "b", "c", "d"]
quick = settings(max_examples=60, deadline=None)
# ties are as likely as not
CHANCE = st.one_of(st.integers(0, 10).map(lambda n: n / 10), st.floats(0, 1))
CHANCES = st.lists(CHANCE, min_size=4, max_size=4)
PRICES = st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=4, max_size=4)
RULES = st.one_of(st.just(DecisionRule()), PRICES.map(lambda prices: DecisionRule(costs=prices)))
NUMBER = st.one_of(st.floats(-10, 10), st.floats(-1e9, 1e9))
PLACES = st.lists(st.integers(-9, 9), min_size=2, max_size=9, unique=True).map(sorted)
REACH = st.one_of(
    st.fixed_dictionaries({"margin": st.floats(0, 1e6)}),
    PLACES.map(lambda at: {"margins": [(float(place), 10.0 + place) for place in at]}),
)

ASKED = st.one_of(
    st.tuples(
        CHANCE.map(lambda limit: Probability(DecisionRule(threshold=limit), [False, True])),
        st.lists(CHANCE, min_size=1, max_size=50),
    ),
    st.tuples(
        RULES.map(lambda rule: Probabilities(rule, CLASSES)),
        st.lists(CHANCES, min_size=1, max_size=50),
    ),
    st.tuples(
        REACH.map(lambda said: Quantity(DecisionRule(**said, coverage=0.9))),
        st.lists(NUMBER, min_size=1, max_size=50),
    ),
)


@given(asked=ASKED)
@settings(max_examples=300, deadline=None)
def test_a_row_is_answered_alike_alone_and_among_others(asked: tuple[Output, list]) -> None:
    output, scores = asked

    of_rows = output.of_rows(np.array(scores))

    assert list(of_rows) == [told.name for told in output.told]
    singly = [output.of_row(score) for score in scores]
    assert [*zip(*(column.tolist() for column in of_rows.values()), strict=True)] == singly
    columns = output.columns(np.array(scores))
    for of_many in (output.score_told, output.decided, output.is_sound):
        one_by_one = [np.asarray(of_many(told)).tolist() for told in singly]
        assert np.asarray(of_many(columns)).tolist() == one_by_one
    other = [*columns[:1], *(column[::-1] for column in columns[1:])]
    differ = [
        bool(output.differ(*told)) for told in zip(singly, zip(*other, strict=True), strict=True)
    ]
    assert np.asarray(output.differ(columns, other)).tolist() == differ


@given(asked=ASKED)
@quick
def test_scores_are_read_back_from_the_columns_that_hold_them(asked: tuple[Output, list]) -> None:
    output, scores = asked

    np.testing.assert_array_equal(output.scores_in(output.of_rows(np.array(scores))), scores)
    columns = output.named(np.array(scores), "other")
    np.testing.assert_array_equal(output.scores_in(columns, "other"), scores)
    assert not columns.keys() & output.of_rows(np.array(scores)).keys()


@pytest.mark.parametrize(
    ("output", "sound", "unsound"),
    [
        (Probability(), (0.5, True), [(1.5, True), (np.nan, True), (-0.1, False)]),
        (
            Probabilities(classes=["a", "b"]),
            (0.5, 0.5, "a"),
            [(1.5, 0.1, "a"), (0.1, np.nan, "a"), (0.1, -0.1, "a")],
        ),
        (Quantity(), (-5.0, -6.0, -4.0), [(np.inf, 0, 0), (np.nan, 0, 0)]),
    ],
)
def test_what_can_be_no_prediction_is_not_sound(
    output: Output, sound: tuple, unsound: list[tuple]
) -> None:
    assert output.is_sound(sound)
    assert not any(output.is_sound(told) for told in unsound)


def test_numbers_differ_if_each_is_unlikely_to_the_other() -> None:
    one, near, far, sure = (5.0, 3.0, 7.0), (6.5, 6.0, 7.0), (9.0, 8.0, 10.0), (6.0, 5.9, 6.1)

    assert Quantity().differ(one, far)
    assert not Quantity().differ(one, near)
    # the wider of the two holds the other
    assert not Quantity().differ(one, sure)


class Half:
    """An estimator that has met two of three classes."""

    classes_ = np.array([2, 0])

    def predict_proba(self, rows: list) -> np.ndarray:
        return np.array([[0.75, 0.25]] * len(rows))


def test_a_class_that_was_never_met_has_no_chance_and_the_others_theirs() -> None:
    scores = Probabilities(classes=["a", "b", "c"]).ask(Half(), [1, 2])

    assert scores.tolist() == [[0.25, 0, 0.75]] * 2


def test_what_is_tried_is_a_score_of_two_rows_each() -> None:
    rule = DecisionRule(threshold=0.5, margin=1)
    for output in (make(rule, ["a", "b", "c"]) for make in OUTPUTS.values()):
        assert all(len(column) == 2 for column in output.columns(output.tried))


def test_every_task_has_its_output() -> None:
    assert TASKS.keys() == OUTPUTS.keys()
    rule = DecisionRule(threshold=0.5)
    for name, task in TASKS.items():
        assert task("label", ("a", "b"), "km").output(rule) == OUTPUTS[name](rule, ["a", "b"], "km")


def test_who_reads_predictions_is_told_what_they_need() -> None:
    assert Probability(DecisionRule(threshold=0.4), ["no", "yes"]).about == {
        "positive": "yes", "classes": ["no", "yes"], "threshold": 0.4,
    }  # fmt: skip
    assert Quantity(DecisionRule(margin=2, coverage=0.9), unit="km").about == {
        "margin": 2, "coverage": 0.9, "unit": "km",
    }  # fmt: skip
    lower = Quantity(DecisionRule(margin=2, coverage=0.9), unit="km").told[1]
    said = "Lower end of the interval in which it is to lie, 90% of the time, in km"
    assert lower.description == said
