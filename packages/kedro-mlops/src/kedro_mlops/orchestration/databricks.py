"""A bundle for Databricks: a job, whose tasks are of the engine's wheel."""

from typing import Any

from .loop import DECISION, RETRAIN, Schedule, Task
from .plan import Plan, as_yaml

DAY = "{{job.start_time.iso_date}}"
OUTCOME = "outcome"
IS_DUE = "is_due"
ENVIRONMENT = "pipelines"
DATA = "${var.data}"
OF_DATA = f"globals.data={DATA}"


def write(plan: Plan) -> dict[str, str]:
    """The bundle, whose root is the project's folder."""
    data = "Folder of all artefacts, e.g. /Volumes/CATALOG/SCHEMA/VOLUME/data"
    bundle = {
        "bundle": {"name": plan.name},
        "variables": {"data": {"description": data}},
        "artifacts": {
            "wheels": {
                "type": "whl",
                "path": ".",
                "build": "uv build --wheel --all-packages",
            }
        },
        "resources": {"jobs": {plan.retrain.name: _job(plan, plan.retrain)}},
    }
    return {"databricks.yml": as_yaml("databricks", bundle)}


def _job(plan: Plan, schedule: Schedule) -> dict[str, Any]:
    return {
        "name": f"{plan.name}-{schedule.name}",
        "description": f"{plan.name} {schedule.about}",
        "schedule": {
            "quartz_cron_expression": schedule.at.quartz,
            "timezone_id": "UTC",
        },
        "max_concurrent_runs": 1,
        "timeout_seconds": schedule.deadline_seconds,
        "environments": [
            {
                "environment_key": ENVIRONMENT,
                "spec": {"environment_version": "4", "dependencies": ["./dist/*.whl"]},
            }
        ],
        "tasks": [step for task in schedule.tasks for step in _steps(task)],
    }


def _steps(task: Task) -> list[dict[str, Any]]:
    waits_for = [
        {"task_key": IS_DUE, "outcome": "true"} if name == DECISION else {"task_key": name}
        for name in task.waits_for
    ]
    step = {
        "task_key": task.name,
        **({"depends_on": waits_for} if waits_for else {}),
        "environment_key": ENVIRONMENT,
        "max_retries": 2,
        "min_retry_interval_millis": 300_000,
        "python_wheel_task": {
            "package_name": "kedro-mlops",
            "entry_point": "kedro-mlops-task",
            "parameters": ["${workspace.file_path}", DATA, *_with_data(task.command)],
        },
    }
    return [step, _branch()] if task.name == DECISION else [step]


def _branch() -> dict[str, Any]:
    return {
        "task_key": IS_DUE,
        "depends_on": [{"task_key": DECISION}],
        "condition_task": {
            "op": "EQUAL_TO",
            "left": f"{{{{tasks.{DECISION}.values.{OUTCOME}}}}}",
            "right": RETRAIN,
        },
    }


def _with_data(command: tuple[str, ...]) -> list[str]:
    """A command of Kedro without its name, for artefacts on a volume."""
    _, *words = command
    if "--params" not in words:
        return [*words, "--params", OF_DATA]
    place = words.index("--params") + 1
    return [*words[:place], f"{words[place]},{OF_DATA}", *words[place + 1 :]]
