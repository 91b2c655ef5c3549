"""What is written for schedulers, run once as they would run it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from driving.project import Loop, Project
from uv import find_uv_bin

ENV, DAY = "ticking", "2013-03-08"
NAMES = ("retrain", "watch")
WRITTEN = ("systemd", "github", "kubernetes --image=pipelines:1", "airflow", "json")
AIRFLOW = "apache-airflow==3.3.2"
# walks the DAG as it is written, once for each decision; its Kedro records what it is asked
WALK = """
import json, sys
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag

bag = DagBag("dags")
[dag] = bag.dags.values()

def walk(decision):
    Path("decision").write_text(decision)
    Path("asked").write_text("")
    run = dag.test()
    return {
        "state": run.state,
        "states": {task.task_id: task.state for task in run.get_task_instances()},
        "asked": Path("asked").read_text().splitlines(),
    }

print(json.dumps({
    "errors": [*bag.import_errors.values()],
    "dag": dag.dag_id,
    "runs": dag.max_active_runs,
    "retries": [task.retries for task in dag.tasks],
    "walks": {decision: walk(decision) for decision in ("retrain", "wait")},
    "foreign": [name for name in ("pandas", "kedro") if name in sys.modules],
}))
"""
# as the page has them, once for each decision
OTHERS = {
    "Dagster": ("dagster==1.13.29", "retrain.execute_in_process()"),
    "Prefect": ("prefect==3.9.1", "retrain()"),
}
WALK_OTHERS = """
from pathlib import Path
{code}
for decision in ("retrain", "wait"):
    Path("decision").write_text(decision)
    Path("asked").write_text("")
    {call}
    Path("asked").rename(decision)
"""
STUB = """#!/bin/bash
echo "$*" >> {folder}/asked
case "$*" in *--decision*) cat {folder}/decision ;; esac
"""
LOOK = ["data_engineering", "scoring", "monitoring"]
TRAIN = ["data_engineering", "modelling", "gate", "release", "documentation"]
LOOKED = [
    *((name, "--until", DAY) for name in LOOK),
    ("champion", "promote", "--winner"),
    ("retrain", "--decision", "--env"),
]
ASKED = {
    "retrain": [*LOOKED, *((name, "--params", f"as_of={DAY}") for name in TRAIN)],
    "wait": LOOKED,
}


@pytest.fixture(scope="module")
def ticking(sample_loop: Loop) -> Iterator[Project]:
    """An environment with artefacts of its own, as the sample loop has left them at first."""
    project = sample_loop.project
    project.with_environment(ENV, f"data/{ENV}")
    shutil.copytree(sample_loop.at_first, project.folder / "data" / ENV)
    for scheduler in WRITTEN:
        project.must(f"kedro schedule {scheduler} --env {ENV} --until {DAY}")
    yield project
    shutil.rmtree(project.folder / "data" / ENV)
    shutil.rmtree(project.folder / "conf" / ENV)
    project.must("git clean -fdq deploy .github")


def commands(project: Project) -> dict[str, list[str]]:
    """What each scheduler runs, the program's name alone: to retrain, and to watch."""
    folder = project.folder
    units = (folder / f"deploy/systemd/flight-delays--{ENV}-{name}.service" for name in NAMES)
    [workflow] = (folder / ".github/workflows").glob("*-schedule.yml")
    jobs = yaml.safe_load(workflow.read_text())["jobs"]
    cron_jobs = yaml.safe_load_all(
        (folder / "deploy/kubernetes/pipelines/cronjobs.yaml").read_text()
    )
    pods = [job["spec"]["jobTemplate"]["spec"]["template"]["spec"] for job in cron_jobs]
    return {
        "systemd": [_found(r"^ExecStart=\S*/(kedro .*)", unit.read_text()) for unit in units],
        "github": [jobs[name]["steps"][-1]["run"].removeprefix(".venv/bin/") for name in NAMES],
        "kubernetes": [" ".join(pod["containers"][0]["command"]) for pod in pods],
    }


def _found(pattern: str, text: str) -> str:
    [found] = re.findall(pattern, text, re.MULTILINE)
    return found


def test_one_tick_of_a_machine_looks_and_waits_and_the_next_finds_nothing_new(
    ticking: Project,
) -> None:
    retrain, watch = commands(ticking)["systemd"]

    looked = ticking.must(retrain)
    watched = ticking.must(watch)

    decision = ticking.folder / "data" / ENV / "08_reporting/retrain_decision.json"
    assert json.loads(decision.read_text())["decided_at"] == f"{DAY}T00:00:00"
    assert "Retrain?   wait: " in looked
    assert "Retraining as of" not in looked
    # of what is in between, nothing but what one command does and the other does not
    ran = re.findall(r"\[ *\d+/\d+\] (\w+)", watched)
    assert len(ran) < 5, watched


