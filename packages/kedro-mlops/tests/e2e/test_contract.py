"""One contract, obeyed from the raw table to the page for people, in runs of the real commands."""

import json
import re
import shutil
import sqlite3
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import yaml
from driving.asking import logged, predict, row_schema
from driving.edits import (
    ADD,
    CONTRACTS,
    LOOKED_UP,
    NODES,
    REMOVE,
    RENAME,
    SENT,
    TIGHTEN,
    Edit,
    make,
)
from driving.project import Loop, Project, copy_project, free_port, versions
from pandas.testing import assert_frame_equal

from flight_delays.contracts import Inputs

from kedro_mlops.contract.columns import Columns

RUN = "kedro run --env sample"
INPUTS = Columns.of(Inputs)
TAIL = 'tail_number: str = column("Tail number of the plane", nullable=True'
PERSONAL = [Edit(CONTRACTS, TAIL, f"{TAIL}, personal=True")]
REFUSED_TAIL = 142285550

Copy = Callable[[list[Edit]], Project]


@pytest.fixture(scope="module")
def copy(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Copies of the project whose package is edited."""

    def edited(edits: list[Edit]) -> Project:
        scratch = tmp_path_factory.mktemp("edited")
        project = copy_project(pytestconfig.rootpath, scratch, is_measured=False, every=3)
        make(edits, project.folder / "src")
        return project

    return edited


def _errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What a command that must fail in a civil way says, error by error."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return re.split(r"^Error: ", done.stderr, flags=re.MULTILINE)[1:]


def _champions(project: Project) -> list[Path]:
    return versions(project.folder / "data/sample/06_models/champion")


def _logged(folder: Path) -> pd.DataFrame:
    """What is in a prediction log, its moments as such."""
    return logged(folder).astype({INPUTS.event_time: "datetime64[us]"})


# a run of an edited contract: a feature more, one less, one renamed, one tighter, one personal


@dataclass(frozen=True)
class Answers:
    """What the service of the edited contract says."""

    schema: dict[str, Any]
    predictions: list[dict[str, Any]]
    refusals: dict[str, httpx.Response]


@dataclass(frozen=True)
class Edited:
    """A finished run of the edited copy."""

    project: Project
    loop: Loop

    def path(self, name: str) -> Path:
        """Where an artefact of the catalog is; as in the copy that is not edited."""
        place = self.loop.files[name].relative_to(self.loop.project.folder)
        return self.project.folder / place

    def read(self, name: str) -> Any:
        """The content of a JSON or CSV or Parquet artefact."""
        readers = {".parquet": pd.read_parquet, ".csv": pd.read_csv}
        path = self.path(name)
        return readers.get(path.suffix, lambda file: json.loads(file.read_text()))(path)

    @property
    def prediction_log(self) -> Path:
        return self.project.folder / "data/sample/07_model_output/prediction_log"


@pytest.fixture(scope="module")
def edited(copy: Copy, sample_loop: Loop) -> Edited:
    project = copy([*ADD, *RENAME, *TIGHTEN, *REMOVE, *PERSONAL])
    project.must(RUN)
    return Edited(project, sample_loop)


@pytest.fixture(scope="module")
def asked(edited: Edited) -> pd.DataFrame:
    """Rows that were scored in batch, and whose planes are known."""
    scored = edited.read("predictions")[INPUTS.keys]
    rows = edited.read("model_input").merge(scored, on=INPUTS.keys)
    return rows.dropna(subset=["plane_year"]).sample(100, random_state=0)


@pytest.fixture(scope="module")
def answers(edited: Edited, asked: pd.DataFrame) -> Answers:
    port = free_port()
    changes = {
        "personal and refused": {"tail_number": REFUSED_TAIL},
        "another refused": {"tail_number": "N14228", "carrier": "XX"},
        "removed": {"pressure_mb": 1011.2},
        "renamed": {"wind_gust_mph": 20},
        "tightened": {"wind_speed_mph": 41},
    }
    with edited.project.served(f"kedro serve --env sample --port {port}", port) as service:
        schema = row_schema(service)
        predictions = predict(service, asked)
        refusals = {
            name: service.post("/predict", json={"rows": [schema["example"] | change]})
            for name, change in changes.items()
        }
    return Answers(schema, predictions, refusals)


def test_a_run_of_an_edited_contract_learns_from_the_features_that_are_left(
    edited: Edited,
) -> None:
    [champion] = _champions(edited.project)
    drift, release = edited.read("drift"), edited.read("release")

    features = json.loads((champion / "metadata.json").read_text())["features"]

    was = [name.replace("wind_gust_mph", "gust_speed_mph") for name in INPUTS.features]
    assert set(features) == {*was, LOOKED_UP, SENT} - {"pressure_mb"}
    assert set(drift["column"]) == {*features, "probability"} - {INPUTS.event_time}
    assert set(release["features_compared"]) == {*features, *INPUTS.keys}


def test_a_run_of_an_edited_contract_computes_the_features_that_are_new(edited: Edited) -> None:
    predictions = edited.read("predictions")
    daily = pd.read_parquet(edited.project.folder / "data/sample/04_feature/carrier.parquet")

    day = predictions[INPUTS.event_time].dt.normalize()
    found = predictions.assign(day=day).merge(
        daily, left_on=["carrier", "day"], right_on=["entity", "day"]
    )

    assert len(found) == len(predictions)
    assert (found[LOOKED_UP] == found["flights_7d"]).all()
    spread = predictions["temperature_f"] - predictions["dew_point_f"]
    pd.testing.assert_series_equal(predictions[SENT], spread, check_names=False)
    assert predictions[SENT].nunique() > 10


def test_a_run_of_an_edited_contract_sets_aside_what_the_tighter_bound_forbids(
    edited: Edited,
) -> None:
    accounts = {table["contract"]: table for table in edited.read("data_screening")["tables"]}

    [rule] = accounts["RawWeather"]["rules"]

    assert (rule["column"], rule["rule"]) == ("wind_speed", "less_than_or_equal_to(40)")
    assert rule["n_rows"] == accounts["RawWeather"]["n_quarantined"] == 5
    assert edited.read("model_input")["wind_speed_mph"].max() <= 40


def test_the_service_of_an_edited_contract_asks_for_the_columns_that_are_sent(
    edited: Edited, answers: Answers
) -> None:
    fields = answers.schema["properties"]

    named = {name: reply.json()["errors"] for name, reply in answers.refusals.items()}

    was = {column.name.replace("wind_gust_mph", "gust_speed_mph") for column in INPUTS.sent}
    assert set(fields) == (was | {SENT}) - {"pressure_mb"}
    assert fields["wind_speed_mph"]["anyOf"][0]["maximum"] == 40
    assert {reply.status_code for reply in answers.refusals.values()} == {422}
    for name, column in {
        "removed": "pressure_mb",
        "renamed": "wind_gust_mph",
        "tightened": "wind_speed_mph",
    }.items():
        assert [(error["row"], error["field"]) for error in named[name]] == [(0, column)]


def test_the_prediction_log_of_an_edited_contract_has_what_the_model_saw(
    edited: Edited, answers: Answers, asked: pd.DataFrame
) -> None:
    log, batch = _logged(edited.prediction_log), edited.read("predictions")

    again = log.merge(batch, on=INPUTS.keys, suffixes=("", "_batch"))

    assert len(log) == len(asked)
    assert set(log) == set(batch)
    assert log["probability"].tolist() == [a["probability"] for a in answers.predictions]
    assert len(again) == len(asked)
    assert (again[LOOKED_UP] == again[f"{LOOKED_UP}_batch"]).all()


def test_the_pages_for_people_say_what_the_edited_contract_says(edited: Edited) -> None:
    dictionary, card = (edited.path(p).read_text() for p in ("data_dictionary", "model_card"))

    shown = [_listed(page) for page in (dictionary, card)]

    for columns in shown:
        assert {LOOKED_UP, SENT, "gust_speed_mph"} <= columns.keys()
        assert not {"wind_gust_mph", "pressure_mb"} & columns.keys()
        assert "at most 40" in columns["wind_speed_mph"]
    assert "personal" in shown[0]["tail_number"]


def _listed(page: str) -> dict[str, str]:
    """The rows of a page that are about a column."""
    return dict(re.findall(r"<tr>\s*<td><code>(\w+)</code></td>(.*?)</tr>", page, re.DOTALL))


# personal data


def test_a_personal_column_is_looked_up_by_and_goes_no_further(
    edited: Edited, answers: Answers
) -> None:
    tails = set(edited.read("model_input")["tail_number"].dropna())

    files, outputs = _files(edited), _outputs(edited.project)
    said = {name: text for path in [*files, *outputs] for name, text in _texts(path)}
    found = {
        name: sorted(set(re.findall(r"\b[0-9A-Z]{5,6}\b", text)) & tails)[:5]
        for name, text in said.items()
    }
    # the contract's example, which the serving spec of the release repeats
    [spec] = [name for name in said if name.endswith("serving_spec.json")]
    assert found.pop(spec) == [answers.schema["example"]["tail_number"]]

    assert len(tails) > 2000
    assert _logged(edited.prediction_log)["plane_year"].notna().all()
    assert {name: values for name, values in found.items() if values} == {}
    # callers send it, and it is looked up by, as the serving spec of the release says
    named = [path.name for path in files for _, text in _texts(path) if "tail_number" in text]
    assert named == ["serving_spec.json"]


def test_a_refusal_names_a_personal_column_and_keeps_its_value_to_itself(
    edited: Edited, answers: Answers
) -> None:
    refused, other = (
        answers.refusals[name] for name in ("personal and refused", "another refused")
    )

    outputs = [file.read_text() for file in _outputs(edited.project)]

    [error] = refused.json()["errors"]
    assert (error["row"], error["field"]) == (0, "tail_number")
    assert "value" not in error
    assert [error["field"] for error in other.json()["errors"]] == ["carrier"]
    assert str(REFUSED_TAIL) not in refused.text
    assert "N14228" not in other.text
    assert not [text for text in outputs if str(REFUSED_TAIL) in text or "N14228" in text]


def _outputs(project: Project) -> list[Path]:
    """What its commands have said, and logged."""
    said = [path for path in (project.folder.parent / "output").rglob("*") if path.is_file()]
    return [*said, *(project.folder / "logs").glob("*")]


def _files(edited: Edited) -> list[Path]:
    """All that leaves the tables."""
    names = ("champion", "candidate", "predictions", "drift", "monitoring_report", "model_card")
    home = Path(edited.project.environment["BENTOML_HOME"])
    roots = [*map(edited.path, names), edited.prediction_log, home / "models"]
    inside = [path for root in roots for path in (root.rglob("*") if root.is_dir() else [root])]
    return [path for path in inside if path.is_file()]


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """What a file says, by its name; or by those of its parts."""
    if path.suffix == ".skops":
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                yield f"{path}/{member}", archive.read(member).decode("latin-1")
    elif path.suffix == ".parquet":
        yield str(path), pd.read_parquet(path).to_csv()
    else:
        yield str(path), path.read_text("latin-1")


def test_a_personal_feature_is_a_contradiction_that_is_named(copy: Copy) -> None:
    project = copy([Edit(CONTRACTS, TAIL, f"{TAIL}, feature=True, personal=True")])

    done = project.run(f"{RUN} --pipelines=data_engineering")

    [error] = _errors(done)
    assert "tail_number in contracts.py is personal data and feature" in error
    assert not (project.folder / "data/sample").exists()


# leakage

FEATURES = """    departure_delay_min: float = column(
        "Departure delay in minutes", feature=True, nullable=True, example=4
    )
    arrival_hhmm: float = column(
        "Time of arrival, local", feature=True, nullable=True, example=1930
    )
"""
DEPARTURE = """dep_delay: float = column(
        "Departure delay in minutes; missing if cancelled\""""
ARRIVAL = 'arr_time: float = column("Time of arrival, local; hours and minutes as HHMM"'
AIR_TIME = '"air_time_min": raw["air_time"],'
LEAKING = [
    Edit(CONTRACTS, f"    {DEPARTURE}", f"    {ARRIVAL}, nullable=True)\n    {DEPARTURE}"),
    Edit(CONTRACTS, "    plane_year: float", f"{FEATURES}    plane_year: float"),
    Edit(NODES, AIR_TIME, f'{AIR_TIME} "arrival_hhmm": raw["arr_time"],'),
]
FALSELY_DECLARED = [
    Edit(CONTRACTS, raw, f"{raw}, known_ahead=True") for raw in (ARRIVAL, DEPARTURE)
]


def test_features_that_are_known_only_after_the_event_stop_the_run(copy: Copy) -> None:
    project = copy(LEAKING)

    done = project.run(RUN)

    [error] = _errors(done)
    assert "Known only after the event: departure_delay_min, arrival_hhmm." in error
    assert not _champions(project)


def test_a_leak_that_is_declared_to_be_known_ahead_is_blocked_by_the_gate(copy: Copy) -> None:
    project = copy([*LEAKING, *FALSELY_DECLARED])

    done = project.run(RUN)

    [error] = _errors(done)
    decision = json.loads((project.folder / "data/sample/06_models/gate_decision.json").read_text())
    [failed] = [check for check in decision["checks"] if not check["passed"]]
    assert decision["outcome"] == "block"
    assert failed["name"] == "no leak through departure_delay_min"
    assert failed["value"] > failed["limit"] == 0.85
    assert "no leak through departure_delay_min" in error
    assert not _champions(project)


# the same features, offline and in service


@pytest.fixture
def watched(sample_loop: Loop, request: pytest.FixtureRequest) -> Iterator[Loop]:
    """A copy of what the sample loop made, whose champion is due to be retrained."""
    name = request.node.name
    project, data = sample_loop.project, f"data/{name}"
    shutil.copytree(sample_loop.data, project.folder / data)
    for answered in ("prediction_log", "served_predictions"):
        shutil.rmtree(project.folder / data / "07_model_output" / answered, ignore_errors=True)
    parameters = yaml.safe_load((project.folder / "conf/sample/parameters.yml").read_text())
    parameters["retraining"] = {"max_age_days": 1, "cooldown_days": 0}
    project.with_environment(name, data, parameters=yaml.safe_dump(parameters))
    files = {
        name: project.folder / data / path.relative_to(sample_loop.data)
        for name, path in sample_loop.files.items()
    }
    yield replace(sample_loop, said=name, files=files)
    shutil.rmtree(project.folder / data)
    shutil.rmtree(project.folder / "conf" / name)


def _log_of(watched: Loop) -> Path:
    return watched.project.folder / "data" / watched.said / "07_model_output/prediction_log"


def _held_out(watched: Loop, n_rows: int) -> pd.DataFrame:
    rows = pd.read_parquet(watched.files["test"])
    return rows.sample(n_rows, random_state=0)


def test_a_release_says_which_features_it_was_proven_to_work_with(sample_loop: Loop) -> None:
    release = sample_loop.read("release")

    compared = release["features_compared"]

    assert compared == INPUTS.without_personal().names
    assert {column.name for column in INPUTS.looked_up} <= set(compared)


def test_the_service_works_with_the_features_of_training_and_monitoring_says_so(
    watched: Loop,
) -> None:
    env, port, rows = watched.said, free_port(), _held_out(watched, 100)

    with watched.project.served(f"kedro serve --env {env} --port {port}", port) as service:
        predict(service, rows)
    log, offline = _logged(_log_of(watched)), pd.read_parquet(watched.files["model_input"])
    watched.project.must(f"kedro run --env {env} --pipelines=monitoring")

    expected = log[INPUTS.keys].merge(offline, on=INPUTS.keys, how="left")
    assert len(log) == len(rows)
    assert_frame_equal(
        log[INPUTS.names], expected[INPUTS.names], check_dtype=False, check_exact=True
    )
    skew = watched.read("serving_skew")
    assert (skew["share"], skew["n_compared"], skew["n_unknown"]) == (0, 100, 0)
    assert _skew_check(watched)["passed"]
    assert watched.read("retrain_decision")["outcome"] == "retrain"


def test_a_service_that_looks_up_something_else_is_found_out_and_vetoes_retraining(
    watched: Loop, tmp_path: Path
) -> None:
    env, port, rows = watched.said, free_port(), _held_out(watched, 60)
    store = shutil.copy(watched.project.folder / "data" / env / "04_feature/online.db", tmp_path)
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE carrier_features SET late_rate_7d = 1 - late_rate_7d / 2")

    command = f"bentoml serve {watched.read('release')['bento']} --host 127.0.0.1 --port {port}"
    elsewhere = {"FEATURE_STORE_URL": f"sqlite:///{store}"}
    log = {"PREDICTION_LOG_DIR": str(_log_of(watched))}
    with watched.project.served(command, port, **elsewhere, **log) as service:
        predict(service, rows)
    watched.project.must(f"kedro run --env {env} --pipelines=monitoring")

    skew, decision = watched.read("serving_skew"), watched.read("retrain_decision")
    differing = {row["column"]: row["n_differ"] for row in skew["columns"] if row["n_differ"]}
    report = watched.files["monitoring_report"].read_text()
    assert differing == {"carrier_late_rate_7d": 60}
    assert (skew["share"], skew["n_compared"]) == (1, 60)
    assert re.search(r"<td>carrier_late_rate_7d</td><td>looked up</td><td[^>]*>60</td>", report)
    assert not _skew_check(watched)["passed"]
    assert decision["outcome"] == "wait"
    assert [rule["rule"] for rule in decision["rules"] if rule["fired"]] == ["age"]
    assert decision["reasons"] == ["Bad data vetoes retraining: training-serving skew 1, limit 0."]


def _skew_check(watched: Loop) -> dict[str, Any]:
    checks = watched.read("data_quality")["checks"]
    [check] = [check for check in checks if check["name"] == "training-serving skew"]
    return check
