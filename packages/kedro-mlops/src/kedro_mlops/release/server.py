"""A built Bento, served on a free port of this machine for as long as it is asked."""

import contextlib
import http
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import requests

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.released import serving
from kedro_mlops.prediction_log.datasets import read_log

HOST = "127.0.0.1"
STOP_SECONDS = 10


@contextlib.contextmanager
def served(
    bento_tag: str, feature_store_url: str, start_timeout_seconds: float
) -> Iterator["BentoServer"]:
    """Run ``bentoml serve`` of a Bento in the background.

    Raises:
        ProjectError: if it does not get ready.
    """
    port = _free_port()
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "output"
        server = BentoServer(bento_tag, f"http://{HOST}:{port}", Path(scratch) / "log")
        command, environment = serving(
            bento_tag,
            HOST,
            port,
            FEATURE_STORE_URL=feature_store_url,
            PREDICTION_LOG_DIR=str(server.log_folder),
            API_KEYS="",
            API_KEYS_FILE="",
            CHALLENGER_MODE="off",
        )
        process = None
        try:
            with output.open("wb") as file, _uninterrupted():
                # a session of its own: Ctrl-C is for us, and we end it
                process = subprocess.Popen(  # noqa: S603
                    command, env=environment, stdout=file, stderr=file, start_new_session=True
                )
            deadline = time.monotonic() + start_timeout_seconds
            while not is_ready(server.url):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise ProjectError(
                        f"The Bento {bento_tag} did not get ready within "
                        f"{start_timeout_seconds:g} s (release.start_timeout_seconds); it said:\n"
                        f"{output.read_text()[-2000:]}"
                    )
                time.sleep(0.1)
            yield server
        finally:
            if process is not None:
                with _uninterrupted():
                    end_with_workers(process)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block has ended.

    Else it could come when a process has begun that nobody holds yet, or before its workers ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted
        return
    waiting: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            signal.raise_signal(signal.SIGINT)


def is_ready(url: str) -> bool:
    """Whether a service is ready; it may want a key to say so."""
    try:
        status = requests.get(f"{url}/readyz", timeout=1).status_code
    except OSError:
        return False
    return status != http.HTTPStatus.SERVICE_UNAVAILABLE


@dataclass(frozen=True)
class BentoServer:
    """A Bento that is served; its prediction log is there for as long."""

    bento_tag: str
    url: str
    log_folder: Path

    def predict(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Ask for predictions; one answer per row."""
        response = requests.post(f"{self.url}/predict", json={"rows": rows}, timeout=60)
        if not response.ok:
            raise ProjectError(
                f"The Bento {self.bento_tag} answered {response.status_code}: "
                f"{response.text[:2000]}"
            )
        answers: list[dict[str, Any]] = response.json()["predictions"]
        return answers

    def logged(self, contract: Columns) -> pd.DataFrame:
        """What it has logged so far, in the types of the log's contract."""
        rows: pd.DataFrame = read_log(self.log_folder, contract).to_pandas()
        return rows.astype({column.name: column.types.pandas for column in contract.all})


def end_with_workers(server: subprocess.Popen[bytes]) -> None:
    """End a server and its workers, which are sessions of their own and may outlive it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        arbiter = psutil.Process(server.pid)
        arbiter.suspend()  # else it may start a worker that nobody has counted
        family = [arbiter, *arbiter.children(recursive=True)]
        arbiter.terminate()
        arbiter.resume()
        _, outlived = psutil.wait_procs(family, STOP_SECONDS)
        for process in outlived:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(outlived, STOP_SECONDS)
    server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
