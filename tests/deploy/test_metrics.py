"""What alerts and dashboards ask for: that the service or monitoring says it."""

import pandas as pd
from example.factories import performance_of, quality_of, screened, skew_of, tiny_package
from prometheus_client.parser import text_string_to_metric_families

from kedro_mlops.core.artefacts import Interval
from kedro_mlops.monitoring.decisions import RetrainDecision, Trigger
from kedro_mlops.monitoring.performance import WINDOW_COLUMNS
from kedro_mlops.monitoring.prometheus_text import expose
from tests.deploy.metrics import metrics_named

# samples of the service's own metrics; a test that has it running compares them with a scrape
SERVED = {
    *("http_requests_total", "http_requests_in_progress", "service_ready"),
    *("http_request_duration_seconds_bucket", "http_request_duration_seconds_count"),
    *("model_predictions_total", "model_info", "model_trained_timestamp_seconds"),
    *("model_served", "champion_swaps_total", "champion_refusals_total", "champion_refused"),
    *(f"model_prediction_score_{part}" for part in ("bucket", "count", "sum")),
    *("model_invalid_requests_total", "model_missing_features_total"),
    *("model_unseen_categories_total", "feature_store_lookups_total", "feature_age_days_bucket"),
    *("prediction_log_bytes", "prediction_log_dropped_bytes_total"),
    *("prediction_log_failures_total", "challenger_mode", "challenger_disagreements_total"),
    *("challenger_compared_total", "challenger_failures_total"),
}
OF_PROMETHEUS = {"up", "node_textfile_mtime_seconds", "node_textfile_scrape_error"}


def test_what_is_asked_for_is_there() -> None:
    there = SERVED | OF_PROMETHEUS | _written_by_monitoring()

    assert metrics_named() <= there
    # all that monitoring writes is shown
    assert _written_by_monitoring() <= metrics_named()


def _written_by_monitoring() -> set[str]:
    measured = dict.fromkeys(("log_loss", "roc_auc"), Interval(value=0.5, low=0.4, high=0.6))
    window = dict.fromkeys([*WINDOW_COLUMNS, *measured], 0.5) | {
        "drifted": True,
        "drifted_columns": "size",
    }
    rule = Trigger(rule="age", fired=False, value=None, limit=None, reason="So.")
    text = expose(
        performance_of(label_coverage=1.0, reference=measured),
        pd.DataFrame([window]),
        quality_of(),
        skew_of(0.0),
        screened(largest_share=0.0),
        RetrainDecision.weigh([rule], [], decided_at="2013-05-01"),
        tiny_package(version="v1"),
    )
    return {s.name for family in text_string_to_metric_families(text) for s in family.samples}
