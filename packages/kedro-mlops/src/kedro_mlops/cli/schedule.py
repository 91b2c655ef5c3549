"""The command ``schedule``: the loop, written for what runs things at their times."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework import project as kedro_project
from kedro.framework.cli.utils import env_option
from kedro.framework.project import pipelines, settings

from kedro_mlops.core.declared import declared
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.files import new_file
from kedro_mlops.core.project import project_folder
from kedro_mlops.framework.error_messages import explained
from kedro_mlops.framework.session import data_folder, log_folder

from .day import Day

if TYPE_CHECKING:
    from kedro_mlops.orchestration.plan import Plan

ROOM = "kedro_mlops.orchestration"
# where the files of each go, if nobody says
FOLDERS = {
    "airflow": "deploy/airflow",
    "argo": "deploy/argo",
    "databricks": ".",
    "github": ".github/workflows",
    "json": "deploy/json",
    "kubernetes": "deploy/kubernetes/pipelines",
    "systemd": "deploy/systemd",
}
WATCH = "30 * * * *"
# each task of these is a process of its own, and of those that have no machine in common, too
TASK_BY_TASK = ("airflow", "argo", "databricks", "json")
APART = ("argo", "databricks")


@click.command()
@click.argument("scheduler", type=click.Choice(list(FOLDERS)))
@click.option("--at", default="0 6 * * *", show_default=True, help="When to retrain, if needed.")
@click.option("--watch", help="When only to look, if one command does that.  [default: 30 * * * *]")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Folder of what is written.")
@click.option(
    "--image", help="Image of the pipelines, for pods; for airflow and json instead of .venv."
)
@click.option("--until", type=Day(), help="Day of every run, in place of that on which it runs.")
@env_option
@explained
def schedule(
    scheduler: str,
    at: str,
    watch: str | None,
    folder: Path | None,
    image: str | None,
    until: datetime | None,
    env: str | None,
) -> None:
    """Write what runs the loop on a schedule, for one scheduler.

    Times are as cron says them: minute, hour, day of the month, month, day of the week. What was
    written before is written over.
    """
    day = f"{until:%Y-%m-%d}" if until else None
    files = declared(f"{ROOM}.{scheduler}.write")(_plan(scheduler, at, watch, image, day, env))
    folder = folder or project_folder() / FOLDERS[scheduler]
    for name, text in files.items():
        with new_file(folder / name) as file:
            file.write(text.encode())
        click.echo(f"Wrote {folder / name}")
    click.echo("How it is installed: docs/scheduling.md")


def _plan(
    scheduler: str, at: str, watch: str | None, image: str | None, day: str | None, env: str | None
) -> "Plan":
    from kedro_mlops.orchestration.loop import TODAY, Loop, check_tasks, retraining, watching
    from kedro_mlops.orchestration.passing import refuse_what_is_lost
    from kedro_mlops.orchestration.plan import Plan, name_of

    if watch and scheduler in TASK_BY_TASK:
        raise ProjectError(
            f"Tasks of {scheduler} that only look would change what those that train have not read "
            "yet. Leave --watch out, and look as often by --at: training follows if it is needed."
        )
    name = name_of(str(kedro_project.PACKAGE_NAME), env)
    loop = Loop.of(pipelines)
    check_tasks(pipelines)
    with settings.SESSION_CLASS.create(env=env) as session:
        context: Any = session.load_context()
        data, log = data_folder(context), log_folder(context)
        if scheduler in TASK_BY_TASK:
            shared = data if image or scheduler in APART else None
            refuse_what_is_lost(pipelines, loop.waits_for, context.catalog, shared)
    in_tasks = declared(f"{ROOM}.{scheduler}.DAY") if scheduler in TASK_BY_TASK else TODAY
    return Plan(
        name=name,
        folder=project_folder(),
        kedro=Path(sys.executable).with_name("kedro"),
        data=_in_project(data),
        prediction_log=_in_project(log),
        own=f"conf/{env}/own" if env else "conf/local",
        image=image,
        retrain=retraining(loop, at, env, day or in_tasks, day or TODAY),
        watch=watching(loop, watch or WATCH, env, day or TODAY),
    )


def _in_project(path: Path) -> str:
    inside = path.is_relative_to(project_folder())
    return (path.relative_to(project_folder()) if inside else path).as_posix()
