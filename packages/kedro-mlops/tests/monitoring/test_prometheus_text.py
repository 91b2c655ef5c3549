from typing import Any

import numpy as np
import pandas as pd
import pytest
from example.factories import performance_of, quality_of, screened, skew_of, tiny_package
from prometheus_client.parser import text_string_to_metric_families

from kedro_mlops.core.artefacts import CheckResult, Interval
from kedro_mlops.monitoring.decisions import RetrainDecision, Trigger
from kedro_mlops.monitoring.performance import WINDOW_COLUMNS
from kedro_mlops.monitoring.prometheus_text import KINDS, expose

Samples = dict[tuple[str, ...], float]
MAY = 1367366400  # the first moment of 2013-05-01, UTC
REFERENCE = dict.fromkeys(("log_loss", "roc_auc"), Interval(value=0.6, low=0.5, high=0.7))
MEASURED = [f"{kind}{metric}" for metric in REFERENCE for kind in KINDS.values()]
FIRED, SILENT = (
    Trigger(rule=name, fired=fired, value=None, limit=None, reason="So.")
    for name, fired in (("performance", True), ("age", False))
)
DECISION = RetrainDecision.weigh([FIRED, SILENT], [], decided_at="2013-05-01T00:00:00")
CHECKS = [CheckResult.at_most("skew", 0.25, limit) for limit in (0.3, 0.2)]
OLD = {"drifted": True, "drifted_columns": "size", "log_loss": 0.9, "estimated_log_loss": 0.8}
NEW = {
    "drifted": True,
    "drifted_columns": "size, shape",
    "log_loss": 0.51,
    "estimated_log_loss": 0.52,
    "roc_auc": 0.71,
    "estimated_roc_auc": 0.72,
}


def exposed(rows: list[dict[str, Any]], **decided: Any) -> Samples:
    """What Prometheus would read: by name and the values of its labels, in their order."""
    champion = tiny_package(version="v1", as_of=pd.Timestamp("2013-04-01"))
    text = expose(
        performance_of(label_coverage=0.96, reference=REFERENCE),
        pd.DataFrame(rows, columns=[*WINDOW_COLUMNS, *MEASURED]).astype({"drifted": bool}),
        quality_of(*CHECKS),
        skew_of(0.25),
        screened(largest_share=0.003),
        DECISION.model_copy(update=decided),
        champion,
    )
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_newest_window_is_told_as_it_was_and_as_it_was_estimated() -> None:
    samples = exposed([OLD, NEW])

    assert {
        name: value for name, value in samples.items() if name[0].endswith(("loss", "auc"))
    } == {
        ("model_log_loss", "realised", "v1"): 0.51,
        ("model_log_loss", "estimated", "v1"): 0.52,
        ("model_roc_auc", "realised", "v1"): 0.71,
        ("model_roc_auc", "estimated", "v1"): 0.72,
    }


def test_what_is_not_known_is_left_out() -> None:
    samples = exposed([NEW | {"log_loss": np.nan}])

    assert ("model_log_loss", "realised", "v1") not in samples
    assert samples["model_log_loss", "estimated", "v1"] == 0.52


def test_data_drift_decision_and_moments_are_told() -> None:
    samples = exposed([OLD | {"drifted": False}, OLD, NEW])

    assert samples["data_quality_checks_failed",] == 1
    assert samples["data_quarantined_ratio",] == 0.003
    assert samples["model_drifted_columns", "v1"] == 2
    assert samples["model_drifted_windows", "v1"] == 2
    assert samples["model_label_coverage_ratio", "v1"] == 0.96
    assert samples["model_served_skew_ratio", "v1"] == 0.25
    assert samples["model_retraining_rule_fired", "v1", "performance"] == 1
    assert samples["model_retraining_rule_fired", "v1", "age"] == 0
    assert samples["model_champion_trained_timestamp_seconds", "v1"] == MAY - 30 * 24 * 3600
    assert samples["monitoring_looked_until_timestamp_seconds",] == MAY


@pytest.mark.parametrize(("outcome", "value"), [("wait", 0), ("retrain", 1)])
def test_the_decision_is_told(outcome: str, value: int) -> None:
    assert exposed([NEW], outcome=outcome)["model_retrain_requested", "v1"] == value


def test_without_predictions_nothing_has_drifted_and_nothing_is_known() -> None:
    samples = exposed([])

    assert samples["model_drifted_columns", "v1"] == samples["model_drifted_windows", "v1"] == 0
    assert not [name for name in samples if name[0] in ("model_log_loss", "model_roc_auc")]
