"""A workflow of GitHub, for a runner of one's own, on whose disk the artefacts stay."""

from typing import Any

from .loop import Schedule, typed
from .plan import Plan, as_yaml

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
VERSION = "v7.0.1"


def write(plan: Plan) -> dict[str, str]:
    """The workflow; one of its jobs runs, the one whose time it is."""
    workflow = {
        "name": f"{plan.name} on schedule",
        "on": {
            "schedule": [{"cron": schedule.at.cron} for schedule in plan.schedules],
            "workflow_dispatch": None,
        },
        "permissions": {"contents": "read"},
        "jobs": {schedule.name: _job(plan, schedule) for schedule in plan.schedules},
    }
    text = as_yaml("github", workflow).replace(CHECKOUT, f"{CHECKOUT} # {VERSION}")
    return {f"{plan.name}-schedule.yml": text}


def _job(plan: Plan, schedule: Schedule) -> dict[str, Any]:
    due = f"github.event.schedule == '{schedule.at.cron}'"
    if schedule.name == "retrain":
        due += " || github.event_name == 'workflow_dispatch'"
    kedro, *options = schedule.command
    return {
        "if": due,
        "runs-on": ["self-hosted", plan.name],
        "timeout-minutes": schedule.deadline_seconds // 60,
        # the next one waits; of several that wait, the last stays
        "concurrency": {"group": plan.name, "cancel-in-progress": False},
        "steps": [
            # what git ignores stays: it is the artefacts
            {"uses": CHECKOUT, "with": {"clean": False, "persist-credentials": False}},
            {"run": "make .venv/.synced"},
            {"run": typed([f".venv/bin/{kedro}", *options])},
        ],
    }
