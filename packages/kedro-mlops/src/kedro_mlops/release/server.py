"""A built Bento, served on a free port of this machine for as long as it is asked."""

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.released import engine_first, serving_command
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
        environment = (
            os.environ
            | engine_first(bento_tag)
            | {
                "FEATURE_STORE_URL": feature_store_url,
                "PREDICTION_LOG_DIR": str(server.log_folder),
                "OMP_NUM_THREADS": "1",
                "API_KEYS": "",
                "API_KEYS_FILE": "",
                "CHALLENGER_MODE": "off",
            }
        )
        with output.open("wb") as file:
            # a session of its own: Ctrl-C is for us, and we end it
            process = subprocess.Popen(  # noqa: S603
                serving_command(bento_tag, HOST, port),
                env=environment, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        try:
            if not server.gets_ready(process, start_timeout_seconds):
                raise ProjectError(
                    f"The Bento {bento_tag} did not get ready within {start_timeout_seconds:g} s "
                    "(release.start_timeout_seconds); it said:\n"
                    f"{output.read_text()[-2000:]}"
                )
            yield server
        finally:
            end_with_workers(process)


@dataclass(frozen=True)
class BentoServer:
    """A Bento that is served; its prediction log is there for as long."""

    bento_tag: str
    url: str
    log_folder: Path

    def predict(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Ask for predictions; one answer per row."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/predict",
            json.dumps({"rows": rows}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                answers: list[dict[str, Any]] = json.load(response)["predictions"]
        except urllib.error.HTTPError as error:
            raise ProjectError(
                f"The Bento {self.bento_tag} answered {error.code}: {error.read().decode()[:2000]}"
            ) from error
        return answers

    def logged(self, contract: Columns) -> pd.DataFrame:
        """What it has logged so far, in the types of the log's contract."""
        rows: pd.DataFrame = read_log(self.log_folder, contract).to_pandas()
        return rows.astype({column.name: column.pandas_dtype for column in contract.all})

    def gets_ready(self, process: subprocess.Popen[bytes], within_seconds: float) -> bool:
        """Wait until it is ready, the time is over, or its process has ended."""
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=1):  # noqa: S310
                    return True
            except OSError:
                time.sleep(0.1)
        return False


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
