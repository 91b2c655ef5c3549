"""The gate's decision in; a proven release, and the champion, out."""

from kedro.pipeline import Node, Pipeline

from kedro_mlops.framework.pipelines import named_pipeline
from kedro_mlops.release.nodes import (
    build_bento,
    pack_engine,
    promote,
    select_model,
    store_challenger,
    store_model,
    verify,
)
from kedro_mlops.release.requirements import export_requirements

PARAMS = "params:release"


def create_pipeline() -> Pipeline:
    """Select, store, build, verify, promote."""
    return named_pipeline(
        "release",
        [
            Node(select_model, ["candidate", "incumbent", "gate_decision"], "selected"),
            Node(store_model, ["contract", "selected", "test", PARAMS], "model_tag"),
            Node(
                store_challenger,
                ["contract", "candidate", "selected", "gate_decision", "test", PARAMS],
                "challenger_tag",
            ),
            Node(
                export_requirements, ["families", "model_tag", "challenger_tag"], "requirements"
            ),
            Node(pack_engine, None, "wheel_hash"),
            Node(
                build_bento,
                [
                    "model_tag", "challenger_tag", "selected", "requirements", "wheel_hash",
                    "bento_files", PARAMS,
                ],
                "bento",
            ),
            Node(
                verify,
                [
                    "contract", "log_contract", "bento", "selected", "test", "online_store",
                    PARAMS, "params:seed",
                ],
                "release",
            ),
            Node(promote, ["selected", "release"], "champion"),
        ],
    )  # fmt: skip
