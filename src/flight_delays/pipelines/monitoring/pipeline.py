"""Predictions and late labels in; a decision and a report out."""

from kedro.pipeline import Node, Pipeline

from .nodes import (
    decide,
    join_labels,
    measure_drift,
    measure_performance,
    measure_quality,
    measure_skew,
    measure_weeks,
)
from .report import draw_monitoring, render_report

MOMENTS = ["params:as_of", "params:horizon"]
PARAMS = "params:monitoring"
BOOTSTRAP = "params:bootstrap"
PLOTS = ["weekly_plot", "live_calibration_plot", "score_plot", "drift_plot"]


def create_pipeline() -> Pipeline:
    """Join, measure, decide, report."""
    return Pipeline(
        [
            Node(join_labels, ["predictions", "model_input", *MOMENTS], "labelled_predictions"),
            Node(measure_drift, ["predictions", "champion"], "drift"),
            Node(
                measure_skew, ["prediction_log", "model_input", "champion", PARAMS], "serving_skew"
            ),
            Node(
                measure_quality,
                ["predictions", "drift", "data_screening", "serving_skew", "champion", PARAMS],
                "data_quality",
            ),
            Node(
                measure_performance,
                ["labelled_predictions", "champion", "params:as_of", PARAMS, BOOTSTRAP],
                "performance",
            ),
            Node(
                measure_weeks,
                ["labelled_predictions", "params:as_of", BOOTSTRAP],
                "weekly_performance",
            ),
            Node(
                decide,
                ["data_quality", "drift", "performance", "champion", *MOMENTS, PARAMS],
                "retrain_decision",
            ),
            Node(
                draw_monitoring,
                [
                    "labelled_predictions",
                    "weekly_performance",
                    "drift",
                    "predictions",
                    "champion",
                    PARAMS,
                ],
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
