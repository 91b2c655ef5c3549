"""A DAG for Airflow 3, which needs neither Kedro nor the project's packages to read it."""

import json
from importlib.resources import files

import jinja2

from .loop import DECISION, RETRAIN, WAIT, Task, typed
from .plan import Plan, heading
from .pods import HOME, UID, WRITTEN

# not `ds`: a run that a person starts may have no logical date
DAY = "{{ dag_run.run_after | ds }}"
SKIPPED = 99


def write(plan: Plan) -> dict[str, str]:
    """The file of the DAG."""
    dag_id = f"{plan.name.replace('-', '_')}_{plan.retrain.name}"
    said = {
        "dag_id": dag_id,
        "folder": str(plan.folder),
        "description": f"{plan.name} {plan.retrain.about}",
        "schedule": plan.retrain.at.cron,
        "deadline_seconds": plan.retrain.deadline_seconds,
        "skipped": SKIPPED,
        "tasks": {
            task.name: {"waits_for": list(task.waits_for), "command": _command(plan, task)}
            for task in plan.retrain.tasks
        },
    }
    template = jinja2.Template(files(__package__).joinpath("templates/dag.py.j2").read_text())
    # texts, numbers and lists are the same in Python
    text = template.render(
        {name: json.dumps(value, ensure_ascii=False, indent=4) for name, value in said.items()}
    )
    return {f"{dag_id}.py": f"{heading('airflow')}{text}\n"}


def command_of(plan: Plan, task: Task) -> list[str]:
    """What a task types on the machine that has the artefacts: in `.venv`, or in an image."""
    kedro, *options = task.command
    words = [*_inside(plan, plan.image), kedro] if plan.image else [str(plan.kedro)]
    return [*words, *options]


def _command(plan: Plan, task: Task) -> str:
    command = typed(command_of(plan, task))
    if task.name != DECISION:
        return command
    cases = f"{RETRAIN}) ;; {WAIT}) exit {SKIPPED} ;; *) exit 1 ;;"
    return f'said=$({command}) && echo "$said" && case "$said" in {cases} esac'


def _inside(plan: Plan, image: str) -> list[str]:
    """Docker's words, on the machine that has the artefacts."""
    mounts = [f"{plan.folder / path}:{HOME / path}" for path in (plan.data, plan.own)]
    volumes = [word for mount in mounts for word in ("--volume", mount)]
    # compiled trees are loaded from there, too, which Docker would not allow
    written = ["/tmp:exec", *(f"{HOME / name}:mode=1777" for name in WRITTEN)]  # noqa: S108
    scratch = [word for path in written for word in ("--tmpfs", path)]
    may = ["--user", f"{UID}:{UID}", "--read-only", "--cap-drop=ALL", *scratch]
    home = ["--env", f"BENTOML_HOME={HOME / plan.data}/bentoml"]
    return ["docker", "run", "--rm", *may, *volumes, *home, image]
