"""What the managed endpoints of clouds ask of a container: their paths, and their port.

They authenticate callers themselves, and call without a key of ours. So their own paths are open,
and no others; and only where ``CLOUD_ENDPOINT`` says that the service is one of theirs.
"""

from typing import Literal

from kedro_mlops.core.errors import ProjectError

from .paths import PREDICT, READY

Cloud = Literal["", "sagemaker", "vertex", "azure"]
SAGEMAKER_PORT = 8080


def routes_of(cloud: Cloud, health: str, predict: str) -> dict[str, str]:
    """The paths that a cloud calls, each with that of ours which it stands for.

    Args:
        cloud: Whose endpoint it is.
        health: The path of Vertex AI's health checks.
        predict: And that of its predictions.

    Raises:
        ProjectError: if it should say which they are, and does not.
    """
    if cloud == "sagemaker":
        return {"/ping": READY, "/invocations": PREDICT}
    if cloud == "azure":
        return {"/score": PREDICT}
    if cloud == "vertex":
        if not (health.startswith("/") and predict.startswith("/")):
            raise ProjectError(
                "CLOUD_ENDPOINT is vertex, and AIP_HEALTH_ROUTE or AIP_PREDICT_ROUTE is no path: "
                "Vertex AI sets them. To try it elsewhere, set them to /health and /vertex."
            )
        return {health: READY, predict: PREDICT}
    return {}


def refuse_other_port(cloud: Cloud, vertex_port: int, port: int) -> None:
    """Make sure that the service listens where a cloud calls it.

    Raises:
        ProjectError: if it does not.
    """
    called = {"sagemaker": SAGEMAKER_PORT, "vertex": vertex_port or port}.get(cloud, port)
    if port != called:
        raise ProjectError(
            f"CLOUD_ENDPOINT is {cloud}, which calls port {called}, and the service listens on "
            f"{port}: set BENTOML_PORT={called}."
        )
