"""One edit of the contract, and all that obey it follow, with no other file touched.

Each edit is made in a copy of the package. A probe, run in a process of its own on that copy, says
what each consumer now does about each column; what has changed is compared with the unedited copy.
Where a feature is new, the node that computes it is edited too.
"""

import json
import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from driving.edits import ADD, LOOKED_UP, REMOVE, RENAME, SENT, SLICE, TIGHTEN, Edit, make
from driving.warm_start import run_warm
from example import ENVIRONMENT

# what each column of a numeric kind is asked to be, one row each
KEEPS_AS_CHALLENGER = [-1e9, -50.0, 0.5, 30.0, 90.0, 150.0, 1e9]
PROBE = """
import json
import re
import sys
from datetime import date
from pathlib import Path

import flight_delays

assert Path(flight_delays.__file__).is_relative_to(Path.cwd()), flight_delays.__file__

import ibis
import numpy as np
import pandas as pd
from kedro.validation import DataValidationError

from flight_delays import contracts
from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.datasets import ContractsDataset
from flight_delays.contracts import Inputs, Observation, Prediction, RawWeather
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.core.time_params import AsOf, Horizon, Window
from kedro_mlops.documentation.nodes import ModelCard, render_card, render_dictionary
from kedro_mlops.modelling.evaluation import evaluate_slices
from kedro_mlops.modelling.nodes import profile_reference
from kedro_mlops.monitoring.drift import measure_drift
from kedro_mlops.monitoring.parameters import DISTANCES, Drift, Monitoring
from kedro_mlops.monitoring.skew import measure_skew
from kedro_mlops.export.fields import fields_of
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.contract.splits import Splits
from kedro_mlops.measures.drift_reference import Reference
from kedro_mlops.prediction_log.writer import PredictionLog
from kedro_mlops.runtime.field_types import request_model
from kedro_mlops.contract.validation import ContractValidator
# the rows and the model are made of the contract that was edited
sys.modules["example.contracts"] = contracts
from example.factories import decided, json_lines, observations, tiny_package

TRIED = json.loads(sys.argv[1])
OBSERVATION, RAW = Columns.of(Observation), Columns.of(RawWeather)
TABLES = ContractsDataset(module="flight_delays.contracts").load()
AS_OF, HORIZON, WINDOW = AsOf("2013-01-14"), Horizon(days=14), Window(days=14)
SPLITS = Splits(validation_days=1, test_days=1)
FIRST_DAY = AsOf("2013-01-01")


def failures(table):
    try:
        ContractValidator("flight_delays.contracts.Observation").validate(table)
    except DataValidationError as error:
        return error.failures
    return []


def validator():
    rows = observations(len(TRIED))
    numeric = OBSERVATION.features_of_kind("numeric")
    tried = rows.assign(**{name: TRIED for name in numeric})
    assert not failures(ibis.memtable(rows))
    lacking = {f.column for f in failures(ibis.memtable(pd.DataFrame({"other": [1]})))}
    said = {name: {"must be there": name in lacking} for name in OBSERVATION.names}
    for failure in failures(ibis.memtable(tried)):
        said[failure.column][failure.check] = failure.failure_examples
    return said


def quarantine():
    numbers = {c.name: TRIED for c in RAW.all if c.kind == "numeric"}
    moments = pd.date_range("2013-01-01", periods=len(TRIED), freq="h", tz="UTC")
    raw = pd.DataFrame({"origin": "EWR", "time_hour": moments, **numbers})
    _, quarantined, _ = screen(raw, RawWeather)
    said = {column.name: [] for column in RAW.all}
    for entry in quarantined.to_pyarrow().to_pylist():
        said[entry["column"]].append([entry["row"], entry["rule"], entry["value"]])
    return said


def preprocessing(package):
    steps = package.estimator["preprocessing"]
    said = {str(name): [] for name in steps.feature_names_in_}
    for step, _, names in steps.transformers_:
        for name in names:
            said[str(name)].append(step)
    assert list(said) == package.metadata.features
    package.predict(observations())
    return said


def request():
    sent = [field for field in fields_of(Columns.of(Inputs)) if field.source is None]
    schema = request_model(sent).model_json_schema()
    required, example = schema["required"], schema["example"]
    return {
        name: [about, name in required, example[name]]
        for name, about in schema["properties"].items()
    }


def predictions(package):
    rows = observations()
    return rows.assign(
        prediction_id=[str(i) for i in range(len(rows))],
        predicted_at=pd.Timestamp("2013-01-13"),
        model_version=package.version,
        variant="champion",
        **package.predict(rows),
        missing_features=None,
    )


def log(made):
    folder = Path("log")
    logged = made[Columns.of(Prediction).without_personal().names]
    PredictionLog(folder, 1_000_000, 10_000_000).append(json_lines(logged), date.today())
    [file] = folder.glob("*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return {name: len(lines) for name in set.intersection(*map(set, lines))}


def watched(package, made):
    table = ibis.memtable(made)
    scores = made.assign(**{OBSERVATION.label: made[OBSERVATION.label].astype(int)})
    profiled = profile_reference(OBSERVATION, table, scores, AS_OF, WINDOW, SPLITS)
    reference = Reference.model_validate(profiled)
    params = Monitoring.model_construct(
        skew_sample_rows=1000,
        max_missing_share_increase=0.3,
        drift=Drift(
            margin=1,
            floors=dict.fromkeys(DISTANCES, 0.2),
            measure="psi",
            max_p_value=0.05,
            min_features=1,
        ),
    )
    drift = measure_drift(OBSERVATION, table, package, FIRST_DAY, HORIZON, WINDOW, params)
    drift = drift.set_index("column")
    skew = measure_skew(OBSERVATION, table, table, package, params)
    return {
        "reference": {
            name: [name in reference.features.edges, sum(counts.values())]
            for name, counts in reference.features.counts.items()
        },
        "drift": np.isfinite(drift["psi"]).to_dict(),
        "skew": {row.column: [skew.n_compared, row.source] for row in skew.columns},
    }


def sliced(made):
    made = made.assign(**{OBSERVATION.label: made[OBSERVATION.label].astype(int)})
    made = made.assign(**dict.fromkeys(OBSERVATION.segments, "one"))
    slices = evaluate_slices(OBSERVATION, made, Bootstrap(n_resamples=20, confidence=0.5, seed=0))
    return dict(zip(slices["segment"], slices["n_rows"].tolist(), strict=True))


def rows_of(page):
    pattern = r"<tr>\\s*<td><code>(\\w+)</code></td>(.*?)</tr>"
    return dict(re.findall(pattern, page, re.DOTALL))


def dictionary():
    tables = re.split(r'<h2 id="(\\w+)">', render_dictionary(TABLES))[1:]
    return {
        f"{table}.{column}": text
        for table, page in zip(tables[::2], tables[1::2], strict=True)
        for column, text in rows_of(page).items()
    }


package = tiny_package(decision=decided())
people = ModelCard(owner="us", intended_use="to know", out_of_scope=["the rest"], limits=["many"])
made = predictions(package)
said = {
    "validator": validator(),
    "quarantine": quarantine(),
    "preprocessing": preprocessing(package),
    "request": request(),
    "log": log(made),
    **watched(package, made),
    "slices": sliced(made),
    "dictionary": dictionary(),
    "card": rows_of(render_card(OBSERVATION, package, people)),
}
print(json.dumps(said))
"""

