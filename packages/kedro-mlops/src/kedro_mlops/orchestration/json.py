"""The loop as data, for whatever else runs tasks."""

import json

from .airflow import command_of
from .plan import Plan

# what the day of a run is put in the place of
DAY = "{day}"


def write(plan: Plan) -> dict[str, str]:
    """One file: when, how long at most, and which tasks, in an order in which they may be run."""
    told = {
        "name": f"{plan.name}-{plan.retrain.name}",
        "about": plan.retrain.about,
        "at": plan.retrain.at.cron,
        "deadline_seconds": plan.retrain.deadline_seconds,
        "folder": str(plan.folder),
        "tasks": [
            {
                "name": task.name,
                "waits_for": list(task.waits_for),
                "command": command_of(plan, task),
            }
            for task in plan.retrain.tasks
        ],
    }
    return {f"{told['name']}.json": f"{json.dumps(told, indent=2)}\n"}
