from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from example.factories import performance_of, quality_of, tiny_package
from pydantic import ValidationError

from kedro_mlops.core.artefacts import CheckResult, Interval
from kedro_mlops.core.datasets import HistoryDataset
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.monitoring.decisions import RetrainDecision
from kedro_mlops.monitoring.findings import Performance, Quality
from kedro_mlops.monitoring.performance import WINDOW_COLUMNS
from kedro_mlops.monitoring.triggers import Retraining, decide, record

# looked at on the first of May
AS_OF, HORIZON = AsOf("2013-04-01"), Horizon(days=30)
GOOD = quality_of()
BAD = quality_of(
    CheckResult.at_most("skew", 0.1, 0.2), CheckResult.at_most("unseen categories", 0.1, 0.05)
)
EXPECTED = {"log_loss": Interval(value=0.5, low=0.45, high=0.55)}
WEEKS = ["2013-04-01", "2013-04-08", "2013-04-15", "2013-04-22", "2013-04-29"]

Decide = Callable[..., RetrainDecision]


def performing(
    realised: float | None = 0.5, estimated: float | None = 0.5, new_labels: int = 0
) -> Performance:
    """The log loss is so much, give or take 0.02; None: it is not known."""

    def told(value: float | None) -> dict[str, Interval]:
        if value is None:
            return {}
        return {"log_loss": Interval(value=value, low=value - 0.02, high=value + 0.02)}

    return performance_of(
        reference=EXPECTED,
        metrics=told(realised),
        estimated=told(estimated),
        unknown_because="Not enough data: 7 rows." if realised is None else None,
        new_labels=new_labels,
    )


def windows_of(drifted: str, start: int = 0, version: str = "champion") -> pd.DataFrame:
    """Consecutive weeks; a D is one that has drifted."""
    weeks = WEEKS[start : start + len(drifted)]
    rows = {
        "model_version": version,
        "window_start": weeks,
        "window_end": [f"{pd.Timestamp(w) + pd.Timedelta(days=7):%Y-%m-%d}" for w in weeks],
        "drifted": [mark == "D" for mark in drifted],
        "drifted_columns": ["size, shape" if mark == "D" else "" for mark in drifted],
    }
    return pd.DataFrame(rows).reindex(columns=WINDOW_COLUMNS)


@pytest.fixture(scope="module")
def champion() -> ModelPackage:
    """Trained 30 days before it is looked at, on 1000 rows."""
    return tiny_package(
        version="champion",
        as_of=AS_OF.moment,
        trained_until=AS_OF.moment,
        n_training_rows=1000,
    )


@pytest.fixture
def look(champion: ModelPackage, retraining: Retraining) -> Decide:
    """Decide; all is well but for what is given, and parameters are the project's but for those."""

    def run(
        quality: Quality = GOOD,
        performance: Performance | None = None,
        windows: str | pd.DataFrame = "....",
        past_windows: pd.DataFrame | None = None,
        last_trained: ModelPackage | None = None,
        serving: ModelPackage = champion,
        **params: Any,
    ) -> RetrainDecision:
        return decide(
            quality,
            performance or performing(),
            windows_of(windows) if isinstance(windows, str) else windows,
            pd.DataFrame() if past_windows is None else past_windows,
            last_trained,
            serving,
            AS_OF,
            HORIZON,
            Retraining(**(retraining.model_dump() | params)),
        )

    return run


def fired(decision: RetrainDecision) -> list[str]:
    return [rule.rule for rule in decision.rules if rule.fired]


def refused(decision: RetrainDecision) -> list[str]:
    return [guard.guard for guard in decision.guards if guard.refused]


def test_a_champion_that_does_as_expected_is_left_alone_and_every_rule_says_why(
    look: Decide,
) -> None:
    decision = look()

    assert (decision.outcome, decision.without_guards) == ("wait", "wait")
    measured = [rule for rule in decision.rules if rule.rule != "demand"]
    assert decision.reasons == [rule.reason for rule in measured]
    assert [rule.rule for rule in decision.rules] == [
        *("demand", "performance", "age", "new labels", "drift")
    ]
    assert (decision.decided_at, decision.model_version) == (*("2013-05-01T00:00:00", "champion"),)
    assert decision.drifted == refused(decision) == []


