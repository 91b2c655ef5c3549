"""CronJobs of Kubernetes: each schedule is a pod that does all of it."""

from typing import Any

from . import pods
from .loop import Schedule
from .plan import Plan, as_yaml


def write(plan: Plan) -> dict[str, str]:
    """The manifests, with a kustomization of them."""
    manifests = {
        "storage.yaml": [pods.claim(plan)],
        "network.yaml": [pods.network(plan)],
        "cronjobs.yaml": [_cron_job(plan, schedule) for schedule in plan.schedules],
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(manifests),
    }
    return {
        "kustomization.yaml": as_yaml("kubernetes", kustomization),
        **{name: as_yaml("kubernetes", *found) for name, found in manifests.items()},
    }


def _cron_job(plan: Plan, schedule: Schedule) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": pods.metadata(plan, f"{plan.name}-{schedule.name}"),
        "spec": {
            "schedule": schedule.at.cron,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {
                    "backoffLimit": 1,
                    "activeDeadlineSeconds": schedule.deadline_seconds,
                    "template": {
                        "metadata": {"labels": pods.labels(plan)},
                        "spec": {
                            "restartPolicy": "Never",
                            "automountServiceAccountToken": False,
                            "enableServiceLinks": False,
                            "securityContext": pods.security(),
                            "containers": [
                                {"name": "pipelines", **pods.container(plan, schedule.command)}
                            ],
                            "volumes": pods.volumes(plan),
                        },
                    },
                }
            },
        },
    }
