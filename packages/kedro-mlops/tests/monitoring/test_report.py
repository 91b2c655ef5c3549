"""The whole pipeline, as its nodes are wired, and the page that it ends in."""

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pytest
from example.factories import (
    COLUMNS,
    LOGGED,
    Y,
    of_another_scikit_learn,
    screened,
    skew_of,
    tiny_package,
    with_compared,
)
from example.history import History
from example.monitoring import monitoring_pipeline
from example.scoring import scored
from kedro_datasets.pandas import CSVDataset

from kedro_mlops.core.time_params import AsOf, Horizon, Window
from kedro_mlops.core.wording import metric_name
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.monitoring.challenger_review import ChallengerReview
from kedro_mlops.monitoring.parameters import Monitoring
from kedro_mlops.monitoring.triggers import Retraining
from kedro_mlops.task.metrics import NO_MORE
from kedro_mlops.task.task import Costs

Made = dict[str, Any]
Watch = Callable[..., Made]
NOBODY_YET = AsOf("2013-06-01")


@pytest.fixture(scope="module")
def watch(
    package: ModelPackage,
    history: History,
    as_of: AsOf,
    horizon: Horizon,
    window: Window,
    params: Monitoring,
    retraining: Retraining,
    bootstrap: Bootstrap,
    costs: Costs,
    trial: ChallengerReview,
    fairness: dict[str, Any],
) -> Watch:
    """Runs all nodes; what they are given may be replaced by name, labels by what they become."""

    def run(as_of: AsOf = as_of, label: ir.Value | None = None, **replaced: Any) -> Made:
        model_input = history.model_input
        predictions = scored(COLUMNS, LOGGED, package, model_input, as_of, horizon).cache()
        if label is not None:
            model_input = model_input.mutate(**{Y: label}).cast(model_input.schema()).cache()
        made: Made = {
            "contract": COLUMNS,
            "predictions": predictions,
            "model_input": model_input,
            "served_predictions": predictions.limit(0),
            "champion": package,
            "data_screening": screened(),
            "past_windows": pd.DataFrame(),
            "past_challenger_reviews": pd.DataFrame(),
            "metric_functions": NO_MORE,
            "last_trained": None,
            "params:as_of": as_of,
            "params:horizon": horizon,
            "params:window": window,
            "params:monitoring": params,
            "params:retraining": retraining,
            "params:challenger_review": trial,
            "params:costs": costs,
            "params:bootstrap": bootstrap,
            "params:gate.fairness": fairness,
        } | replaced
        # what is served is given here as it is when it has been ingested
        for node in monitoring_pipeline().from_inputs(*made).nodes:
            made |= node.run({name: made[name] for name in node.inputs})
        return made

    return run


@pytest.fixture(scope="module")
def usual(watch: Watch) -> Made:
    return watch()


