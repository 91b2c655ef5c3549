"""Kedro's own option ``--params``, for commands that open what its ``run`` has made."""

from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

Params = dict[str, Any]


def params_option(command: click.Command) -> click.Command:
    """Let a command take ``params``, as Kedro's own does."""
    command.params += [option for option in kedro_run.params if option.name == "params"]
    return command
