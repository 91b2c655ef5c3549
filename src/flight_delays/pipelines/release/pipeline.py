"""The gate's decision in; a proven release, and the champion, out."""

from kedro.pipeline import Node, Pipeline

from .nodes import (
    build_bento,
    elect,
    export_requirements,
    promote,
    store_challenger,
    store_model,
    verify,
)


def create_pipeline() -> Pipeline:
    """Elect, store, build, verify, promote."""
    return Pipeline(
        [
            Node(elect, ["candidate", "incumbent", "gate_decision"], "elected"),
            Node(
                store_model,
                ["contract", "elected", "test", "params:release"],
                ["model_tag", "engine"],
            ),
            Node(
                store_challenger,
                ["contract", "candidate", "elected", "gate_decision", "test", "params:release"],
                "challenger_tag",
            ),
            Node(export_requirements, "engine", "requirements"),
            Node(
                build_bento, ["model_tag", "challenger_tag", "elected", "requirements"], "bento_tag"
            ),
            Node(
                verify,
                [
                    "contract",
                    "log_contract",
                    "bento_tag",
                    "model_tag",
                    "challenger_tag",
                    "engine",
                    "elected",
                    "test",
                    "online_store",
                    "params:release",
                    "params:seed",
                ],
                "release",
            ),
            Node(promote, ["elected", "release"], "champion"),
        ],
        namespace="release",
        prefix_datasets_with_namespace=False,
    )
