"""The command ``deploy``: a cluster gets a release, or goes on with the one before."""

import contextlib
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option
from kedro.framework.project import settings

from kedro_mlops.core.project import project_folder
from kedro_mlops.framework.error_messages import INTERRUPTED, explained

if TYPE_CHECKING:
    from kedro_mlops.delivery.rollout import Outcome

OVERLAY = Path("deploy/kubernetes/overlays/production")
# 2 is that of words that were not understood
RETURNED, STUCK = 1, 3
described = partial(explained, unchanged="The cluster is as it was, or as it says above.")


@click.command()
@click.argument("image", required=False)
@click.option(
    "--overlay",
    type=click.Path(path_type=Path),
    default=OVERLAY,
    show_default=True,
    help="Folder of the kustomization that is applied.",
)
@click.option("--context", help="Context of kubectl, if not the current one.")
@click.option(
    "--timeout", default=600, show_default=True, help="Seconds that the rollout may take."
)
@env_option
@described
def deploy(
    image: str | None, overlay: Path, context: str | None, timeout: int, env: str | None
) -> None:
    """Give a cluster a release, or let it go on with the one before.

    IMAGE is REGISTRY/NAME:VERSION or REGISTRY/NAME@DIGEST; without it, the one that the overlay
    names. Each new pod answers rows of which it is known what the model says before it has callers;
    then the service is asked. If anything fails, or is interrupted, the cluster returns to what
    served before, and the reason is recorded. Exits with 1 then, and with 3 if the return has not
    been seen to end.
    """
    from kedro_mlops.delivery.kubectl import Kubectl
    from kedro_mlops.delivery.overlay import build, keep
    from kedro_mlops.delivery.rollout import Rollout

    folder = project_folder() / overlay
    kubectl = Kubectl(context)
    release = build(kubectl, folder, image)
    outcome = Rollout(kubectl, release, timeout, _say).run()
    if outcome.status != "serves":
        _fail(outcome, release.image, env)
    is_named = keep(folder, image) if image else None
    _say(f"{outcome.said}.")
    if is_named is False:
        _say(f"Name {image} in {overlay}, so that nobody applies the one before.")
    elif is_named:
        _say(f"{overlay} names it from now on: commit that.")


def _fail(outcome: "Outcome", image: str, env: str | None) -> None:
    said = f"{image} does not serve: {outcome.why}\n{outcome.said}."
    untold = ""
    try:
        _alert(f"deployment {outcome.status}", said, env)
    except Exception as error:  # noqa: BLE001 - the exit status is what others wait for
        untold = f"\nNo webhook was told: {error}"
    _say(f"Error: {said}{untold}", err=True)
    if outcome.status == "stuck":
        sys.exit(STUCK)
    sys.exit(INTERRUPTED if outcome.is_interrupted else RETURNED)


def _say(said: str, err: bool = False) -> None:
    # whose terminal is gone hears nothing, and all is done the same
    with contextlib.suppress(OSError):
        click.echo(said, err=err)


def _alert(kind: str, said: str, env: str | None) -> None:
    """Tell whom alerts are told."""
    from kedro_mlops.monitoring.decisions import Alert
    from kedro_mlops.monitoring.webhook import notify

    if webhook := _webhook(env):
        alert = Alert(kind=kind, at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}", message=said)
        notify(webhook, {"alerts": [alert.model_dump(mode="json")]})


def _webhook(env: str | None) -> str | None:
    with settings.SESSION_CLASS.create(env=env) as session:
        credentials = session.load_context().config_loader["credentials"]
    found: str | None = credentials.get("alerts", {}).get("webhook")
    return found