# by consumer, what it says of each column
Probe = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def probe(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[list[Edit]], Probe]:
    """Says what the consumers do after edits of a copy."""
    package = pytestconfig.rootpath / "src/flight_delays"

    def asked(edits: list[Edit]) -> Probe:
        folder = tmp_path_factory.mktemp("src")
        bytecode = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, folder / "flight_delays", ignore=bytecode)
        make(edits, folder)
        path = {"PYTHONPATH": os.pathsep.join([str(folder), ENVIRONMENT["PYTHONPATH"]])}
        command = ["-c", PROBE, json.dumps(KEEPS_AS_CHALLENGER)]
        status = run_warm(command, folder, ENVIRONMENT | path, folder, timeout=300)
        assert status == 0, (folder / "stderr").read_text()
        return json.loads((folder / "stdout").read_text())

    return asked


@pytest.fixture(scope="module")
def before(probe: Callable[[list[Edit]], Probe]) -> Probe:
    return probe([])


def changed(before: Probe, after: Probe) -> dict[str, set[str]]:
    """By consumer, the columns about which it does something else."""
    assert before.keys() == after.keys()
    differing = {
        consumer: {
            column
            for column in before[consumer].keys() | after[consumer].keys()
            if before[consumer].get(column) != after[consumer].get(column)
        }
        for consumer in before
    }
    return {consumer: columns for consumer, columns in differing.items() if columns}


def everywhere(*columns: str) -> dict[str, set[str]]:
    """The consumers of a feature that is not looked up."""
    named = {name: set(columns) for name in ("validator", "preprocessing", "request", "log")}
    watched = {name: set(columns) for name in ("reference", "drift", "skew")}
    return named | watched | {"card": set(columns), "dictionary": in_tables(*columns)}


