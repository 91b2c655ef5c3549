"""What light commands import, and that pipelines which are imported late are whole."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from example.factories import decided, tiny_package, write_bento, write_labels, write_spec
from kedro.io import Version
from kedro.pipeline import Node, Pipeline

from flight_delays.pipeline_registry import register_pipelines

from kedro_mlops.core.datasets import HistoryDataset
from kedro_mlops.framework.pipelines import LazyPipeline
from kedro_mlops.gate.nodes import record
from kedro_mlops.models.datasets import ModelPackageDataset

HEAVY = [
    "IPython", "bentoml", "ibis", "numpy", "optuna", "pandas", "plotly", "psutil", "scipy",
    "sklearn", "sqlalchemy",
]  # fmt: skip
RELEASE = "bento:2013-a"
IMPORTED = f"""
import json, sys
from kedro.framework.cli.cli import main

sys.argv = ["kedro", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""


def told_by(folder: Path, *command: str, fails: bool = False) -> tuple[str, list[str]]:
    """What a command says in a project, and what it has imported of what is heavy."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *command],
        cwd=folder, env=os.environ | {"BENTOML_HOME": str(folder / "bentoml")},
        capture_output=True, text=True, check=not fails,
    )  # fmt: skip
    assert bool(done.returncode) == fails
    said, _, imported = done.stdout.rstrip().rpartition("\n")
    return said, json.loads(imported)


@pytest.mark.parametrize(
    "command", [["--help"], ["registry", "list"], ["champion", "--help"], ["run", "--help"]]
)
def test_a_light_command_imports_nothing_heavy(
    pytestconfig: pytest.Config, command: list[str]
) -> None:
    _, imported = told_by(pytestconfig.rootpath, *command)

    assert imported == []


@pytest.mark.parametrize("option", ["--pipelines=modeling", "--pipeline=modeling", "--async"])
def test_a_run_that_cannot_be_meant_is_refused_before_what_is_heavy(
    pytestconfig: pytest.Config, option: str
) -> None:
    _, imported = told_by(pytestconfig.rootpath, "run", option, fails=True)

    assert imported == []


@pytest.fixture(scope="module")
def project(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with a champion that was judged, awaited approval, and is released."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("conf", "src"):
        shutil.copytree(pytestconfig.rootpath / name, folder / name)
    shutil.copy(pytestconfig.rootpath / "pyproject.toml", folder)
    models = folder / "data/06_models"
    judged = decided("await_approval", "2013-a")
    package = tiny_package(version="2013-a")
    for name in ("candidate", "champion"):
        more = {"decision": judged, "release": RELEASE} if name == "champion" else {}
        made = package.with_record(**more)
        ModelPackageDataset(filepath=str(models / name), version=Version(None, None)).save(made)
    HistoryDataset(filepath=str(models / "gate_history.jsonl"), key=["candidate"]).save(
        record(judged)
    )
    (models / "gate_decision.json").write_text(judged.model_dump_json())
    write_bento(folder / "bentoml", RELEASE, "model:2013-a")
    stored = folder / "bentoml/models/model/2013-a"
    stored.mkdir(parents=True)
    write_labels(stored, write_spec("2013-a", stored))
    return folder


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("show", f"{RELEASE}, ready to serve"),
        ("release", RELEASE),
        ("history", "await_approval"),
        ("candidates", "await_approval"),
    ],
)
@pytest.mark.filterwarnings("ignore:Save version")
def test_what_is_known_of_models_is_told_without_their_imports(
    project: Path, command: str, told: str
) -> None:
    said, imported = told_by(project, "champion", command)

    assert "2013-a" in said
    assert told in said
    assert imported == []


def test_the_default_pipeline_is_all_that_are_not_walked_apart() -> None:
    found = register_pipelines()

    whole = found.pop("__default__")
    parts = {node.name for name, part in found.items() if name != "replay" for node in part.nodes}
    assert {node.name for node in whole.nodes} == parts
    assert "replay" in found


def test_a_pipeline_is_made_once_and_when_it_is_looked_into() -> None:
    made = []

    def make() -> Pipeline:
        made.append(1)
        return Pipeline([Node(len, "a", "b", name="only")])

    lazy = LazyPipeline(make)
    before = len(made)
    names = [node.name for node in lazy.nodes]

    assert isinstance(lazy, Pipeline)
    assert (before, len(made)) == (0, 1)
    assert names == ["only"]
    assert lazy.inputs() == {"a"}
    assert (lazy + Pipeline([])).outputs() == {"b"}
    assert [node.name for node in copy.copy(LazyPipeline(make)).nodes] == ["only"]
