"""The gate's decision in; a proven release, and the champion, out."""

from kedro.pipeline import Node, Pipeline

from .nodes import build_bento, elect, export_requirements, promote, store_model, verify


def create_pipeline() -> Pipeline:
    """Elect, store, build, verify, promote."""
    return Pipeline(
        [
            Node(elect, ["candidate", "incumbent", "gate_decision"], "elected"),
            Node(export_requirements, None, "requirements"),
            Node(store_model, "elected", "model_tag"),
            Node(build_bento, ["model_tag", "elected", "requirements"], "bento_tag"),
            Node(
                verify,
                [
                    "bento_tag",
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
