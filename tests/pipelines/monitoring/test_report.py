import re
from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir
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
    served: Callable[[ir.Table], ir.Table] = lambda predictions: predictions.limit(0),
) -> str:
    """The whole monitoring pipeline, as its nodes are wired."""
    predictions = score(champion, engineered.model_input, as_of, horizon).cache()
    log = served(predictions)
    labelled = nodes.join_labels(predictions, engineered.model_input, as_of, horizon)
    drift = nodes.measure_drift(predictions, champion)
    skew = nodes.measure_skew(log, engineered.model_input, champion, params)
    screening = {"largest_share": 0.0, "max_quarantine_share": 0.01}
    quality = nodes.measure_quality(predictions, drift, screening, skew, champion, params)
    performance = nodes.measure_performance(labelled, champion, as_of, params, bootstrap)
    weekly = nodes.measure_weeks(labelled, as_of, bootstrap)
    decision = nodes.decide(quality, drift, performance, champion, as_of, horizon, params)
    plots = draw_monitoring(labelled, weekly, drift, predictions, champion, params)
    return render_report(
        decision, quality, skew, performance, drift, *plots, champion, as_of, horizon
    )


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


def test_the_report_names_the_columns_that_the_service_saw_otherwise(
    package: ModelPackage,
    engineered: Engineered,
    as_of: AsOf,
    horizon: Horizon,
    params: nodes.Monitoring,
    bootstrap: Bootstrap,
) -> None:
    name = nodes.INPUTS.looked_up[0].name
    half = {name: ibis.literal(0.123456)}

    html = report_of(
        package,
        engineered,
        as_of,
        horizon,
        params,
        bootstrap,
        served=lambda predictions: predictions.mutate(**half).limit(50),
    )

    assert "looked-up features differ on" in html
    assert f"<td>{name}</td><td>looked up</td>" in html
    assert "Bad data vetoes retraining: training-serving skew" in html


def test_before_anything_is_served_the_report_says_so(
    package: ModelPackage,
    engineered: Engineered,
    as_of: AsOf,
    horizon: Horizon,
    params: nodes.Monitoring,
    bootstrap: Bootstrap,
) -> None:
    html = report_of(package, engineered, as_of, horizon, params, bootstrap)

    assert "The service has logged no predictions of this champion yet." in html
