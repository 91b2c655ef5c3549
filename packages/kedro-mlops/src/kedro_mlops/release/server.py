"""A built Bento, served on a free port of this machine for as long as it is asked."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import pandas as pd
import psutil

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.released import engine_first
from kedro_mlops.prediction_log.datasets import read_log

HOST = "127.0.0.1"
STOP_SECONDS = 10


class BentoServer:
    """Runs ``bentoml serve`` in the background; a context manager.

    Its prediction log is in ``log_folder`` until the block ends.

    Args:
        bento_tag: The Bento to serve.
        feature_store_url: The online store it reads.
        start_timeout_seconds: Time it has to get ready.
    """

    def __init__(
        self, bento_tag: str, feature_store_url: str, start_timeout_seconds: float
    ) -> None:
        self._tag = bento_tag
        self._timeout = start_timeout_seconds
        self._feature_store_url = feature_store_url
        self._url = f"http://{HOST}:{_free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._scratch = tempfile.TemporaryDirectory()
        folder = Path(self._scratch.name)
        self._output = folder / "output"
        self.log_folder = folder / "log"
        command = [
            sys.executable, "-m", "bentoml", "serve", self._tag,
            "--host", HOST, "--port", self._url.rsplit(":", 1)[1],
        ]  # fmt: skip
        environment = (
            os.environ
            | engine_first(self._tag)
            | {
                "FEATURE_STORE_URL": self._feature_store_url,
                "PREDICTION_LOG_DIR": str(self.log_folder),
                "OMP_NUM_THREADS": "1",
                "API_KEYS": "",
                "API_KEYS_FILE": "",
                "CHALLENGER_MODE": "off",
            }
        )
        try:
            with self._output.open("wb") as output:
                # a session of its own: Ctrl-C is for us, and we end it
                self._process = subprocess.Popen(  # noqa: S603
                    command, env=environment, stdout=output, stderr=output, start_new_session=True
                )
            self._wait_until_ready(self._process)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            end_with_workers(self._process)
        self._scratch.cleanup()

    def predict(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Ask for predictions; one answer per row."""
        request = urllib.request.Request(  # noqa: S310
            f"{self._url}/predict",
            json.dumps({"rows": rows}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                answers: list[dict[str, Any]] = json.load(response)["predictions"]
        except urllib.error.HTTPError as error:
            raise ProjectError(
                f"The Bento {self._tag} answered {error.code}: {error.read().decode()[:2000]}"
            ) from error
        return answers

    def logged(self, contract: Columns) -> pd.DataFrame:
        """What it has logged so far, in the types of the log's contract."""
        rows: pd.DataFrame = read_log(self.log_folder, contract).to_pandas()
        return rows.astype({column.name: column.pandas_dtype for column in contract.all})

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self._url}/readyz", timeout=1):  # noqa: S310
                    return
            except OSError:
                time.sleep(0.1)
        raise ProjectError(
            f"The Bento {self._tag} did not get ready within {self._timeout:g} s "
            f"(release.start_timeout_seconds); it said:\n{self._output.read_text()[-2000:]}"
        )


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