def text_of(made: Made) -> str:
    """What the page says, but for its pictures."""
    page = re.sub(r"<(script|style).*?</\1>", " ", made["monitoring_report"], flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def test_the_report_is_complete_in_itself(usual: Made, package: ModelPackage) -> None:
    html = usual["monitoring_report"]

    assert package.version in html
    assert html.count("plotly-graph-div") >= 4
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="', html)


def test_groups_are_in_the_report_and_beyond_the_limits_an_alert(
    watch: Watch, usual: Made, history: History, fairness: dict[str, Any]
) -> None:
    rows = history.model_input.mutate(size=ibis.ifelse(ibis._.distance_km > 1000, "far", "near"))
    limits = {"max_difference": dict.fromkeys(COLUMNS.task.rates, 0.0), "min_rows": 100}

    made = watch(
        contract=with_compared(COLUMNS, "size"),
        model_input=rows,
        **{"params:gate.fairness": fairness | limits},
    )

    performance, text = made["performance"], text_of(made)
    [large, *_] = performance.groups
    assert f"size {large['group']} {large['n_rows']:,} {large['selection_rate']:.3f}" in text
    failed = [check for check in performance.fairness if not check.passed]
    alerts = [alert.message for alert in made["alerts"] if alert.kind == "fairness"]
    assert alerts == [f"{check.in_words}." for check in failed]
    assert text.count("beyond the limit :") == len(failed)
    assert all(check.in_words in text for check in performance.fairness)
    assert "How groups are treated" not in text_of(usual)


def report_of(made: Made, **replaced: Any) -> str:
    """Render the page alone, anew."""
    [node] = monitoring_pipeline().only_nodes_with_tags("of_champion").nodes
    return text_of(node.run({name: (made | replaced)[name] for name in node.inputs}))


def test_a_report_of_a_model_that_is_champion_no_more_says_so_at_the_top(
    usual: Made, package: ModelPackage
) -> None:
    now = tiny_package(version="20130601-another", n_training_rows=7)

    page, before = report_of(usual, champion=now), report_of(usual)

    told = f"This report tells of {package.version}, which was watched last. The champion is"
    assert f"{told} 20130601-another now" in page
    assert "Not the champion" not in before
    # and all else is as it was
    assert before.replace("Champion ", "Model ") in page.replace(
        page[page.index("Not the champion") : page.index("Model 2013")], ""
    )


def test_the_report_says_that_another_model_answers(usual: Made) -> None:
    another = skew_of(by_another=3, in_words="3 of 3 came from v0.")

    page = report_of(usual, serving_skew=another)

    assert "Served by another model. 3 of 3 came from v0." in page


def test_the_report_says_what_was_measured_and_decided(usual: Made) -> None:
    page, performance = text_of(usual), usual["performance"]
    drift = usual["drift"]
    newest = drift[drift["window_end"] == drift["window_end"].max()]

    for reason in usual["retrain_decision"].reasons:
        assert page.count(reason) == 2
    for metric, now in performance.metrics.items():
        assert f"{metric_name(metric)} {now.value:.3f}" in page
    counts = performance.confusion
    assert sum(counts.values()) == performance.n_labelled
    assert f"positive {counts['true_positives']:,} {counts['false_negatives']:,} missed" in page
    estimate = performance.estimated["log_loss"]
    assert "Estimated without labels, as if nothing but the rows had changed" in page
    assert f"log loss {estimate.value:.3f} [{estimate.low:.3f}" in page
    assert f"{performance.labels['pending']:,} pending" in page
    assert "The newest of 2 windows, from 2013-04-08 until before 2013-04-15" in page
    for row in newest.head(5).itertuples():
        assert f"{row.column} {row.psi:.3f} {row.psi_limit:.3f}" in page
    for check in usual["data_quality"].checks:
        assert f"{check.name} {check.value:.3f} {check.limit:g} passed" in page
    assert "Without the guards: wait" in page


def test_a_distance_that_could_alarm_has_its_sentence_below(usual: Made, tmp_path: Path) -> None:
    table = CSVDataset(filepath=str(tmp_path / "drift.csv"))
    table.save(usual["drift"])

    page = report_of(usual, drift=table.load())

    newest = usual["drift"].head(8)
    said = [words for words in newest["in_words"] if words]
    assert said and all(words in page for words in said)
    assert "nan" not in page


def test_a_champion_that_cannot_be_loaded_is_watched_all_the_same(
    watch: Watch, usual: Made, package: ModelPackage
) -> None:
    made = watch(champion=of_another_scikit_learn(package))

    assert made["retrain_decision"] == usual["retrain_decision"]
    assert text_of(made) == text_of(usual)


def test_every_column_that_drifted_is_in_the_table(usual: Made) -> None:
    html, drift = usual["monitoring_report"], usual["drift"]

    newest = drift[drift["window_end"] == drift["window_end"].max()]

    marked = re.findall(r'<td class="failed">(\w+)</td>', html)
    assert marked == newest.loc[newest["drifted"], "column"].tolist() != []


def test_a_usual_month_is_left_alone_and_alarms_nobody(usual: Made) -> None:
    assert usual["retrain_decision"].outcome == "wait"
    assert usual["alerts"] == []
    assert len(usual["window_history"]) == 2
    assert usual["decision_history"]["outcome"].tolist() == ["wait"]


NO_LABELS = ibis.null("boolean")
ALL_LATE, NONE_LATE = ibis.literal(True), ibis.literal(False)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"label": NO_LABELS}, "0 labelled rows, 100 are needed"),
        ({"label": NONE_LATE}, "all labels are the same"),
        ({"label": ALL_LATE}, "all labels are the same"),
    ],
    ids=["no labels", "no positive", "no negative"],
)
def test_a_month_that_says_nothing_is_waited_out_without_a_false_alarm(
    watch: Watch, given: dict[str, Any], says: str
) -> None:
    made = watch(**given)

    assert made["retrain_decision"].outcome == "wait"
    assert made["retrain_decision"].without_guards == "wait"
    assert made["alerts"] == []
    assert made["performance"].metrics == {}
    page = text_of(made)
    assert "Not enough data to judge performance: " in page
    assert says in page
    assert "Bad data" not in page
    assert '<div class="decision wait">' in made["monitoring_report"]


