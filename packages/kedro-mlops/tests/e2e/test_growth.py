"""A project is adopted from a table, and grows as docs/make-it-yours.md says, step by step."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import yaml
from driving.asking import row_schema
from driving.pages import extend, merged, try_only
from driving.project import Project, copy_project, free_port
from driving.readme import commands
from driving.trips import write_tables

PAGE, PART = "docs/make-it-yours.md", "Grow it"
# in what came after, a single trial of a forest is not better than a shallow tree
AS_OF = {"as_of": "2013-03-13"}
STORE = {"FEATURE_STORE_URL": "sqlite:///data/production/04_feature/online.db"}


@pytest.fixture(scope="module")
def page(pytestconfig: pytest.Config) -> str:
    text = (pytestconfig.rootpath / PAGE).read_text()
    [part] = re.findall(rf"^## {PART}\n(.*?)^## ", text, flags=re.M | re.S)
    return str(part)


@pytest.fixture(scope="module")
def grown(
    page: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A project that was adopted as the page says, and has grown by all of its steps."""
    scratch = tmp_path_factory.mktemp("grown")
    project = copy_project(pytestconfig.rootpath, scratch, is_measured=False)
    write_tables(project.folder)
    [adopt] = re.findall(r"^    (kedro adopt .*)$", page, flags=re.M)
    project.must(adopt)
    extend(project.folder, PAGE, PART)
    hurry(project.folder / "conf")
    return project


def hurry(conf: Path) -> None:
    """Let production be as quick as the sample is, and leave no other family to win."""
    path = conf / "production/parameters.yml"
    sample = yaml.safe_load((conf / "sample/parameters.yml").read_text())
    said = merged(sample, yaml.safe_load(path.read_text()))
    path.write_text(yaml.safe_dump(merged(said, AS_OF)))
    try_only({"random_forest": 1}, conf, "base/parameters_modelling", "production/parameters")


@pytest.fixture(scope="module")
def promoted(grown: Project, page: str) -> Project:
    """The same after the commands of its last step: a run that awaits approval, and approval."""
    run, candidates, promote = commands(page)
    waiting = grown.run(run, **STORE)
    assert waiting.returncode == 1, waiting.stdout
    assert "awaits the approval of a person" in waiting.stderr, waiting.stderr
    [version] = re.findall(r"`kedro champion promote (\S+) ", waiting.stderr)
    assert version in grown.must(candidates, **STORE)
    grown.must(promote.replace("VERSION", shlex.quote(version)), **STORE)
    return grown


@pytest.fixture(scope="module")
def service(promoted: Project) -> Iterator[httpx.Client]:
    port = free_port()
    serve = f"kedro serve --env production --port {port}"
    with promoted.served(serve, port, **STORE) as client:
        yield client


def read(project: Project, name: str) -> Any:
    return json.loads((project.folder / "data/production" / name).read_text())


@pytest.fixture(scope="module")
def rows(promoted: Project) -> pd.DataFrame:
    path = promoted.folder / "data/production/05_model_input/model_input.parquet"
    return pd.read_parquet(path).sort_values("departs", ignore_index=True)


def test_the_code_of_every_step_keeps_the_projects_rules(grown: Project) -> None:
    grown.must("ruff format --check src && ruff check src && lint-imports --no-cache")


def test_a_second_table_is_joined_by_what_the_contract_declares(
    grown: Project, rows: pd.DataFrame
) -> None:
    vehicles = pd.read_csv(grown.folder / "vehicles.csv").set_index("vehicle")

    seats = rows["vehicle"].map(vehicles["seats"])

    assert seats.notna().mean() > 0.5
    pd.testing.assert_series_equal(rows["vehicle_seats"], seats.astype(float), check_names=False)


def test_features_of_a_day_are_of_what_was_known_when_it_began(rows: pd.DataFrame) -> None:
    row = rows.iloc[len(rows) // 2]
    day = row["departs"].normalize()
    of_operator = rows[rows["operator"] == row["operator"]]
    known = of_operator["outcome_known_at"]

    week = of_operator[(known < day) & (known >= day - pd.Timedelta(days=7))]

    assert row["operator_late_7d"] == pytest.approx(week["late"].astype(float).mean())


def test_the_label_is_the_new_one_and_nobody_is_asked_for_what_tells_it(
    grown: Project, rows: pd.DataFrame, service: httpx.Client
) -> None:
    delays = pd.read_csv(grown.folder / "trips.csv").set_index("trip_id")["delay"]

    late = rows["trip_id"].map(delays) > 30

    assert rows["late"].astype(bool).tolist() == late.tolist()
    assert (rows["outcome_known_at"] - rows["departs"] == pd.Timedelta(hours=1)).all()
    assert "delay" not in row_schema(service)["properties"]


def test_the_new_family_passes_the_new_check_and_is_measured_by_the_new_measure(
    promoted: Project, service: httpx.Client
) -> None:
    decision = read(promoted, "06_models/gate_decision.json")
    measured = read(promoted, "06_models/metrics.json")["candidate"]["late_of_riskiest"]

    checks = {check["name"]: check for check in decision["checks"]}

    assert service.get("/info").json()["family"] == "random_forest"
    assert checks["expected share"]["passed"]
    assert checks["late_of_riskiest floor"]["value"] == measured["value"] > 0.1


def test_what_is_looked_up_is_found_for_a_row_that_is_sent(
    service: httpx.Client, rows: pd.DataFrame
) -> None:
    names = row_schema(service)["properties"]
    looked_up = ["vehicle_seats", "operator_late_7d"]
    row = rows.dropna(subset=looked_up).iloc[-1]
    sent = json.loads(row[list(names)].to_json(date_format="iso"))

    answer = service.post("/predict", json={"rows": [sent]})

    [told] = answer.raise_for_status().json()["predictions"]
    assert not set(looked_up) & set(names)
    assert told["missing_features"] == {}
    assert 0 < told["probability"] < 1
