"""What the page tells to type for clouds: variables, paths and ports that the service knows."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kedro_mlops.serving.clouds import SAGEMAKER_PORT, routes_of
from kedro_mlops.serving.paths import INNER, PREDICT, READY
from kedro_mlops.serving.settings import Settings

PAGE = (Path(__file__).parents[4] / "docs/clouds.md").read_text()
# BentoML's
OTHERS = {"BENTOML_PORT"}


def section(title: str) -> str:
    [found] = re.findall(rf"(?ms)^## {title}$(.*?)(?=^## |\Z)", PAGE)
    return found


@pytest.fixture(scope="module")
def azure() -> Any:
    [found] = re.findall(r"(?s)```yaml\n(.*?)```", section("Azure Machine Learning"))
    return yaml.safe_load(found)


def test_every_variable_is_one_that_the_service_knows(azure: Any) -> None:
    typed = re.findall(r'"([A-Z_]+)": "|[=,]([A-Z_]{5,})=', PAGE)
    named = {one or other for one, other in typed} | azure["environment_variables"].keys()

    assert {"CLOUD_ENDPOINT", "FEATURE_STORE_URL"} <= named
    assert named - {name.upper() for name in Settings.__struct_fields__} == OTHERS


def test_sagemaker_calls_the_port_that_it_is_told_to_listen_on() -> None:
    told = section("Amazon SageMaker")

    assert f'"CLOUD_ENDPOINT": "sagemaker", "BENTOML_PORT": "{SAGEMAKER_PORT}"' in told
    assert set(routes_of("sagemaker", "", "")) == {"/ping", "/invocations"}
    assert all(f" {path}`" in told for path in routes_of("sagemaker", "", ""))


def test_vertex_calls_the_port_that_it_is_told_to_listen_on() -> None:
    told = section("Vertex AI")
    [called], [listens] = (re.findall(rf"{name}=(\d+)", told) for name in ("ports", "BENTOML_PORT"))
    health, predict = (
        re.findall(rf"{name}-route=(\S+)", told)[0] for name in ("health", "predict")
    )

    assert called == listens
    assert routes_of("vertex", health, predict) == {health: READY, predict: PREDICT}


def test_azure_asks_where_it_is_answered(azure: Any) -> None:
    routes = azure["environment"]["inference_config"]
    paths = {name: route["path"] for name, route in routes.items()}

    assert {route["port"] for route in routes.values()} == {3000}
    assert {paths["liveness_route"], paths["readiness_route"]} <= INNER.keys()
    assert routes_of("azure", "", "") == {paths["scoring_route"]: PREDICT}
    assert azure["request_settings"]["request_timeout_ms"] > 1000 * Settings().request_seconds
    assert azure["environment_variables"]["CLOUD_ENDPOINT"] == "azure"