def test_a_month_in_which_nothing_came_is_bad_data_and_alarms(watch: Watch) -> None:
    made = watch(as_of=NOBODY_YET)

    assert made["retrain_decision"].outcome == "wait"
    [reason] = made["retrain_decision"].reasons
    assert reason == (
        "Bad data vetoes retraining: days since the newest row 14, limit 2; "
        "rows a day against the reference's 0, limit 0.5."
    )
    assert {alert.kind for alert in made["alerts"]} == {"bad data"}
    assert reason in text_of(made)
    assert "data_quality_checks_failed 2.0" in made["monitoring_figures"]


def test_without_predictions_there_is_nothing_to_compare_and_nothing_to_remember(
    watch: Watch,
) -> None:
    made = watch(as_of=NOBODY_YET)

    assert "There is nothing to compare." in text_of(made)
    assert made["window_history"].empty
    assert made["decision_history"]["decided_at"].tolist() == ["2013-06-15T00:00:00"]


def test_a_few_predictions_do_not_make_an_estimate_that_alarms(watch: Watch, usual: Made) -> None:
    predictions = usual["predictions"]
    undecided = predictions.order_by((predictions["probability"] - 0.5).abs())

    made = watch(label=NO_LABELS, predictions=undecided.limit(20).cache())

    assert made["performance"].estimated == {}
    assert "performance" not in {alert.kind for alert in made["alerts"]}
    assert made["retrain_decision"].outcome == "wait"


def test_lost_performance_is_told_and_held_back_by_the_cooldown(
    watch: Watch, history: History
) -> None:
    flipped = ~history.model_input[Y]

    made = watch(label=flipped)

    decision = made["retrain_decision"]
    assert (decision.outcome, decision.without_guards) == ("wait", "retrain")
    assert [alert.kind for alert in made["alerts"]] == ["performance", "retraining refused"]
    page = text_of(made)
    assert "performance fired" in page
    assert "guard: cooldown refuses The last training was 2013-04-01, 14 days before" in page
    assert "Without the guards: retrain" in page


def test_without_the_cooldown_it_retrains(
    watch: Watch, history: History, retraining: Retraining
) -> None:
    at_once = retraining.model_copy(update={"cooldown_days": 0})

    made = watch(label=~history.model_input[Y], **{"params:retraining": at_once})

    assert '<div class="decision retrain">' in made["monitoring_report"]
    assert made["decision_history"]["fired"].tolist() == ["performance"]


def test_labels_that_contradict_each_other_are_told(watch: Watch, usual: Made) -> None:
    table = usual["model_input"]
    some = table.filter(table[Y].notnull()).filter(
        table[COLUMNS.event_time] >= ibis.literal(pd.Timestamp("2013-04-01"))
    )
    ten = some.order_by(COLUMNS.event_time).limit(10)
    otherwise = ten.mutate(**{Y: ~ten[Y]}).cast(table.schema())

    made = watch(model_input=ibis.union(table, otherwise).cache())

    assert [alert.message for alert in made["alerts"]] == ["20 labels contradict each other."]
    assert "20 contradict each other and count as none" in text_of(made)


def test_the_report_names_the_columns_that_the_service_saw_otherwise(
    watch: Watch, usual: Made
) -> None:
    name = COLUMNS.looked_up[0].name
    served = usual["predictions"].mutate(**{name: ibis.literal(0.123456)}).limit(50)

    made = watch(served_predictions=served)

    assert "looked-up features differ on" in text_of(made)
    assert f"<td>{name}</td><td>looked up</td>" in made["monitoring_report"]
    assert "Bad data vetoes retraining: training-serving skew" in text_of(made)
    assert [alert.kind for alert in made["alerts"]] == ["bad data"]


def test_the_report_shows_a_trial_and_is_silent_where_there_is_none(
    watch: Watch, usual: Made
) -> None:
    champions = usual["predictions"]
    shadows = champions.mutate(
        prediction_id=champions.prediction_id + "s",
        model_version=ibis.literal("challenger-1"),
        variant=ibis.literal("shadow"),
        probability=ibis.literal(0.99),
    )

    made = watch(served_predictions=ibis.union(champions, shadows))

    trial, page = made["challenger_decision"], text_of(made)
    assert trial.outcome == "stop"
    assert trial.reasons[0] in page
    assert '<span class="failed">stop</span>' in made["monitoring_report"]
    for model in (trial.champion, trial.challenger_metrics):
        assert f"{model.metrics['log_loss'].value:.3f}" in page
        assert f"{model.metrics['cost'].value:.3f}" in page
    assert "<h2>Trial</h2>" not in usual["monitoring_report"]


def test_before_anything_is_served_the_report_says_so(usual: Made) -> None:
    assert "The service has logged no predictions of this champion yet." in text_of(usual)
