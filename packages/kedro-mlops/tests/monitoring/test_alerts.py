from example.factories import performance_of, quality_of, skew_of

from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.monitoring.alerts import raise_alerts
from kedro_mlops.monitoring.decisions import Alert, Guard, RetrainDecision, Trigger

GOOD, SERVED, LABELS = quality_of(CheckResult.at_most("skew", 0, 0.1)), skew_of(), performance_of()
COUNTED = LABELS.labels | {"repeated": 12, "pending": 5}
FIRED = Trigger(
    rule="performance", fired=True, value=0.6, limit=0.5, reason="Log loss 0.6 is worse."
)
YOUNG = Trigger(rule="age", fired=False, value=3, limit=90, reason="It is young.")
REFUSED = Guard(guard="cooldown", refused=True, reason="The last training was yesterday.")


def decision_of(*said: Trigger | Guard) -> RetrainDecision:
    return RetrainDecision.weigh(
        [YOUNG, *(one for one in said if isinstance(one, Trigger))],
        [Guard.of_data(None), *(one for one in said if isinstance(one, Guard))],
        decided_at="2013-05-01T00:00:00",
        model_version="v1",
    )


def test_while_all_is_well_there_are_none() -> None:
    assert raise_alerts(decision_of(), GOOD, LABELS, SERVED) == []


def test_a_guard_that_refuses_nobody_is_no_alert() -> None:
    assert raise_alerts(decision_of(REFUSED), GOOD, LABELS, SERVED) == []


def test_a_rule_that_fired_is_one_with_its_reason() -> None:
    alerts = raise_alerts(decision_of(FIRED), GOOD, LABELS, SERVED)

    assert alerts == [
        Alert(
            kind="performance",
            at="2013-05-01T00:00:00",
            model_version="v1",
            message="Log loss 0.6 is worse.",
        )
    ]


def test_a_retraining_that_is_refused_is_one_too() -> None:
    alerts = raise_alerts(decision_of(FIRED, REFUSED), GOOD, LABELS, SERVED)

    assert [alert.kind for alert in alerts] == ["performance", "retraining refused"]
    assert alerts[1].message == "The last training was yesterday."


def test_every_check_that_failed_is_one() -> None:
    checks = [
        CheckResult.at_most("skew", 0.25, 0.1),
        CheckResult.at_least("volume", 1.0, 0.5),
        CheckResult.at_most("unseen categories", 1 / 3, 0.05),
    ]

    alerts = raise_alerts(decision_of(), quality_of(*checks), LABELS, SERVED)

    assert [(alert.kind, alert.message) for alert in alerts] == [
        ("bad data", "skew 0.25, limit 0.1."),
        ("bad data", "unseen categories 0.3333, limit 0.05."),
    ]


def test_labels_that_cannot_be_right_are_one_and_those_that_came_twice_are_not() -> None:
    labels = COUNTED | {"contradicting": 1200, "unknown": 3}

    alerts = raise_alerts(decision_of(), GOOD, performance_of(labels=labels), SERVED)

    assert [(alert.kind, alert.message) for alert in alerts] == [
        ("labels", "1,200 labels contradict each other."),
        ("labels", "3 labels are of unknown predictions."),
    ]


def test_groups_that_are_beyond_a_limit_are_one() -> None:
    checks = [
        CheckResult.at_most("fairness of sex: selection_rate difference", 0.2, 0.1),
        CheckResult.at_most("fairness of sex: true_positive_rate difference", 0.05, 0.1),
    ]

    [alert] = raise_alerts(decision_of(), GOOD, performance_of(fairness=checks), SERVED)

    assert alert.kind == "fairness"
    assert alert.message == "fairness of sex: selection_rate difference 0.2, limit 0.1."


def test_that_another_model_than_the_champion_answers_is_one() -> None:
    another = skew_of(by_another=3, in_words="3 of 3 came from v0.")

    [alert] = raise_alerts(decision_of(), GOOD, LABELS, another)

    assert (alert.kind, alert.message) == ("served by another model", "3 of 3 came from v0.")
