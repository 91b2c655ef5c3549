"""Model input in; a candidate, measured once on the test window, out."""

from kedro.pipeline import Node, Pipeline

from kedro_mlops.framework.pipelines import named_pipeline
from kedro_mlops.modelling.evaluation import (
    collect_evaluation,
    draw_evaluation,
    evaluate,
    evaluate_slices,
    measure_footprint,
    measure_importance,
    measure_single_features,
    predict_test,
)
from kedro_mlops.modelling.fitting import fit_winner
from kedro_mlops.modelling.learning_curve import measure_learning_curve
from kedro_mlops.modelling.nodes import (
    choose_rule,
    count_rows,
    package_candidate,
    profile_reference,
    split_windows,
)
from kedro_mlops.modelling.tuning import tune
from kedro_mlops.reporting import charts

WINDOWS = ["train", "validation", "test"]
PARAMS = "params:modelling"
COSTS = "params:costs"
SEED = "params:seed"
CODE = "params:code_version"
BOOTSTRAP = "params:bootstrap"
PLOTS = ["models", "calibration", "roc", "cost", "slices", "importance", "learning_curve"]


def create_pipeline() -> Pipeline:
    """Split, tune, fit, evaluate, package."""
    return named_pipeline(
        "modelling",
        [
            Node(
                split_windows, ["contract", "model_input", "params:as_of", PARAMS, SEED], WINDOWS
            ),
            Node(
                count_rows,
                ["contract", "model_input", *WINDOWS, "params:as_of", PARAMS],
                "row_sample",
            ),
            Node(
                tune,
                [
                    "contract", "families", *WINDOWS, "known_trials", "known_predictions",
                    PARAMS, BOOTSTRAP, SEED, CODE,
                ],
                ["recipe", "tuning_trials", "validation_predictions", "tuning_history"],
            ),
            Node(charts.trials, "tuning_trials", "tuning_plot", name="draw_tuning"),
            Node(choose_rule, ["contract", "validation_predictions", COSTS], "decision_rule"),
            Node(
                fit_winner,
                [
                    "contract", "families", *WINDOWS, "recipe", "known_candidate", PARAMS, SEED,
                    CODE, "row_sample",
                ],
                "fitted",
            ),
            Node(
                predict_test,
                ["contract", "fitted", *WINDOWS, "decision_rule", SEED, "row_sample"],
                "test_predictions",
            ),
            Node(
                evaluate,
                ["contract", "test_predictions", BOOTSTRAP, "metric_functions", "row_sample"],
                "metrics",
            ),
            Node(evaluate_slices, ["contract", "test_predictions", BOOTSTRAP], "slice_metrics"),
            Node(
                measure_importance,
                ["contract", "fitted", "test", PARAMS, SEED],
                "feature_importance",
            ),
            Node(
                measure_single_features,
                ["contract", *WINDOWS, PARAMS, SEED],
                "single_feature_auc",
            ),
            Node(
                measure_learning_curve,
                [
                    "contract", "families", "fitted", *WINDOWS, "test_predictions", "recipe",
                    PARAMS, BOOTSTRAP, SEED, "row_sample",
                ],
                "learning_curve",
            ),
            Node(
                draw_evaluation,
                ["contract", "evaluation", "metrics", "decision_rule"],
                [f"{plot}_plot" for plot in PLOTS],
            ),
            Node(
                profile_reference,
                [
                    "contract", "model_input", "test_predictions", "params:as_of", "params:window",
                    PARAMS, SEED,
                ],
                "reference_profile",
            ),
            Node(
                collect_evaluation,
                [
                    "contract", "data_screening", "test_predictions", "metrics", "slice_metrics",
                    "feature_importance", "fitted", COSTS, "learning_curve",
                ],
                "evaluation",
            ),
            Node(
                package_candidate,
                [
                    "contract", "fitted", "decision_rule", "metrics", "reference_profile",
                    "evaluation", "params:as_of", "parameters",
                ],
                "candidate",
            ),
            Node(
                measure_footprint,
                ["contract", "candidate", "test", "fitted", "params:release.tolerance"],
                "candidate_footprint",
            ),
        ],
    )  # fmt: skip
