"""The project's commands: Kedro's own ``run``, ``serve`` and ``champion``, with readable errors."""

import os
import pkgutil
import sys
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import env_option
from kedro.framework.project import settings

from flight_delays import pipelines as project_pipelines
from flight_delays.champion_cli import champion
from flight_delays.errors import ProjectError, suggestion
from flight_delays.explained import explained


def _run(**options: Any) -> Any:
    """Kedro's ``run``, for pipelines that exist and contracts that make sense."""
    _check_contracts()
    known = [module.name for module in pkgutil.iter_modules(project_pipelines.__path__)]
    asked = [*options["pipelines"], *filter(None, [options["pipeline"]])]
    for name in asked:
        if name not in (*known, "__default__"):
            raise ProjectError(f"There is no pipeline '{name}'. {suggestion(name, known)}")
    assert kedro_run.callback is not None
    return kedro_run.callback(**options)


def _check_contracts() -> None:
    """Read every contract first; Kedro would wrap what is wrong with one in an ImportError."""
    from flight_delays import contracts  # noqa: PLC0415 - Pandera is heavy, and not for --help
    from flight_delays.columns import Columns, Contract  # noqa: PLC0415

    for declared in vars(contracts).values():
        if isinstance(declared, type) and issubclass(declared, Contract):
            Columns.of(declared)


run = click.Command(
    name="run", params=kedro_run.params, help=kedro_run.help, callback=explained(_run)
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
@env_option
@explained
def serve(host: str, port: int, env: str | None) -> None:
    """Serve the champion's release with BentoML."""
    with settings.SESSION_CLASS.create(env=env) as session:
        context = session.load_context()
        release = _release_of(context.catalog)
        environment = {
            "FEATURE_STORE_URL": context.catalog.load("online_store"),
            "PREDICTION_LOG_DIR": str(
                Path(context.project_path)
                / context.config_loader["globals"]["data"]
                / "07_model_output/prediction_log"
            ),
            "OMP_NUM_THREADS": "1",
        }
    click.echo(f"Serving {release} on http://{host}:{port} (stop it with Ctrl-C)")
    command = [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        release,
        "--host",
        host,
        "--port",
        str(port),
    ]
    os.execve(sys.executable, command, os.environ | environment)  # noqa: S606


def _release_of(catalog: Any) -> str:
    import bentoml  # noqa: PLC0415 - heavy, and only needed here
    from bentoml.exceptions import NotFound  # noqa: PLC0415

    if not catalog.exists("champion"):
        raise ProjectError("There is no champion yet. Make one with `make run`.")
    release = str(catalog.load("champion").metadata.release)
    try:
        return str(bentoml.bentos.get(release).tag)
    except NotFound as error:
        raise ProjectError(
            f"The release {release} is not in BentoML's store. "
            "Build it again with `kedro run --pipelines=release`."
        ) from error


cli = click.Group(name="flight_delays", commands=[run, serve, champion])
