"""Predictions and late labels in; a decision, alerts and a report out."""

from kedro.pipeline import Node, Pipeline

from kedro_mlops.framework.pipelines import named_pipeline
from kedro_mlops.monitoring.alerts import raise_alerts
from kedro_mlops.monitoring.challenger_review import judge_challenger
from kedro_mlops.monitoring.drift import measure_drift
from kedro_mlops.monitoring.labels import count_new_labels, join_labels
from kedro_mlops.monitoring.nodes import ingest, measure_quality, take_predictions
from kedro_mlops.monitoring.performance import measure_performance, measure_windows
from kedro_mlops.monitoring.prometheus_text import expose
from kedro_mlops.monitoring.report import draw_monitoring, render_report
from kedro_mlops.monitoring.skew import measure_skew
from kedro_mlops.monitoring.triggers import decide, record

MOMENTS = ["params:as_of", "params:horizon"]
WINDOW = "params:window"
PARAMS = "params:monitoring"
BOOTSTRAP = "params:bootstrap"
PLOTS = ["performance_plot", "live_calibration_plot", "score_plot", "drift_plot"]


def create_pipeline() -> Pipeline:
    """Join, measure, decide, alert, report."""
    return named_pipeline(
        "monitoring",
        [
            Node(
                take_predictions,
                ["contract", "predictions", "champion", *MOMENTS],
                "scored_horizon",
            ),
            Node(
                join_labels,
                ["contract", "scored_horizon", "model_input", *MOMENTS],
                ["labelled_predictions", "label_account"],
            ),
            Node(count_new_labels, ["contract", "model_input", "champion", *MOMENTS], "new_labels"),
            Node(
                measure_drift,
                ["contract", "scored_horizon", "champion", *MOMENTS, WINDOW, PARAMS],
                "drift",
            ),
            Node(
                ingest,
                ["log_contract", "prediction_log"],
                "served_predictions",
                confirms="prediction_log",
            ),
            Node(
                measure_skew,
                ["contract", "served_predictions", "model_input", "champion", PARAMS],
                "serving_skew",
            ),
            Node(
                measure_quality,
                [
                    "contract", "scored_horizon", "drift", "data_screening", "serving_skew",
                    "champion", *MOMENTS, PARAMS,
                ],
                "data_quality",
            ),
            Node(
                measure_performance,
                [
                    "contract", "labelled_predictions", "label_account", "new_labels", "champion",
                    *MOMENTS, PARAMS, BOOTSTRAP, "params:gate.fairness", "metric_functions",
                ],
                "performance",
            ),
            Node(
                measure_windows,
                ["contract", "labelled_predictions", "drift", "champion", PARAMS, BOOTSTRAP],
                "windows",
            ),
            Node(
                decide,
                [
                    "data_quality", "performance", "windows", "past_windows", "last_trained",
                    "champion", *MOMENTS, "params:retraining",
                ],
                "retrain_decision",
            ),
            Node(record, ["retrain_decision", "windows"], ["decision_history", "window_history"]),
            Node(
                raise_alerts,
                ["retrain_decision", "data_quality", "performance", "serving_skew"],
                "alerts",
            ),
            Node(
                judge_challenger,
                [
                    "contract", "served_predictions", "model_input", "champion",
                    "past_challenger_reviews", *MOMENTS, "params:challenger_review",
                    "params:costs", BOOTSTRAP,
                ],
                ["challenger_decision", "challenger_reviews"],
            ),
            Node(
                expose,
                [
                    "performance", "windows", "data_quality", "serving_skew", "data_screening",
                    "retrain_decision", "champion",
                ],
                "monitoring_figures",
            ),
            Node(
                draw_monitoring,
                ["contract", "labelled_predictions", "windows", "drift", "champion"],
                PLOTS,
            ),
            Node(
                render_report,
                [
                    "retrain_decision", "data_quality", "serving_skew", "performance",
                    "challenger_decision", "drift", "champion", *PLOTS,
                ],
                "monitoring_report",
                tags=["of_champion"],  # rendered anew when the champion moves
            ),
        ],
    )  # fmt: skip
