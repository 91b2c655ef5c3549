"""The code of docs/extending.md, put into a copy of the project as an owner does, and run."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from driving.asking import predict, predict_arrow, row_schema
from driving.pages import extend, try_only
from driving.project import Project, copy_project, free_port, versions

from flight_delays.contracts import Inputs

from kedro_mlops.contract.columns import Columns

INPUTS = Columns.of(Inputs)
# those of the project, in its place
ONLY = {"lightgbm": 1}


@pytest.fixture(scope="module")
def extended(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project with all that the page adds, after a run of its loop."""
    scratch = tmp_path_factory.mktemp("extended")
    project = copy_project(pytestconfig.rootpath, scratch, is_measured=False)
    extend(project.folder, "docs/extending.md")
    try_only(ONLY, project.folder / "conf", "base/parameters_modelling", "sample/parameters")
    project.must("kedro run --env sample")
    return project


@pytest.fixture(scope="module")
def service(extended: Project) -> Iterator[httpx.Client]:
    port = free_port()
    with extended.served(f"kedro serve --env sample --port {port}", port) as client:
        yield client


@pytest.fixture(scope="module")
def scored(extended: Project) -> pd.DataFrame:
    """Rows that were scored in batch, with what was known of them."""
    data = extended.folder / "data/sample"
    predictions = pd.read_parquet(data / "07_model_output/predictions.parquet")
    made = predictions[[*INPUTS.keys, "probability", "decision"]]
    rows = pd.read_parquet(data / "05_model_input/model_input.parquet")
    return rows.merge(made, on=INPUTS.keys).sample(600, random_state=0)


def read(project: Project, name: str) -> Any:
    return json.loads((project.folder / "data/sample" / name).read_text())


def test_the_code_of_the_page_keeps_the_projects_rules(extended: Project) -> None:
    extended.must("ruff format --check src && ruff check src && lint-imports --no-cache")


def test_a_family_of_the_owner_is_tuned_promoted_and_released(extended: Project) -> None:
    [champion] = versions(extended.folder / "data/sample/06_models/champion")

    metadata = json.loads((champion / "metadata.json").read_text())

    assert metadata["family"] == "lightgbm"
    assert read(extended, "06_models/release.json")["engine"] == "scikit-learn"
    needed = (extended.folder / "build/requirements.txt").read_text()
    assert re.search(r"^lightgbm==", needed, re.M)
    assert re.search(r"^skops==", needed, re.M)
    assert not re.search(r"^optuna==", needed, re.M)


def test_a_model_of_the_owners_family_answers_as_it_did_in_batch(
    service: httpx.Client, scored: pd.DataFrame
) -> None:
    answers = predict(service, scored)

    assert service.get("/info").json()["family"] == "lightgbm"
    answered = [answer["probability"] for answer in answers]
    assert answered == pytest.approx(scored["probability"].tolist(), abs=1e-9)


def test_a_metric_of_the_owner_is_measured_judged_and_told(extended: Project) -> None:
    data, name = extended.folder / "data/sample", "lift_of_top_tenth"
    metrics, decision = (
        read(extended, f"06_models/{n}.json") for n in ("metrics", "gate_decision")
    )
    performance = read(extended, "08_reporting/performance.json")

    pages = [
        (data / f"08_reporting/{page}.html").read_text()
        for page in ("model_card", "monitoring_report")
    ]

    measured = metrics["candidate"][name]
    assert 1.2 < measured["low"] < measured["value"] < measured["high"]
    assert metrics["base_rate"][name]["value"] == 1
    [check] = [check for check in decision["checks"] if check["name"] == f"{name} floor"]
    assert (check["passed"], check["value"], check["limit"]) == (True, measured["value"], 1.2)
    assert performance["metrics"][name]["value"] > 1
    assert performance["reference"][name] == measured
    assert all("lift of top tenth" in page for page in pages)


def test_a_limit_of_a_metric_that_there_is_not_stops_a_run_before_it_trains(
    extended: Project,
) -> None:
    limit = "gate.at_least.lift_of_top_half=1"

    refused = extended.run(f"kedro run --env sample --params {limit}")

    assert refused.returncode == 1
    assert "There is no metric 'lift_of_top_half' of a binary task. Did you mean" in refused.stderr
    assert "tune" not in refused.stdout


