"""Predictions and late labels in; a decision, alerts and a report out."""

from kedro.pipeline import Node, Pipeline

from .alerts import raise_alerts
from .drift import measure_drift
from .nodes import count_new_labels, join_labels, measure_quality, measure_skew, take_predictions
from .performance import measure_performance, measure_windows
from .report import draw_monitoring, render_report
from .triggers import decide, record

MOMENTS = ["params:as_of", "params:horizon"]
WINDOW = "params:window"
PARAMS = "params:monitoring"
BOOTSTRAP = "params:bootstrap"
PLOTS = ["performance_plot", "live_calibration_plot", "score_plot", "drift_plot"]


def create_pipeline() -> Pipeline:
    """Join, measure, decide, alert, report."""
    return Pipeline(
        [
            Node(take_predictions, ["predictions", "champion", *MOMENTS], "scored_horizon"),
            Node(
                join_labels,
                ["scored_horizon", "model_input", *MOMENTS],
                ["labelled_predictions", "label_account"],
            ),
            Node(count_new_labels, ["model_input", "champion", *MOMENTS], "new_labels"),
            Node(
                measure_drift,
                ["scored_horizon", "champion", *MOMENTS, WINDOW, PARAMS],
                "drift",
            ),
            Node(
                measure_skew, ["prediction_log", "model_input", "champion", PARAMS], "serving_skew"
            ),
            Node(
                measure_quality,
                [
                    "scored_horizon",
                    "drift",
                    "data_screening",
                    "serving_skew",
                    "champion",
                    *MOMENTS,
                    PARAMS,
                ],
                "data_quality",
            ),
            Node(
                measure_performance,
                [
                    "labelled_predictions",
                    "label_account",
                    "new_labels",
                    "champion",
                    "params:as_of",
                    PARAMS,
                    BOOTSTRAP,
                ],
                "performance",
            ),
            Node(
                measure_windows,
                [
                    "labelled_predictions",
                    "drift",
                    "champion",
                    PARAMS,
                    BOOTSTRAP,
                ],
                "windows",
            ),
            Node(
                decide,
                [
                    "data_quality",
                    "performance",
                    "windows",
                    "past_windows",
                    "last_trained",
                    "champion",
                    *MOMENTS,
                    "params:retraining",
                ],
                "retrain_decision",
            ),
            Node(record, ["retrain_decision", "windows"], ["decision_history", "window_history"]),
            Node(raise_alerts, ["retrain_decision", "data_quality", "performance"], "alerts"),
            Node(
                draw_monitoring,
                ["labelled_predictions", "windows", "drift", "champion"],
                PLOTS,
            ),
            Node(
                render_report,
                [
                    "retrain_decision",
                    "data_quality",
                    "serving_skew",
                    "performance",
                    "drift",
                    *PLOTS,
                    "champion",
                    *MOMENTS,
                ],
                "monitoring_report",
            ),
        ],
        namespace="monitoring",
        prefix_datasets_with_namespace=False,
    )
