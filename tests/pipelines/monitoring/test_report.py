import re
from typing import Any

import pytest

from flight_delays.metrics import Bootstrap
from flight_delays.model_package import ModelPackage
from flight_delays.moments import AsOf, Horizon
from flight_delays.pipelines.monitoring import nodes
from flight_delays.pipelines.monitoring.report import draw_monitoring, render_report
from flight_delays.pipelines.scoring.nodes import score
from tests.conftest import Engineered


def report_of(
    champion: ModelPackage,
    engineered: Engineered,
    as_of: AsOf,
    horizon: Horizon,
    params: nodes.Monitoring,
    bootstrap: Bootstrap,
) -> str:
    """The whole monitoring pipeline, as its nodes are wired."""
    predictions = score(champion, engineered.model_input, as_of, horizon).cache()
    labelled = nodes.join_labels(predictions, engineered.model_input, as_of, horizon)
    drift = nodes.measure_drift(predictions, champion)
    quality = nodes.measure_quality(predictions, drift, champion, params)
    performance = nodes.measure_performance(labelled, champion, as_of, params, bootstrap)
    weekly = nodes.measure_weeks(labelled, as_of, bootstrap)
    decision = nodes.decide(quality, drift, performance, champion, as_of, horizon, params)
    plots = draw_monitoring(labelled, weekly, drift, predictions, champion, params)
    return render_report(decision, quality, performance, drift, *plots, champion, as_of, horizon)


@pytest.fixture(scope="module")
def params(configured: Any) -> nodes.Monitoring:
    return nodes.Monitoring(**(configured("monitoring") | {"min_labelled_rows": 100}))


def test_the_report_is_complete_in_itself(
    package: ModelPackage,
    engineered: Engineered,
    as_of: AsOf,
    horizon: Horizon,
    params: nodes.Monitoring,
    bootstrap: Bootstrap,
) -> None:
    html = report_of(package, engineered, as_of, horizon, params, bootstrap)

    assert package.version in html
    assert html.count("plotly-graph-div") >= 4
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="', html)


def test_a_horizon_without_rows_gives_a_report_that_says_so(
    package: ModelPackage,
    engineered: Engineered,
    horizon: Horizon,
    params: nodes.Monitoring,
    bootstrap: Bootstrap,
) -> None:
    nothing_yet = AsOf("2013-12-31")
    patient = params.model_copy(update={"max_age_days": 1000})

    html = report_of(package, engineered, nothing_yet, horizon, patient, bootstrap)

    assert "Not enough data" in html
    assert "Bad data" not in html
    assert '<div class="decision wait">' in html
