"""Whatever is asked, the monitoring report and the model card speak of just that."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import ibis
import pandas as pd
import pytest
from example.factories import decided, protected, screened
from example.monitoring import monitoring_pipeline
from example.scoring import scored
from example.tasks import AS_OF, HORIZON, WINDOW, Life

from kedro_mlops.core.wording import metric_name
from kedro_mlops.documentation.nodes import ModelCard, render_card
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.monitoring.challenger_review import ChallengerReview
from kedro_mlops.monitoring.parameters import Monitoring
from kedro_mlops.monitoring.triggers import Retraining
from kedro_mlops.task.metrics import NO_MORE
from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.task import Costs

PEOPLE = ModelCard(owner="We", intended_use="It.", out_of_scope=["No."], limits=["Yes."])
Made = dict[str, Any]
Watch = Callable[..., Made]
# words of two classes, which say nothing of others
OF_TWO = r"flagged|positive|negative|threshold|missed|false alarm"
OF_CLASSES = r"probabilit|ROC|class"


@pytest.fixture(scope="module")
def watch(
    life: Life,
    params: Monitoring,
    retraining: Retraining,
    bootstrap: Bootstrap,
    trial: ChallengerReview,
) -> Watch:
    """Runs all nodes on the weeks after training, with a challenger; labels may be replaced."""

    def run(label: Any = None) -> Made:
        columns = protected(life.columns, "depot")
        champion = life.candidate.with_record(decision=decided(reasons=["So."]), release="name:v1")
        rows = life.rows if label is None else life.rows.assign(**{columns.label: label})
        predictions = scored(
            columns, life.logged, champion, life.model_input, AS_OF, HORIZON
        ).cache()
        answered = predictions.to_pandas()
        shadows = answered.assign(
            prediction_id=answered["prediction_id"] + "s", model_version="v2", variant="shadow"
        )
        served = ibis.memtable(pd.concat([answered, shadows]), schema=predictions.schema())
        made: Made = {
            "contract": columns,
            "predictions": predictions,
            "model_input": ibis.memtable(rows, schema=life.model_input.schema()),
            "served_predictions": served,
            "champion": champion,
            "data_screening": screened(),
            "past_windows": pd.DataFrame(),
            "past_challenger_reviews": pd.DataFrame(),
            "metric_functions": NO_MORE,
            "last_trained": None,
            "params:as_of": AS_OF,
            "params:horizon": HORIZON,
            "params:window": WINDOW,
            "params:monitoring": params,
            "params:retraining": retraining,
            "params:challenger_review": trial,
            "params:costs": Costs(),
            "params:bootstrap": bootstrap,
            "params:gate.fairness": {
                "min_rows": 50,
                "max_difference": {columns.task.rates[0]: 100.0},
            },
        }
        for node in monitoring_pipeline().from_inputs(*made).nodes:
            made |= node.run({name: made[name] for name in node.inputs})
        return made

    return run


@pytest.fixture(scope="module")
def usual(watch: Watch) -> Made:
    return watch()


@pytest.fixture(scope="module")
def card(life: Life, usual: Made) -> str:
    return text_of(render_card(life.columns, usual["champion"], PEOPLE))


def text_of(page: str) -> str:
    """What a page says, but for its pictures."""
    page = re.sub(r"<(script|style).*?</\1>", " ", page, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def foreign(life: Life) -> str:
    """Words of other tasks."""
    return OF_TWO if life.columns.task.classes else f"{OF_TWO}|{OF_CLASSES}"


def test_without_labels_there_is_the_estimate_alone(life: Life, usual: Made, watch: Watch) -> None:
    made = watch(label=life.rows[life.columns.label].where(life.rows.index < 0))

    performance = made["performance"]
    assert performance.metrics == performance.confusion == {}
    assert performance.estimated == usual["performance"].estimated
    assert "Estimated without labels" in text_of(made["monitoring_report"])


def test_the_report_speaks_of_what_was_asked(life: Life, usual: Made) -> None:
    page, performance = text_of(usual["monitoring_report"]), usual["performance"]

    for name, now in performance.metrics.items():
        assert f"{metric_name(name)} {now.value:.3f} {now.low:.3f} to {now.high:.3f}" in page
    for told, n_rows in performance.confusion.items():
        assert not n_rows or f"{told} {n_rows:,}" in page
    for row in performance.groups:
        rate = row[life.columns.task.rates[0]]
        assert f"{row['protected']} {row['group']} {row['n_rows']:,} {rate:.3f}" in page
    # a number decides nothing that would cost
    assert ("cost" in usual["challenger_decision"].champion.metrics) == bool(
        life.columns.task.classes
    )
    assert not re.findall(foreign(life), page)


def test_the_card_speaks_of_what_was_asked(life: Life, usual: Made, card: str) -> None:
    champion, task = usual["champion"], life.columns.task
    rule, found = champion.metadata.rule, champion.evaluation

    for each in task.output(rule).told:
        assert f"{each.name} : {each.description}" in card
    for name, measured in champion.metadata.metrics.items():
        assert f"{metric_name(name)} {measured.value:.3f}" in card
    assert task.baseline.replace("_", " ").capitalize() in card
    if task.classes:
        assert "is coming , one of early, on_time, late." in card
        assert f"{found.window.label['share_on_time']:.1%} on_time" in card
        assert "The most probable class is taken." in card
    else:
        assert f"Intervals reach {rule.margin:.4g} {task.unit}" in card
        assert f"so that {rule.coverage:.0%} of them hold" in card
        assert f"mean {found.window.label['mean']:.4g}, standard deviation" in card
    assert not re.findall(foreign(life), card)


def test_the_card_says_how_far_intervals_reach_that_go_with_the_prediction(
    life: Life, usual: Made
) -> None:
    if life.columns.task.classes:
        pytest.skip("there are no intervals of classes")
    rule = DecisionRule(margins=[(0.0, 2.5), (9.0, 31.0)], coverage=0.8)

    card = text_of(render_card(life.columns, usual["champion"].with_record(rule=rule), PEOPLE))

    unit = f" {life.columns.task.unit}".rstrip()
    assert f"Intervals reach 2.5 to 31{unit} to both sides, by the prediction, so that" in card
