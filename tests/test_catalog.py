"""The catalog as a whole, as Kedro resolves it for the default pipeline."""

import json
import pydoc
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter

import pandas as pd
import pytest
from kedro.io import DataCatalog
from pandas.testing import assert_frame_equal

RESOLVE = """
import json
from pathlib import Path

from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

bootstrap_project(Path.cwd())
with KedroSession.create() as session:
    context = session.load_context()
    whole = pipelines["__default__"]
    made = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    names = [name for name in made if not name.startswith("params:")]
    resolver = context.catalog.config_resolver
    entries = {name: resolver.resolve_pattern(name) for name in names}
    nodes = [(sorted(node.inputs), sorted(node.outputs)) for node in whole.nodes]
    print(json.dumps({"entries": entries, "nodes": nodes}))
"""
OWNER = "flight_delays"
LAYERS = ["raw", "primary", "model_input", "reporting"]
# between data engineering and models, and on the way out
BOUNDARIES = {"model_input": "Observation", "predictions": "Prediction"}
# if example
BOUNDARIES |= {
    "raw_flights": "RawFlights",
    "raw_weather": "RawWeather",
    "raw_planes": "RawPlanes",
    "screened_flights": "RawFlights",
    "screened_weather": "RawWeather",
    "screened_planes": "RawPlanes",
    "primary_flights": "PrimaryFlights",
    "carrier_features": "DailyFeatures",
    "origin_features": "DailyFeatures",
    "destination_features": "DailyFeatures",
    "plane_features": "PlaneFeatures",
}
# end


@pytest.fixture(scope="module")
def resolved(pytestconfig):
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_boundary_is_validated_against_its_contract(resolved):
    validators = {name: entry.get("validator") for name, entry in resolved["entries"].items()}

    found = {name: validator for name, validator in validators.items() if validator}

    contracts = {name: v["options"]["contract"].rsplit(".", 1)[1] for name, v in found.items()}
    assert contracts.items() >= BOUNDARIES.items()
    # YAML reads an unquoted `on` as true, and Kedro reads it back
    assert all(validator["true"] == ["load"] for validator in found.values())
    assert found["predictions"]["options"]["without_personal"]


# in each table that is kept as CSV, the column of names that are the owner's
NAMED = {
    "slice_metrics": "value",
    "feature_importance": "feature",
    "single_feature_auc": "feature",
    "tuning_trials": "family",
    "behaviour": "name",
    "drift": "column",
    "replay_policies": "policy",
}


def test_every_table_of_names_is_known(resolved):
    tables = {n for n, e in resolved["entries"].items() if e.get("type") == "pandas.CSVDataset"}

    assert tables == {*NAMED} & {*resolved["entries"]}


@pytest.mark.parametrize("names", [["NA", "00179", "None"], ["1", "02", "1e3"], ["true", "false"]])
@pytest.mark.parametrize(("table", "column"), NAMED.items())
def test_names_stay_what_they_are(resolved, tmp_path, table, column, names):
    if table not in resolved["entries"]:
        pytest.skip("this project has none")
    entry = resolved["entries"][table] | {"filepath": str(tmp_path / "table.csv")}
    numbers = [0.5, None, 0.7][: len(names)]
    rows = pd.DataFrame({column: names, "roc_auc": numbers})

    catalog = DataCatalog.from_config({"table": entry})
    catalog.save("table", rows)

    assert_frame_equal(catalog.load("table"), rows)


def test_layers_follow_each_other_without_a_cycle(resolved):
    entries = resolved["entries"]
    layers = {
        name: (entry.get("metadata") or {}).get("kedro-viz", {}).get("layer")
        for name, entry in entries.items()
    }
    made_of = {output: inputs for inputs, outputs in resolved["nodes"] for output in outputs}

    @cache
    def upstream(name):
        parents = made_of.get(name, [])
        return set(parents).union(*map(upstream, parents))

    before = {layer: set() for layer in layers.values() if layer}
    for name, layer in layers.items():
        if layer:
            above = {layers.get(parent) for parent in upstream(name)}
            before[layer] |= above - {None, layer}
    order = list(TopologicalSorter(before).static_order())

    in_order = [layer for layer in order if layer in LAYERS]
    assert in_order == [layer for layer in LAYERS if layer in in_order]
    assert {"model_input", "reporting"} <= {*in_order}


def test_whatever_code_the_configuration_names_is_there(pytestconfig):
    files = [*(pytestconfig.rootpath / "conf").glob("*/*.yml")]
    named = {
        name
        for path in files
        for name in re.findall(rf"\b(?:kedro_mlops|{OWNER})\.[\w.]+", path.read_text())
    }

    missing = {name for name in named if pydoc.locate(name) is None}

    assert len(named) > 20
    assert missing == set()


def test_predictions_that_are_explained_are_looked_for_in_the_catalog(pytestconfig):
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "champion", "explain", "nonsense", "--env", "sample"],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "No prediction nonsense is on record" in done.stderr