def test_new_labels_are_compared_with_all_that_were_known_not_with_those_that_were_drawn(
    look: Decide,
) -> None:
    drawn = tiny_package(
        version="champion",
        as_of=AS_OF.moment,
        trained_until=AS_OF.moment,
        n_training_rows=1000,
        n_known_rows=20_000,
    )

    decision = look(performance=performing(new_labels=500), serving=drawn)

    assert "new labels" not in fired(decision)
    assert any("2% of its 20,000 rows" in reason for reason in decision.reasons)


@pytest.mark.parametrize(
    ("found", "rule", "reason"),
    [
        ({"demand": "a new aircraft"}, "demand", "It is demanded: a new aircraft."),
        ({"max_age_days": 29}, "age", "The champion is 30 days old; 29 are allowed."),
        (
            {"performance": performing(new_labels=500)},
            "new labels",
            "500 labels became known since the champion was trained, 50% of its 1,000 rows; "
            "50% retrain.",
        ),
        (
            {"performance": performing(0.6)},
            "performance",
            "Log loss 0.600 [0.580, 0.620] is worse than what the test window led to expect "
            "(up to 0.550).",
        ),
        (
            {"performance": performing(None, 0.6)},
            "performance",
            "Not enough data: 7 rows. Estimated log loss 0.600 [0.580, 0.620] is worse than what "
            "the test window led to expect (up to 0.550).",
        ),
        (
            {"windows": "D.DD"},
            "drift",
            "3 of the last 4 windows have drifted; 3 of 4, the newest among them, retrain.",
        ),
    ],
)
def test_each_rule_alone_retrains_and_gives_its_reason(
    look: Decide, found: dict[str, Any], rule: str, reason: str
) -> None:
    decision = look(**found)

    assert (decision.outcome, decision.without_guards) == ("retrain", "retrain")
    assert fired(decision) == [rule]
    assert decision.reasons == [reason]


@pytest.mark.parametrize(
    "found",
    [
        {"demand": ""},
        {"max_age_days": 30},
        {"performance": performing(new_labels=499)},
        # even the lower end of the interval must be beyond
        {"performance": performing(0.569)},
        {"performance": performing(None, 0.569)},
        # labels that are known count more than an estimate
        {"performance": performing(0.5, 0.9)},
        {"windows": ".DD."},
    ],
)
def test_short_of_its_limit_no_rule_fires(look: Decide, found: dict[str, Any]) -> None:
    decision = look(**found)

    assert fired(decision) == []
    assert decision.outcome == "wait"


def test_without_labels_and_estimate_the_decision_says_so(look: Decide) -> None:
    decision = look(performance=performing(None, None))

    assert decision.outcome == "wait"
    assert "Not enough data: 7 rows." in decision.reasons


@pytest.mark.parametrize(
    ("switched_off", "rule"),
    [
        ({"max_age_days": None}, "age"),
        ({"new_labels_share": None}, "new labels"),
        ({"lost_performance": False}, "performance"),
        ({"drift": None}, "drift"),
    ],
)
def test_a_rule_that_is_null_never_fires(
    look: Decide, switched_off: dict[str, Any], rule: str
) -> None:
    everything = {
        "performance": performing(0.9, new_labels=10_000),
        "windows": "DDDD",
        "max_age_days": 1,
    }

    decision = look(**(everything | switched_off))

    assert rule not in [rule.rule for rule in decision.rules]
    assert set(fired(decision)) == {"performance", "age", "new labels", "drift"} - {rule}


def test_all_the_rules_that_fired_give_their_reasons(look: Decide) -> None:
    decision = look(performance=performing(0.6), max_age_days=1)

    assert len(decision.reasons) == 2
    assert "worse than" in decision.reasons[0]
    assert "30 days old" in decision.reasons[1]


