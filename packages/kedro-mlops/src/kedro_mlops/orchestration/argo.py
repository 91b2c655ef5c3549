"""A CronWorkflow of Argo: a DAG, each task of which is a pod."""

from typing import Any

from . import pods
from .loop import DECISION, RETRAIN, Schedule, Task
from .plan import Plan, as_yaml

DAY = "-".join(f"{{{{workflow.creationTimestamp.{part}}}}}" for part in ("Y", "m", "d"))

# where Argo's own container tells how a task went
API_SERVER = 6443


def write(plan: Plan) -> dict[str, str]:
    """The workflow, and what their pods need."""
    return {
        "storage.yaml": as_yaml("argo", pods.claim(plan)),
        "network.yaml": as_yaml("argo", pods.network(plan, API_SERVER)),
        "account.yaml": as_yaml("argo", *_account(plan)),
        "workflow.yaml": as_yaml("argo", _workflow(plan, plan.retrain)),
    }


def _workflow(plan: Plan, schedule: Schedule) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": pods.metadata(plan, f"{plan.name}-{schedule.name}"),
        "spec": {
            "schedules": [schedule.at.cron],
            "timezone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 600,
            "workflowSpec": {
                "entrypoint": schedule.name,
                "activeDeadlineSeconds": schedule.deadline_seconds,
                "serviceAccountName": f"{plan.name}-pipelines",
                "automountServiceAccountToken": False,
                "executor": {"serviceAccountName": f"{plan.name}-pipelines"},
                "podMetadata": {"labels": pods.labels(plan)},
                "securityContext": pods.security(),
                "ttlStrategy": {"secondsAfterCompletion": 7 * 24 * 3600},
                "volumes": pods.volumes(plan),
                "templates": [
                    {
                        "name": schedule.name,
                        "dag": {"tasks": [_step(task) for task in schedule.tasks]},
                    },
                    *(_template(plan, task) for task in schedule.tasks),
                ],
            },
        },
    }


def _step(task: Task) -> dict[str, Any]:
    name = _name(task.name)
    step: dict[str, Any] = {"name": name, "template": name}
    if task.waits_for:
        # also where the branch is not taken, and what waits for it has to be left out
        step["depends"] = " && ".join(f"{_name(other)}.Succeeded" for other in task.waits_for)
    if DECISION in task.waits_for:
        step["when"] = f"{{{{tasks.{DECISION}.outputs.result}}}} == {RETRAIN}"
    return step


def _template(plan: Plan, task: Task) -> dict[str, Any]:
    return {
        "name": _name(task.name),
        "container": pods.container(plan, task.command),
        "retryStrategy": {
            "limit": 2,
            "retryPolicy": "Always",
            "backoff": {"duration": "5m", "factor": 2},
        },
    }


def _account(plan: Plan) -> list[dict[str, Any]]:
    """Who tells Argo what a task said."""
    name = f"{plan.name}-pipelines"
    group = "rbac.authorization.k8s.io"
    told = {
        "apiGroups": ["argoproj.io"],
        "resources": ["workflowtaskresults"],
        "verbs": ["create", "patch"],
    }
    named = pods.metadata(plan, name)
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": named, "rules": [told]},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": named,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name}],
        },
    ]


def _name(task: str) -> str:
    return task.replace("_", "-")
