from typing import Any

from kedro_mlops.monitoring.alerts import raise_alerts

GOOD = {"checks": [{"name": "skew", "passed": True, "value": 0.0, "limit": 0.1}]}
LABELS = {"labels": {"repeated": 12, "contradicting": 0, "unknown": 0, "pending": 5}}
SERVED: dict[str, Any] = {"answered": {"by_another": 0, "in_words": ""}}
FIRED = {"rule": "performance", "fired": True, "reason": "Log loss 0.6 is worse."}
REFUSED = {"guard": "cooldown", "refused": True, "reason": "The last training was yesterday."}


def decision_of(
    without_guards: str = "wait", rules: tuple = (), guards: tuple = ()
) -> dict[str, Any]:
    return {
        "decided_at": "2013-05-01T00:00:00",
        "model_version": "v1",
        "without_guards": without_guards,
        "rules": [{"rule": "age", "fired": False, "reason": "It is young."}, *rules],
        "guards": [{"guard": "bad data", "refused": False, "reason": "It is good."}, *guards],
    }


def test_while_all_is_well_there_are_none() -> None:
    assert raise_alerts(decision_of(), GOOD, LABELS, SERVED) == []


def test_a_guard_that_refuses_nobody_is_no_alert() -> None:
    assert raise_alerts(decision_of(guards=(REFUSED,)), GOOD, LABELS, SERVED) == []


def test_a_rule_that_fired_is_one_with_its_reason() -> None:
    alerts = raise_alerts(decision_of("retrain", rules=(FIRED,)), GOOD, LABELS, SERVED)

    assert alerts == [
        {
            "kind": "performance",
            "at": "2013-05-01T00:00:00",
            "model_version": "v1",
            "message": "Log loss 0.6 is worse.",
        }
    ]


def test_a_retraining_that_is_refused_is_one_too() -> None:
    alerts = raise_alerts(decision_of("retrain", (FIRED,), (REFUSED,)), GOOD, LABELS, SERVED)

    assert [alert["kind"] for alert in alerts] == ["performance", "retraining refused"]
    assert alerts[1]["message"] == "The last training was yesterday."


def test_every_check_that_failed_is_one() -> None:
    checks = [
        {"name": "skew", "passed": False, "value": 0.25, "limit": 0.1},
        {"name": "volume", "passed": True, "value": 1.0, "limit": 0.5},
        {"name": "unseen categories", "passed": False, "value": 1 / 3, "limit": 0.05},
    ]

    alerts = raise_alerts(decision_of(), {"checks": checks}, LABELS, SERVED)

    assert [(alert["kind"], alert["message"]) for alert in alerts] == [
        ("bad data", "skew 0.25, limit 0.1."),
        ("bad data", "unseen categories 0.333, limit 0.05."),
    ]


def test_labels_that_cannot_be_right_are_one_and_those_that_came_twice_are_not() -> None:
    labels = LABELS["labels"] | {"contradicting": 1200, "unknown": 3}

    alerts = raise_alerts(decision_of(), GOOD, {"labels": labels}, SERVED)

    assert [(alert["kind"], alert["message"]) for alert in alerts] == [
        ("labels", "1,200 labels contradict each other."),
        ("labels", "3 labels are of unknown predictions."),
    ]


def test_that_another_model_than_the_champion_answers_is_one() -> None:
    another = {"answered": {"by_another": 3, "in_words": "3 of 3 came from v0."}}

    [alert] = raise_alerts(decision_of(), GOOD, LABELS, another)

    assert (alert["kind"], alert["message"]) == ("served by another model", "3 of 3 came from v0.")
