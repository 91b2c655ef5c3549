"""What a person hears of a service that is started: that it cannot be, or that it is ready."""

import contextlib
import json
import os
import shlex
import socket
import time

import click
import psutil

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.released import models_of
from kedro_mlops.release.server import is_ready
from kedro_mlops.runtime.known_rows import KnownRows

LOOK_EVERY_SECONDS = 0.2


def refuse_if_taken(host: str, port: int) -> None:
    """Try the address, before a server fails at it with a traceback.

    Raises:
        ProjectError: if it cannot be listened on.
    """
    try:
        [(family, kind, *_, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind) as probe:
            # as servers do: connections that have ended do not count
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ProjectError(
            f"The service cannot listen on {host}, port {port}: {error.strerror}. Stop what uses "
            f"it, perhaps an earlier `make serve`, or choose another: "
            f"`kedro serve --port {port + 1}`."
        ) from error


def refuse_to_follow(release: str) -> None:
    """Make sure that a release is of a version that can follow the champion.

    Raises:
        ProjectError: if it was built by an earlier one, whose code it would run.
    """
    try:
        for folder in models_of(release):
            KnownRows.read(folder)
    except ProjectError as error:
        raise ProjectError(
            f"{release} cannot follow the champion: {error} Or serve it without --follow."
        ) from error


def example_request(url: str, row: dict[str, object]) -> str:
    """The command that asks for the prediction of a row."""
    with_key = bool(os.environ.get("API_KEYS") or os.environ.get("API_KEYS_FILE"))
    key = ' -H "Authorization: Bearer $API_KEY"' if with_key else ""
    body = shlex.quote(json.dumps({"rows": [row]}))
    return f"curl -s {url}/predict{key} -H 'Content-Type: application/json' -d {body}"


def tell_when_ready(url: str, said: str) -> None:
    """Say something when the service, which this process is about to become, is ready."""
    server = psutil.Process()
    if os.fork() == 0:
        # a child of nobody, for whom the service needs not wait
        if os.fork() == 0:
            with contextlib.suppress(KeyboardInterrupt):
                _wait_and_tell(server, url, said)
        os._exit(0)
    os.wait()


def _wait_and_tell(server: psutil.Process, url: str, said: str) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        while server.status() != psutil.STATUS_ZOMBIE:
            if is_ready(url):
                click.echo(said)
                return
            time.sleep(LOOK_EVERY_SECONDS)
