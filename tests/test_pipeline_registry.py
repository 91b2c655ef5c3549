"""What light commands import, and that pipelines which are imported late are whole."""

import copy
import json
import subprocess
import sys

import pytest
from kedro.pipeline import Node, Pipeline

from flight_delays.pipeline_registry import APART, LazyPipeline, register_pipelines

HEAVY = ["IPython", "bentoml", "ibis", "numpy", "optuna", "pandas", "plotly", "scipy", "sklearn"]
IMPORTED = f"""
import json, sys
from kedro.framework.cli.cli import main

sys.argv = ["kedro", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""


@pytest.mark.parametrize(
    "command", [["--help"], ["registry", "list"], ["champion", "--help"], ["run", "--help"]]
)
def test_a_light_command_imports_nothing_heavy(
    pytestconfig: pytest.Config, command: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *command],
        cwd=pytestconfig.rootpath, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_the_default_pipeline_is_all_that_are_not_walked_apart() -> None:
    found = register_pipelines()

    whole = found.pop("__default__")
    parts = {node.name for name, part in found.items() if name not in APART for node in part.nodes}
    assert {node.name for node in whole.nodes} == parts
    assert set(APART) < set(found)


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
