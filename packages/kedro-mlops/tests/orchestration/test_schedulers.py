"""What is written for each scheduler: that it is what the scheduler knows, and means the same."""

import ast
import contextlib
import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from databricks.bundles.jobs import Job
from example.schedules import documents, plan
from hera.workflows import models

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.orchestration import (
    airflow,
    argo,
    databricks,
    databricks_task,
    github,
    kubernetes,
    systemd,
)
from kedro_mlops.orchestration import (
    json as as_json,
)
from kedro_mlops.orchestration.loop import typed
from kedro_mlops.orchestration.plan import Plan, name_of

KUBERNETES = "1.34"


# systemd


def test_the_units_are_what_systemd_knows(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        missing = "systemd-analyze is not installed: apt-get install systemd"
        assert os.environ.get("CI") != "true", f"{missing}. .ci/run does"
        pytest.skip(missing)
    folder = tmp_path / "a $person 100%"
    kedro = folder / "bin/kedro"
    kedro.parent.mkdir(parents=True)
    kedro.symlink_to(sys.executable)
    given = plan()
    units = systemd.write(Plan(**{**vars(given), "folder": folder, "kedro": kedro}))
    for name, text in units.items():
        (tmp_path / name).write_text(text)

    done = subprocess.run(
        [tool, "verify", "--user", *(tmp_path / name for name in units)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert len(units) == 4
    assert f"WorkingDirectory={folder}%\n" in units["the-model-retrain.service"]


def test_a_timer_says_when_and_its_service_what() -> None:
    units = systemd.write(plan())

    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 6:0:00" in units["the-model-retrain.timer"]
    service = units["the-model-retrain.service"].splitlines()
    assert "WorkingDirectory=/home/a person/100%%" in service
    assert (
        'ExecStart="/home/a person/100%%/.venv/bin/kedro" retrain --until today --env sample --wait'
    ) in service


# GitHub


def test_the_workflow_is_one_and_what_it_borrows_is_what_the_others_do(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    [(name, text)] = github.write(plan()).items()
    (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "check_jsonschema"]
    command += ["--builtin-schema", "vendor.github-workflows", tmp_path / name]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    [used] = {line.strip(" -") for line in text.splitlines() if "uses:" in line}
    assert used in (pytestconfig.rootpath / ".github/workflows/ci.yml").read_text()


def test_a_job_runs_at_its_time_alone_on_a_disk_that_stays() -> None:
    [workflow] = documents(github.write(plan()))

    retrain, watch = workflow["jobs"].values()

    crons = [entry["cron"] for entry in workflow["on"]["schedule"]]
    assert crons == ["0 6 * * 1,2,3,4,5", "0,30 * * * *"]
    assert "github.event.schedule == '0 6 * * 1,2,3,4,5'" in retrain["if"]
    assert watch["if"] == "github.event.schedule == '0,30 * * * *'"
    for job in (retrain, watch):
        assert job["runs-on"][0] == "self-hosted"
        assert job["steps"][0]["with"]["clean"] is False
        assert job["concurrency"] == {"group": "the-model", "cancel-in-progress": False}
    assert retrain["steps"][-1]["run"] == (
        ".venv/bin/kedro retrain --until today --env sample --wait"
    )


# Kubernetes


@pytest.mark.parametrize("write", [kubernetes.write, argo.write])
def test_a_manifest_is_what_kubernetes_knows(write: Any) -> None:
    found = documents(write(plan()))

    known = [m for m in found if m["kind"] not in ("Kustomization", "CronWorkflow")]
    for manifest in known:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    assert len(known) >= 4


@pytest.mark.parametrize("write", [kubernetes.write, argo.write])
def test_what_is_called_after_a_long_name_is_not_too_long_for_kubernetes(write: Any) -> None:
    given = Plan(**{**vars(plan()), "name": name_of("flight_delays", "e" * 60)})

    for manifest in (found for found in documents(write(given)) if "metadata" in found):
        told = manifest["metadata"]
        assert len(told["name"]) <= (52 if manifest["kind"].startswith("Cron") else 63)
        assert all(len(label) <= 63 for label in told["labels"].values())


def test_a_cron_job_runs_one_at_a_time_and_not_for_ever() -> None:
    files = kubernetes.write(plan())

    retrain, watch = documents({"": files["cronjobs.yaml"]})

    assert retrain["spec"]["schedule"] == "0 6 * * 1,2,3,4,5"
    assert watch["spec"]["schedule"] == "0,30 * * * *"
    for job in (retrain, watch):
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
        assert 0 < job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] <= 6 * 3600
    [container] = pod(retrain)["containers"]
    assert typed(container["command"]) == "kedro retrain --until today --env sample --wait"
    assert yaml.safe_load(files["kustomization.yaml"])["resources"] == [
        name for name in files if name != "kustomization.yaml"
    ]


def pod(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def test_a_pod_may_do_what_it_has_to_and_mounts_what_it_makes() -> None:
    manifests = documents(kubernetes.write(plan()))
    kinds = {manifest["kind"]: manifest for manifest in manifests}

    of_pod = pod(kinds["CronJob"])

    [container] = of_pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in of_pod["volumes"]}
    claims = {
        name: volume["persistentVolumeClaim"]["claimName"]
        for name, volume in volumes.items()
        if "persistentVolumeClaim" in volume
    }
    assert of_pod["securityContext"]["runAsNonRoot"]
    assert of_pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mounts[name] for name in ("build", "logs", "tmp")} == {
        "/app/build",
        "/app/logs",
        "/tmp",
    }
    assert mounts.keys() == volumes.keys()
    assert mounts["data"] == "/app/data"
    assert mounts["own"] == "/app/conf/sample/own"
    assert mounts["prediction-log"] == "/app/data/07_model_output/prediction_log"
    # the service's own, and the one that is written here
    assert claims["prediction-log"] == "prediction-log"
    assert claims["data"] == kinds["PersistentVolumeClaim"]["metadata"]["name"]
    selected = kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    template = kinds["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]
    assert template["metadata"]["labels"] == selected


def test_artefacts_that_are_elsewhere_are_mounted_there() -> None:
    given = Plan(**{**vars(plan()), "data": "/mnt/data", "prediction_log": "/mnt/data/log"})

    of_pod = pod(documents({"": kubernetes.write(given)["cronjobs.yaml"]})[0])

    mounts = {m["name"]: m["mountPath"] for m in of_pod["containers"][0]["volumeMounts"]}
    assert (mounts["data"], mounts["prediction-log"]) == ("/mnt/data", "/mnt/data/log")
    command = tasks_of("".join(airflow.write(given).values()))["train_modelling"]["command"]
    assert " --volume /mnt/data:/mnt/data " in command


@pytest.mark.parametrize("write", [kubernetes.write, argo.write])
def test_without_an_image_there_are_no_pods(write: Any) -> None:
    with pytest.raises(ProjectError, match="--image"):
        write(plan(image=None))


# Argo


@pytest.fixture
def workflow() -> dict[str, Any]:
    found = documents(argo.write(plan(argo.DAY)))
    [workflow] = [manifest for manifest in found if manifest["kind"] == "CronWorkflow"]
    return workflow


def test_the_workflow_is_what_argo_knows(workflow: dict[str, Any]) -> None:
    read = models.CronWorkflow.model_validate(workflow)

    # what it does not know would be gone
    told = read.model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert sorted(lost(workflow, told)) == []


def lost(written: Any, read: Any, path: str = "") -> list[str]:
    """The paths of what is not there any more."""
    if isinstance(written, dict) and isinstance(read, dict):
        return [
            place
            for key, value in written.items()
            for place in (
                lost(value, read[key], f"{path}.{key}") if key in read else [f"{path}.{key}"]
            )
        ]
    if isinstance(written, list) and isinstance(read, list):
        pairs = enumerate(zip(written, read, strict=True))
        return [place for i, (a, b) in pairs for place in lost(a, b, f"{path}[{i}]")]
    return []


def test_what_argo_does_not_know_is_found_out(workflow: dict[str, Any]) -> None:
    workflow["spec"]["workflowSpec"]["templates"][1]["container"]["nonsense"] = 1

    read = models.CronWorkflow.model_validate(workflow)

    told = read.model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert lost(workflow, told) == [".spec.workflowSpec.templates[1].container.nonsense"]


def test_a_step_waits_for_success_and_a_training_for_the_decision(
    workflow: dict[str, Any],
) -> None:
    spec = workflow["spec"]["workflowSpec"]

    [dag, *templates] = spec["templates"]

    steps = {step["name"]: step for step in dag["dag"]["tasks"]}
    assert spec["entrypoint"] == dag["name"]
    assert {step["template"] for step in steps.values()} == {t["name"] for t in templates}
    assert {name: step.get("depends") for name, step in steps.items()} == {
        "look-preparing": None,
        "look-scoring": "look-preparing.Succeeded",
        "look-monitoring": "look-scoring.Succeeded",
        "promote-winner": "look-monitoring.Succeeded",
        "decide": "promote-winner.Succeeded",
        "train-preparing": "decide.Succeeded",
        "train-modelling": "train-preparing.Succeeded",
        "train-release": "train-modelling.Succeeded",
    }
    assert {name: step["when"] for name, step in steps.items() if "when" in step} == {
        "train-preparing": "{{tasks.decide.outputs.result}} == retrain"
    }
    assert workflow["spec"]["concurrencyPolicy"] == "Forbid"
    assert spec["activeDeadlineSeconds"] > 0


# Databricks


@pytest.fixture
def job() -> dict[str, Any]:
    [bundle] = documents(databricks.write(plan(databricks.DAY, image=None)))
    [job] = bundle["resources"]["jobs"].values()
    return job


def test_the_job_is_what_databricks_knows(job: dict[str, Any]) -> None:
    read = Job.from_dict(job)

    assert read.as_dict() == job
    with pytest.raises(ValueError, match="Unexpected field 'nonsense'"):
        Job.from_dict({**job, "nonsense": 1})


def test_a_training_of_databricks_waits_for_the_condition(job: dict[str, Any]) -> None:
    steps = {step["task_key"]: step for step in job["tasks"]}

    assert steps["is_due"]["condition_task"] == {
        "op": "EQUAL_TO",
        "left": "{{tasks.decide.values.outcome}}",
        "right": "retrain",
    }
    assert steps["is_due"]["depends_on"] == [{"task_key": "decide"}]
    assert steps["train_preparing"]["depends_on"] == [{"task_key": "is_due", "outcome": "true"}]
    assert steps["train_modelling"]["depends_on"] == [{"task_key": "train_preparing"}]
    parameters = steps["train_modelling"]["python_wheel_task"]["parameters"]
    assert parameters[:3] == ["${workspace.file_path}", "${var.data}", "run"]
    assert "as_of={{job.start_time.iso_date}},globals.data=${var.data}" in parameters
    assert job["schedule"]["quartz_cron_expression"] == "0 0 6 ? * MON,TUE,WED,THU,FRI"
    assert job["max_concurrent_runs"] == 1


@pytest.fixture
def values(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What tasks tell Databricks, whose own module is only there."""
    told: dict[str, str] = {}
    runtime = types.ModuleType("databricks.sdk.runtime")
    set_value = types.SimpleNamespace(set=lambda key, value: told.update({key: value}))
    runtime.dbutils = types.SimpleNamespace(  # type: ignore[attr-defined]
        jobs=types.SimpleNamespace(taskValues=set_value)
    )
    for name in ("databricks.sdk", "databricks.sdk.runtime"):
        monkeypatch.setitem(sys.modules, name, runtime)
    return told


@pytest.mark.parametrize(
    ("data", "words", "status", "told"),
    [
        ("/Volumes/a/b/c", ["retrain", "--decision"], 0, {"outcome": "retrain"}),
        ("s3://bucket", ["run", "--pipelines=gate"], 0, {}),
        ("/Volumes/a/b/c", ["retrain", "--decision", "fail"], 3, {}),
    ],
    ids=str,
)
def test_a_task_of_databricks_runs_in_the_project_and_tells_the_decision(
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, str],
    tmp_path: Path,
    data: str,
    words: list[str],
    status: int,
    told: dict[str, str],
) -> None:
    # given a project whose Kedro records what it is asked, and where
    (tmp_path / "kedro.py").write_text(
        "import json, os, sys\n"
        "where = os.getcwd(), os.environ.get('BENTOML_HOME')\n"
        "json.dump([*where, *sys.argv[1:]], open('asked.json', 'w'))\n"
        "sys.exit(3) if 'fail' in sys.argv else print('retrain')\n"
    )
    monkeypatch.delenv("BENTOML_HOME", raising=False)
    monkeypatch.setattr(sys, "argv", ["task", str(tmp_path), data, *words])

    # a task that exits at all may count as failed
    with pytest.raises(SystemExit) if status else contextlib.nullcontext() as ended:
        databricks_task.main()

    assert not status or ended.value.code == status
    bentos = f"{data}/bentoml" if data.startswith("/") else None
    assert json.loads((tmp_path / "asked.json").read_text()) == [str(tmp_path), bentos, *words]
    assert values == told


# Airflow


def tasks_of(text: str) -> dict[str, dict[str, Any]]:
    """The tasks that a file of Airflow has, without Airflow."""
    [tasks] = [
        ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TASKS"
    ]
    return tasks


def test_a_file_of_airflow_imports_nothing_else_and_is_formatted() -> None:
    [(name, text)] = airflow.write(plan(airflow.DAY, image=None)).items()

    imported = {
        (node.module or "").partition(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
    }

    assert name == "the_model_retrain.py"
    assert imported == {"datetime", "airflow"}
    assert text.endswith(")\n") or text.endswith("])\n")
    assert '"0 6 * * 1,2,3,4,5"' in text


def test_a_task_of_airflow_runs_in_the_environment_or_in_the_image() -> None:
    outside, inside = (
        tasks_of("".join(airflow.write(plan(airflow.DAY, image)).values()))["train_modelling"]
        for image in (None, "pipelines:1")
    )

    run = "run --pipelines=modelling --params as_of={{ dag_run.run_after | ds }}"
    assert outside["command"].startswith(f"'/home/a person/100%/.venv/bin/kedro' {run}")
    assert inside["command"].startswith(
        "docker run --rm --user 1034:1034 --read-only --cap-drop=ALL --tmpfs /tmp:exec "
    )
    assert f" pipelines:1 kedro {run}" in inside["command"]
    assert outside["waits_for"] == inside["waits_for"] == ["train_preparing"]


def test_a_file_of_airflow_names_the_folder_whatever_letters_that_has() -> None:
    folder = Path("/home/Zoë/\N{OWL} 模型")
    given = Plan(**{**vars(plan()), "folder": folder, "kedro": folder / "kedro", "image": None})

    [text] = airflow.write(given).values()

    assert tasks_of(text)["decide"]["command"].startswith(f"said=$('{folder}/kedro' retrain ")
    assert f'FOLDER = "{folder}"\n' in text


@pytest.mark.parametrize(
    ("said", "status"),
    [("retrain", 0), ("wait", 99), ("nonsense", 1), ("", 1), ("wait; exit 3", 3)],
)
def test_the_decision_of_airflow_skips_unless_it_is_to_retrain(
    tmp_path: Path, said: str, status: int
) -> None:
    kedro = tmp_path / "kedro"
    kedro.write_text(f"#!/bin/sh\necho {said}\n")
    kedro.chmod(0o755)
    given = Plan(**{**vars(plan(airflow.DAY, image=None)), "kedro": kedro})
    decide = tasks_of("".join(airflow.write(given).values()))["decide"]["command"]

    done = subprocess.run(["bash", "-c", decide], capture_output=True, check=False)

    assert done.returncode == status


# others


def test_the_loop_as_data_has_its_tasks_in_order_with_what_they_type() -> None:
    [(name, text)] = as_json.write(plan(as_json.DAY, image=None)).items()
    [(_, inside)] = as_json.write(plan(as_json.DAY)).items()

    told = json.loads(text)
    tasks = told["tasks"]
    names = [task["name"] for task in tasks]
    assert name == "the-model-retrain.json"
    assert (told["at"], told["folder"]) == ("0 6 * * 1,2,3,4,5", "/home/a person/100%")
    assert all(names.index(n) < names.index(t["name"]) for t in tasks for n in t["waits_for"])
    assert tasks[0]["command"] == [
        "/home/a person/100%/.venv/bin/kedro", "run", "--pipelines=preparing", "--until", "{day}",
        "--env", "sample", "--wait",
    ]  # fmt: skip
    assert json.loads(inside)["tasks"][0]["command"][:2] == ["docker", "run"]
