"""A built Bento, served on a free port of this machine for as long as it is asked."""

import json
import os
import signal
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

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.released import engine_first
from kedro_mlops.prediction_log.datasets import read_log

HOST = "127.0.0.1"


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
        with self._output.open("wb") as output:
            # a session of its own, so that the server's workers can be stopped with it
            self._process = subprocess.Popen(  # noqa: S603
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
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

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self._url}/readyz", timeout=1):  # noqa: S310
                    return
            except OSError:
                time.sleep(0.1)
        raise ProjectError(
            f"The Bento {self._tag} did not get ready within {self._timeout:g} s "
            f"(release.start_timeout_seconds); it said:\n{self._output.read_text()[-2000:]}"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