def in_tables(*columns: str, tables: tuple[str, ...] = ()) -> set[str]:
    """The columns in the tables of the data dictionary that have them."""
    tables = tables or ("PrimaryFlights", "Observation", "Prediction")
    return {f"{table}.{column}" for table in tables for column in columns}


def test_what_the_probe_says_of_the_contract_as_it_is(before: Probe) -> None:
    wind = "wind_speed_mph"

    said = {consumer: about[wind] for consumer, about in before.items() if wind in about}

    assert said["validator"] == {
        "must be there": True,
        "greater_than_or_equal_to(0)": [-1e9, -50],
        "less_than_or_equal_to(200)": [1e9],
    }
    assert said["preprocessing"] == ["numeric"]
    assert said["request"][0]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 200}
    assert said["reference"] == [True, 240]
    assert said["skew"] == [240, "sent"]
    assert said["log"] == 240
    assert "at most 200" in said["card"]
    assert [row for row, *_ in before["quarantine"]["wind_speed"]] == [1, 2, 7]
    assert set(before["slices"]) == {"carrier", "origin"}


def test_a_feature_that_is_added_is_obeyed_by_all(
    before: Probe, probe: Callable[[list[Edit]], Probe]
) -> None:
    after = probe(ADD)

    differing = changed(before, after)

    new = (LOOKED_UP, SENT)
    assert differing == everywhere(*new) | {
        "request": {SENT},
        "dictionary": in_tables(*new, tables=("Observation", "Prediction")),
    }
    assert all(after["validator"][name]["must be there"] for name in new)
    assert after["validator"][SENT]["less_than_or_equal_to(150)"] == [1e9]
    assert [after["preprocessing"][name] for name in new] == [["numeric"], ["numeric"]]
    about, required, example = after["request"][SENT]
    assert about["anyOf"][0] == {"type": "number", "minimum": -1, "maximum": 150}
    assert (required, example) == (False, 16.9)
    assert [after["skew"][name] for name in new] == [[240, "looked up"], [240, "sent"]]
    assert [after["reference"][name] for name in new] == [[True, 240]] * 2
    assert "looked up: carrier_features.flights_7d by carrier" in after["card"][LOOKED_UP]


def test_a_feature_that_is_renamed_is_renamed_for_all(
    before: Probe, probe: Callable[[list[Edit]], Probe]
) -> None:
    old, new = "wind_gust_mph", "gust_speed_mph"

    after = probe(RENAME)

    assert changed(before, after) == everywhere(old, new)
    for consumer, columns in after.items():
        was = {column.replace(old, new): said for column, said in before[consumer].items()}
        assert consumer == "request" or columns == was
    assert after["request"][new][1:] == before["request"][old][1:]


def test_a_bound_that_is_tightened_is_tight_for_all(
    before: Probe, probe: Callable[[list[Edit]], Probe]
) -> None:
    raw, wind = "wind_speed", "wind_speed_mph"

    after = probe(TIGHTEN)

    assert changed(before, after) == {
        "validator": {wind},
        "quarantine": {raw},
        "request": {wind},
        "card": {wind},
        "dictionary": in_tables(wind) | {f"RawWeather.{raw}"},
    }
    assert after["validator"][wind]["less_than_or_equal_to(40)"] == [90, 150, 1e9]
    assert [row for row, *_ in after["quarantine"][raw]] == [1, 2, 5, 6, 7]
    assert after["quarantine"][raw][2] == [5, "less_than_or_equal_to(40)", "90.0"]
    assert after["request"][wind][0]["anyOf"][0]["maximum"] == 40
    assert "at most 40" in after["card"][wind]
    assert "at most 40" in after["dictionary"][f"RawWeather.{raw}"]


def test_a_feature_that_is_removed_is_gone_for_all(
    before: Probe, probe: Callable[[list[Edit]], Probe]
) -> None:
    raw, pressure = "pressure", "pressure_mb"

    after = probe(REMOVE)

    gone = everywhere(pressure)
    assert changed(before, after) == {
        **gone,
        "quarantine": {raw},
        "dictionary": gone["dictionary"] | {f"RawWeather.{raw}"},
    }
    assert not [about for about in after.values() if raw in about or pressure in about]


def test_a_column_that_becomes_a_segment_is_one_by_which_is_sliced(
    before: Probe, probe: Callable[[list[Edit]], Probe]
) -> None:
    segment = "destination"

    after = probe(SLICE)

    assert changed(before, after) == {
        "slices": {segment},
        "card": {segment},
        "dictionary": in_tables(segment),
    }
    assert after["slices"][segment] == 240
    assert "metrics are sliced by it" in after["card"][segment]
