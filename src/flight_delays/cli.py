"""The project's commands: Kedro's own ``run``, with errors a person can read, and ``serve``."""

import functools
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import env_option
from kedro.framework.project import settings
from kedro.io import DatasetError
from kedro.validation import ParameterValidationError

from flight_delays.errors import ProjectError

EXPECTED = (ProjectError, DatasetError, ParameterValidationError, OSError)
INTERRUPTED = 130


def explained(command: Callable[..., Any]) -> Callable[..., Any]:
    """End expected errors with their message; the traceback goes to the log file only.

    Errors that nobody expected keep their traceback: they are bugs.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except EXPECTED as error:
            logging.getLogger("flight_delays.traceback").error("Failed", exc_info=error)
            raise click.ClickException(f"{error}\n(traceback: logs/kedro.log)") from error
        except KeyboardInterrupt:
            click.echo("\nStopped. The champion and its release are as they were.", err=True)
            sys.exit(INTERRUPTED)

    return wrapper


run = click.Command(
    name="run",
    params=kedro_run.params,
    help=kedro_run.help,
    callback=explained(kedro_run.callback) if kedro_run.callback else None,
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


cli = click.Group(name="flight_delays", commands=[run, serve])