@pytest.mark.parametrize(
    ("drifted", "retrains"),
    [
        ("...D", False),
        ("..DD", False),
        ("DDD.", False),
        ("D.DD", True),
        ("DD.D", True),
        ("DDDD", True),
        ("DDD", True),
        # the oldest of five is not looked at
        ("DD..D", False),
        (".DD.D", True),
    ],
)
def test_drift_retrains_only_if_it_lasts(look: Decide, drifted: str, retrains: bool) -> None:
    decision = look(windows=drifted)

    assert fired(decision) == (["drift"] if retrains else [])
    assert ("does not last" in decision.reasons[-1]) is not retrains


def test_drift_alone_retrains_nothing_where_the_rule_is_off_and_is_still_named(
    look: Decide,
) -> None:
    decision = look(windows="DDDD", drift=None)

    assert decision.outcome == "wait"
    assert decision.drifted == ["size", "shape"]


def test_drift_goes_on_from_earlier_looks_at_the_same_champion(look: Decide) -> None:
    newest = windows_of("D", start=4)

    alone = look(windows=newest)
    after_drift = look(windows=newest, past_windows=windows_of("..DD"))

    assert fired(alone) == []
    assert fired(after_drift) == ["drift"]
    assert "3 of the last 4" in after_drift.reasons[0]


def test_drift_of_another_champion_is_none_of_this_one(look: Decide) -> None:
    newest = windows_of("D", start=4)

    decision = look(windows=newest, past_windows=windows_of("DDDD", version="predecessor"))

    assert fired(decision) == []
    assert "1 of the last 1 windows" in decision.reasons[-1]


def test_windows_that_were_seen_already_or_come_later_are_not_counted_again(
    look: Decide,
) -> None:
    looked_at_again = windows_of(".D", start=1)

    decision = look(windows=looked_at_again, past_windows=windows_of(".DDDD"))

    assert fired(decision) == []
    assert "1 of the last 3 windows" in decision.reasons[-1]


def test_windows_that_overlap_are_not_counted_twice(look: Decide) -> None:
    shifted = windows_of("DDD").assign(
        window_start=["2013-04-10", "2013-04-11", "2013-04-12"],
        window_end=["2013-04-17", "2013-04-18", "2013-04-19"],
    )

    decision = look(windows=windows_of("D", start=3), past_windows=shifted)

    assert fired(decision) == []
    assert "2 of the last 2 windows have drifted" in decision.reasons[-1]


def test_where_nothing_was_predicted_past_drift_says_nothing(look: Decide) -> None:
    decision = look(windows="", past_windows=windows_of("DDDD"))

    assert decision.outcome == "wait"
    assert "0 of the last 0 windows" in decision.reasons[-1]


@pytest.mark.parametrize(("cooldown_days", "outcome"), [(30, "retrain"), (31, "wait")])
def test_after_a_training_it_cools_down(look: Decide, cooldown_days: int, outcome: str) -> None:
    decision = look(performance=performing(0.6), cooldown_days=cooldown_days)

    assert (decision.outcome, decision.without_guards) == (outcome, "retrain")
    assert fired(decision) == ["performance"]
    assert refused(decision) == (["cooldown"] if outcome == "wait" else [])


def test_the_reason_for_waiting_is_the_guard_that_refused(look: Decide) -> None:
    decision = look(performance=performing(0.6), cooldown_days=60)

    assert decision.reasons == [
        "The last training was 2013-04-01, 30 days before; a cooldown of 60 days follows each."
    ]