def test_all_schedulers_of_one_command_run_the_same(ticking: Project) -> None:
    found = commands(ticking)

    assert len(found["systemd"]) == 2
    assert found["github"] == found["systemd"]
    assert found["kubernetes"] == found["systemd"]


def test_the_decision_skips_what_follows_and_a_task_runs_by_itself(ticking: Project) -> None:
    tasks = _tasks(ticking)

    decided = ticking.run(tasks["decide"])
    told = ticking.must(tasks["train_documentation"])

    assert (decided.returncode, decided.stdout) == (99, "wait\n"), decided.stderr
    assert f"data/{ENV}/08_reporting/model_card.html" in told


def test_tasks_that_only_look_are_refused_beside_those_that_train(ticking: Project) -> None:
    refused = ticking.run(f"kedro schedule airflow --env {ENV} --watch '0 * * * *'")

    assert refused.returncode == 1
    assert "Leave --watch out, and look as often by --at" in refused.stderr


def _tasks(project: Project) -> dict[str, str]:
    """The commands of the file for Airflow."""
    text = _dag(project).read_text()
    tasks = json.loads(_found(r"(?s)^TASKS = (\{.*?^\})$", text))
    return {name: task["command"] for name, task in tasks.items()}


def _dag(project: Project) -> Path:
    [dag] = (project.folder / "deploy/airflow").glob("*.py")
    return dag


@pytest.mark.skipif(
    os.environ.get("CI") != "true" and not os.environ.get("AIRFLOW_TEST"),
    reason="Airflow is fetched for it: set AIRFLOW_TEST=1",
)
def test_airflow_walks_the_loop_and_trains_only_if_that_is_the_decision(
    ticking: Project, tmp_path: Path
) -> None:
    kedro = tmp_path / "kedro"
    kedro.write_text(STUB.format(folder=tmp_path))
    kedro.chmod(0o755)
    (tmp_path / "dags").mkdir()
    text = re.sub(r'(?<=[ "(])/[^ ]*/kedro(?= r| champion)', str(kedro), _dag(ticking).read_text())
    (tmp_path / "dags" / _dag(ticking).name).write_text(text)
    (tmp_path / "walk.py").write_text(WALK)

    told = _in_airflow(tmp_path, "airflow db migrate > log 2>&1 && python walk.py")

    assert told["errors"] == told["foreign"] == []
    assert (told["dag"], told["runs"]) == (f"flight_delays__{ENV}_retrain", 1)
    assert set(told["retries"]) == {2}
    for decision, state in {"retrain": "success", "wait": "skipped"}.items():
        walk = told["walks"][decision]
        assert walk["state"] == "success"
        assert {walk["states"][f"train_{name}"] for name in TRAIN} == {state}
        assert {walk["states"][f"look_{name}"] for name in LOOK} == {"success"}
        assert [_asked(line) for line in walk["asked"]] == ASKED[decision]


@pytest.mark.skipif(
    os.environ.get("CI") != "true" and not os.environ.get("ORCHESTRATORS_TEST"),
    reason="Dagster and Prefect are fetched for it: set ORCHESTRATORS_TEST=1",
)
@pytest.mark.parametrize("other", OTHERS)
def test_others_walk_the_loop_by_the_code_of_the_page(
    ticking: Project, tmp_path: Path, other: str
) -> None:
    requirement, call = OTHERS[other]
    page = (ticking.folder / "docs/scheduling.md").read_text()
    code = _found(rf"(?s)^\*\*{other}\*\* .*?```python\n(.*?)^(?:if __name__|```)", page)
    kedro = tmp_path / "kedro"
    kedro.write_text(STUB.format(folder=tmp_path))
    kedro.chmod(0o755)
    [written] = (ticking.folder / "deploy/json").glob("*.json")
    (tmp_path / "loop.json").write_text(
        re.sub(r'(?<=")/[^ ]*/kedro(?=")', str(kedro), written.read_text())
    )
    (tmp_path / "walk.py").write_text(WALK_OTHERS.format(code=code, call=call))

    _by_itself(tmp_path, requirement, "python walk.py")

    for decision, asked in ASKED.items():
        lines = (tmp_path / decision).read_text().splitlines()
        assert [_asked(line) for line in lines] == asked


def _asked(line: str) -> tuple[str, ...]:
    return tuple(line.removeprefix("run --pipelines=").split()[:3])


def _in_airflow(folder: Path, command: str) -> dict[str, Any]:
    """What a command says in an environment of Airflow's own."""
    said = _by_itself(folder, AIRFLOW, command)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def _by_itself(folder: Path, requirement: str, command: str) -> str:
    """What a command says in an environment of a tool's own, which uv keeps."""
    foreign = ("AIRFLOW", "DAGSTER", "PREFECT", "PYTHON", "COV")
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(foreign)},
        "LOOP": str(folder / "loop.json"),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
    }
    uv = [find_uv_bin(), "run", "--isolated", "--no-project", "--quiet", "--with", requirement]
    done = subprocess.run(
        [*uv, "bash", "-c", command],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
