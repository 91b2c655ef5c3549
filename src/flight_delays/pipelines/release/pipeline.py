"""The gate's decision in; a proven release, and the champion, out."""

from kedro.pipeline import Node, Pipeline

from kedro_mlops.framework.pipelines import named_pipeline
from kedro_mlops.release.nodes import (
    build_bento,
    elect,
    pack_engine,
    promote,
    store_challenger,
    store_model,
    verify,
)
from kedro_mlops.release.requirements import export_requirements

PARAMS = "params:release"


def create_pipeline() -> Pipeline:
    """Elect, store, build, verify, promote."""
    return named_pipeline(
        "release",
        [
            Node(elect, ["candidate", "incumbent", "gate_decision"], "elected"),
            Node(store_model, ["contract", "elected", "test", PARAMS], "model_tag"),
            Node(
                store_challenger,
                ["contract", "candidate", "elected", "gate_decision", "test", PARAMS],
                "challenger_tag",
            ),
            Node(
                export_requirements, ["families", "model_tag", "challenger_tag"], "requirements"
            ),
            Node(pack_engine, None, "wheel_hash"),
            Node(
                build_bento,
                ["model_tag", "challenger_tag", "elected", "requirements", "wheel_hash", PARAMS],
                "bento",
            ),
            Node(
                verify,
                [
                    "contract", "log_contract", "bento", "elected", "test", "online_store",
                    PARAMS, "params:seed",
                ],
                "release",
            ),
            Node(promote, ["elected", "release"], "champion"),
        ],
    )  # fmt: skip