@pytest.mark.parametrize(
    ("trained", "outcome"),
    [
        # its candidate was not promoted, or the champion would be newer
        ("2013-04-20", "wait"),
        ("2013-03-20", "retrain"),
        # of this look itself, taken before, and of one that is in the future of it
        ("2013-05-01", "retrain"),
        ("2013-06-01", "retrain"),
    ],
)
def test_a_training_that_was_not_promoted_cools_down_too(
    look: Decide, trained: str, outcome: str
) -> None:
    candidate = tiny_package(version="candidate", as_of=pd.Timestamp(trained))

    decision = look(performance=performing(0.6), last_trained=candidate)

    assert decision.outcome == outcome
    assert decision.without_guards == "retrain"


def test_a_champion_from_the_future_of_a_look_is_not_retrained(
    look: Decide, champion: ModelPackage
) -> None:
    later = champion.with_record(as_of=pd.Timestamp("2013-07-01"))

    decision = look(performance=performing(0.6), serving=later)

    assert decision.outcome == "wait"
    assert refused(decision) == ["cooldown"]


def test_a_demand_does_not_wait(look: Decide) -> None:
    decision = look(demand="the contract changed", cooldown_days=365)

    assert decision.outcome == "retrain"
    assert refused(decision) == []


@pytest.mark.parametrize(
    "asked", [{"demand": "now"}, {"performance": performing(0.6)}, {"windows": "DDDD"}]
)
def test_bad_data_vetoes_whoever_asks(look: Decide, asked: dict[str, Any]) -> None:
    decision = look(quality=BAD, **asked)

    assert (decision.outcome, decision.without_guards) == ("wait", "retrain")
    assert decision.reasons == ["Bad data vetoes retraining: unseen categories 0.1, limit 0.05."]
    assert refused(decision) == ["bad data"]


def test_bad_data_is_the_reason_even_if_nobody_asks(look: Decide) -> None:
    decision = look(quality=BAD)

    assert (decision.outcome, decision.without_guards) == ("wait", "wait")
    assert decision.reasons[0].startswith("Bad data vetoes retraining")


def test_a_decision_is_recorded_with_the_windows_it_was_taken_on(look: Decide) -> None:
    windows = windows_of("D.DD")
    decision = look(windows=windows, performance=performing(0.6), cooldown_days=365)

    row, kept = record(decision, windows)

    assert row.to_dict(orient="records") == [
        {
            "decided_at": "2013-05-01T00:00:00",
            "model_version": "champion",
            "outcome": "wait",
            "without_guards": "retrain",
            "fired": "performance, drift",
            "refused": "cooldown",
            "reasons": decision.reasons[0],
        }
    ]
    pd.testing.assert_frame_equal(kept, windows)


def test_what_was_recorded_is_looked_back_at(look: Decide, tmp_path) -> None:
    def history(name: str, *key: str) -> HistoryDataset:
        return HistoryDataset(filepath=str(tmp_path / f"{name}.jsonl"), key=list(key))

    def run(windows: pd.DataFrame) -> RetrainDecision:
        """One run of the pipeline, histories included."""
        seen = history("windows", "model_version", "window_start")
        decided = history("decisions", "decided_at", "model_version")
        decision = look(windows=windows, past_windows=seen.load())
        row, kept = record(decision, windows)
        decided.save(row)
        seen.save(kept)
        return decision

    first = run(windows_of(".DD"))
    again = run(windows_of(".DD"))
    nothing = run(windows_of(""))
    later = run(windows_of("D", start=3))

    assert again == first
    assert [fired(d) for d in (first, nothing, later)] == [[], [], ["drift"]]
    assert len(history("windows", "model_version", "window_start").load()) == 4


def test_more_drifted_windows_than_there_are_cannot_be_asked_for(retraining: Retraining) -> None:
    given = retraining.model_dump() | {"drift": {"drifted": 5, "windows": 4}}

    with pytest.raises(ValidationError, match="drifted=5 of windows=4 cannot be"):
        Retraining(**given)


def test_a_parameter_that_does_not_exist_is_refused(retraining: Retraining) -> None:
    with pytest.raises(ValidationError, match="cooldown_weeks"):
        Retraining(**(retraining.model_dump() | {"cooldown_weeks": 4}))
