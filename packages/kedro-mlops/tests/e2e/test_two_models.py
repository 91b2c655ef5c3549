"""One project, two models: neither the nodes nor the service know which contract they serve."""

import json
from pathlib import Path
from typing import Any

import pytest
from driving.project import Project, copy_project

SCRIPT = "packages/kedro-mlops/tests/driving/two_models.py"


@pytest.fixture(scope="module")
def champions(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, list[dict[str, Any]]]:
    """A copy of the project, and what two contracts came to in it."""
    project = copy_project(pytestconfig.rootpath, tmp_path_factory.mktemp("two"))
    said = project.must(f"python {SCRIPT}").splitlines()
    return project, [json.loads(line) for line in said if line.startswith("{")]


def test_two_models_are_trained_gated_and_released_from_one_project(
    champions: tuple[Project, list[dict[str, Any]]],
) -> None:
    project, (loans, parcels) = champions

    assert loans["features"] == ["asked_at", "amount", "purpose"]
    assert parcels["features"] == ["grams", "fragile"]
    for name, made in {"loans": loans, "parcels": parcels}.items():
        bento, version = made["release"].split(":")
        assert bento == name
        assert Path(project.environment["BENTOML_HOME"], "bentos", name, version).is_dir()