def test_a_check_of_the_owner_is_passed_or_blocks(extended: Project) -> None:
    gate = "kedro run --env sample --pipelines=gate"
    [passed] = _named("alarms", read(extended, "06_models/gate_decision.json")["checks"])

    extended.must(f"{gate} --params alarms.max_flagged_share=0.001")

    decision = read(extended, "06_models/gate_decision.json")
    [failed] = _named("alarms", decision["checks"])
    extended.must(gate)
    assert (passed["passed"], passed["limit"]) == (True, 0.6)
    assert (failed["passed"], failed["limit"]) == (False, 0.001)
    assert failed["value"] == passed["value"] > 0.001
    assert decision["outcome"] == "block"
    assert decision["reasons"][0].startswith("Failed: alarms")


def test_a_measure_of_the_owner_asks_for_retraining_or_refuses_it(extended: Project) -> None:
    look = "kedro run --env sample --pipelines=monitoring --params retraining.cooldown_days=0"
    usual = read(extended, "08_reporting/retrain_decision.json")

    extended.must(f"{look},watch.max_alarm_share=0")
    asked = read(extended, "08_reporting/retrain_decision.json")
    figures = (extended.folder / "data/sample/08_reporting/monitoring.prom").read_text()
    extended.must(f"{look},watch.max_alarm_share=0,watch.max_storm_share=0")
    refused = read(extended, "08_reporting/retrain_decision.json")

    report = (extended.folder / "data/sample/08_reporting/monitoring_report.html").read_text()
    assert [rule["fired"] for rule in usual["rules"] if rule["rule"] == "alarms"] == [False]
    assert [guard["refused"] for guard in usual["guards"] if guard["guard"] == "storms"] == [False]
    assert (asked["outcome"], refused["outcome"]) == ("retrain", "wait")
    assert any("of the rows were flagged; 0% are allowed." in said for said in asked["reasons"])
    assert refused["without_guards"] == "retrain"
    assert any("of the rows were in a storm" in said for said in refused["reasons"])
    assert re.search(r'model_retraining_rule_fired\{.*rule="alarms"\} 1', figures)
    assert "guard: storms" in report


def _named(name: str, checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [check for check in checks if check["name"] == name]


def test_what_the_owner_adds_to_answers_is_in_all_of_them(
    service: httpx.Client, scored: pd.DataFrame
) -> None:
    few, many = predict(service, scored.head(20)), predict(service, scored)
    table = predict_arrow(service, scored[list(row_schema(service)["properties"])])
    schema = service.get("/docs.json").json()["components"]["schemas"]["Answer"]

    expected = np.where(
        scored["probability"] > 0.8,
        "Rebook.",
        np.where(scored["decision"], "Take a book.", "Be on time."),
    ).tolist()
    assert len(set(expected)) > 1
    assert [answer["advice"] for answer in many] == expected
    assert [answer["advice"] for answer in few] == expected[:20]
    assert table["advice"].tolist() == expected
    said = {"type": "string", "description": "What to tell the passengers."}
    assert schema["properties"]["advice"] == said


def test_commands_about_champions_load_a_model_of_the_owners_family(extended: Project) -> None:
    version = read(extended, "06_models/gate_decision.json")["candidate"]

    said = extended.must(f"kedro champion reproduce {version} --env sample")

    assert "same" in said.lower(), said


def test_a_pipeline_of_the_owner_runs_with_the_others(extended: Project) -> None:
    hours = pd.read_parquet(extended.folder / "data/sample/08_reporting/rush_hours.parquet")

    assert set(hours) == {"hour", "n_rows", "late_share"}
    assert (hours["n_rows"] >= 100).all()
    assert hours["late_share"].between(0, 1).all()


def test_types_that_no_family_of_the_owner_has_are_not_loaded(extended: Project) -> None:
    families = extended.folder / "src/flight_delays/families.py"
    code = families.read_text()
    families.write_text(code.replace('            "lightgbm.basic.Booster",\n', ""))

    refused = extended.run("kedro run --env sample --pipelines=scoring")

    families.write_text(code)
    assert refused.returncode == 1
    assert "lightgbm.basic.Booster" in refused.stderr
    assert "Traceback" not in refused.stderr
