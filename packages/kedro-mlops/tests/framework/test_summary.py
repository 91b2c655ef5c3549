import re
from typing import Any

import pytest
from example.factories import decided, performance_of, released_as, screened
from example.trained import Trained

from kedro_mlops.core.artefacts import Interval
from kedro_mlops.framework.summary import summarise
from kedro_mlops.gate.trial import TrialLength, TrialPlan
from kedro_mlops.monitoring.decisions import ChallengerDecision, RetrainDecision, Trigger

INTERVAL = Interval(value=0.7, low=0.6, high=0.8)
YOUNG, OLD = (
    Trigger(rule="age", fired=fired, value=None, limit=None, reason="So.")
    for fired in (False, True)
)


def test_a_whole_run_is_summarised_with_what_to_type_next(trained: Trained) -> None:
    made: dict[str, Any] = {
        "data_screening": screened(("One", 1000, 2), ("Other", 500, 0)),
        "candidate": trained.candidate,
        "metrics": trained.packaged["metrics"],
        "gate_decision": decided(reasons=["It is good."]),
        "release": released_as("name:v1"),
        "performance": performance_of(metrics={"roc_auc": INTERVAL}, listed=["roc_auc"]),
        "retrain_decision": RetrainDecision.weigh([YOUNG], []),
        "monitoring_report": "data/report.html",
        "model_card": "data/card.html",
    }

    lines = summarise(made, has_champion=True).splitlines()

    assert [line.split()[0] for line in lines] == [
        "Read", "Trained", "Tested", "Gate", "Released", "Watched", "Retrain?", "Report", "Card",
        "Next",
    ]  # fmt: skip
    assert lines[0].endswith("1,500 rows of 2 tables; 2 rows set aside in quarantine")
    assert trained.candidate.version in lines[1]
    assert "base rate" in lines[2]
    assert re.search(
        r"; precision 0\.\d+ \[.*\], recall [01]\.\d+ \[.*\], share flagged ", lines[2]
    )
    assert lines[5].endswith(
        "1,000 predictions, 50.0% with their label: ROC AUC 0.700 [0.600, 0.800]"
    )
    assert lines[-1].endswith("make serve")


def test_where_rows_were_drawn_it_says_of_how_many(trained: Trained) -> None:
    metrics = trained.packaged["metrics"]
    window = metrics.window.model_copy(update={"drawn_from": 9_000_000})
    drawn = trained.candidate.with_record(n_training_rows=800_000, n_known_rows=10_000_000)

    said = summarise({"candidate": drawn, "metrics": metrics.model_copy(update={"window": window})})

    assert "800,000 of 10,000,000 rows known as of" in said
    assert f"{window.n_rows:,} of 9,000,000 rows, 2013" in said


def test_a_trial_is_spoken_of_if_there_is_one() -> None:
    said = {"decided_at": "2013-08-01T00:00:00", "challenger": "v2", "stopped": []}
    trial = ChallengerDecision(outcome="stop", reasons=["It is surely worse."], **said)
    none = ChallengerDecision(outcome="none", reasons=["There is no challenger on trial."], **said)

    assert summarise({"challenger_decision": trial}).splitlines()[0] == (
        "Challenger stop: It is surely worse."
    )
    assert "Challenger" not in summarise({"challenger_decision": none})


@pytest.mark.parametrize(("outcome", "is_said"), [("keep", True), ("promote", False)])
def test_how_long_a_trial_takes_is_said_of_what_may_be_tried(outcome: str, is_said: bool) -> None:
    lengths = {"shadow": TrialLength(rows=9000, days=12)}
    plan = TrialPlan(challenger="v2", champion="v1", lengths=lengths, in_words="It takes 12 days.")
    made = {"gate_decision": decided(outcome, reasons=["So."]), "trial_plan": plan}

    alone = {"trial_plan": plan.model_copy(update={"lengths": {}})}

    assert ("Trial      It takes 12 days." in summarise(made)) == is_said
    assert "Trial" not in summarise(made | alone)


def test_a_part_of_the_loop_speaks_of_what_it_made() -> None:
    made = {"gate_decision": decided("block", reasons=["Too weak."])}

    lines = summarise(made).splitlines()

    assert summarise(made, "sample").endswith('make run ARGS="--env sample"')
    assert lines == ["Gate       block: Too weak.", "Next       make run"]


def test_where_there_is_a_champion_the_next_step_is_to_serve_it() -> None:
    made = {"gate_decision": decided("block", reasons=["Too weak."])}

    assert summarise(made, has_champion=True).endswith("Next       make serve")


def test_after_a_release_alone_the_next_step_is_to_tell_of_it() -> None:
    released = released_as("name:v1")

    said = summarise({"release": released}, "sample", has_champion=True).splitlines()[-1]

    command = "kedro run --pipelines=documentation,scoring,monitoring --env sample"
    assert said == f"Next       {command}: to tell of it"


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ([("One", 5, 1), ("Other", 5, 0)], "10 rows of 2 tables; 1 row set aside in quarantine"),
        ([("One", 5, 2)], "5 rows of 1 table; 2 rows set aside in quarantine"),
    ],
)
def test_one_is_no_plural(tables: list[tuple[str, int, int]], words: str) -> None:
    said = summarise({"data_screening": screened(*tables)}).splitlines()[0]

    assert said.endswith(words)


def test_after_a_look_that_asks_for_it_a_person_retrains_or_else_serves() -> None:
    asks = RetrainDecision.weigh([OLD], [], decided_at="2013-08-01T00:00:00")

    alone = summarise({"retrain_decision": asks}, "sample", has_champion=True)
    released = released_as("name:v1")
    made = {"retrain_decision": asks, "release": released, "model_card": "data/card.html"}
    whole = summarise(made, has_champion=True)
    waits = summarise({"retrain_decision": RetrainDecision.weigh([YOUNG], [])}, has_champion=True)

    assert alone.endswith("Next       kedro retrain --until 2013-08-01 --env sample")
    assert whole.endswith("Next       make serve")
    assert waits.endswith("Next       make serve")


def test_performance_without_labels_is_summarised_without_metrics() -> None:
    made = {"performance": performance_of(n_predictions=0, label_coverage=0.0)}

    assert summarise(made).splitlines()[0] == "Watched    0 predictions, 0.0% with their label"
