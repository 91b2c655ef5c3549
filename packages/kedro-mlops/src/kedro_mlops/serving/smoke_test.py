"""Asks a release by HTTP for rows known in advance, before it has callers and after.

``python -m kedro_mlops.serving.smoke_test`` starts the Bento in ``BENTO_PATH``, as its image does,
but for this machine alone and with a prediction log of its own; asks it for all its known rows, and
ends it. With the address of a service it waits until that answers with the models of this Bento,
and asks it for one row, which is logged as any other.
"""

import contextlib
import http.client
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.feature_store.missing import UNAVAILABLE
from kedro_mlops.models.released import models_at, spec_of
from kedro_mlops.runtime.known_rows import KnownRows
from kedro_mlops.runtime.serving_spec import ServingSpec

from .keys import a_key
from .model import ServedModel
from .paths import INFO, PREDICT, READY
from .settings import Settings

HOST = "127.0.0.1"
START_SECONDS = 90.0
# until every endpoint of a service is one of the new version
TURN_SECONDS = 60.0
LOOK_SECONDS = 0.5
ASK_SECONDS = 30.0
STOP_SECONDS = 30.0
MOST_SAID = 500
# none stands between a cluster and itself
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Release(NamedTuple):
    """A model of a Bento, and what is known of it."""

    folder: Path
    spec: ServingSpec
    known: KnownRows

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its known rows as callers send them; what is no feature is the contract's example."""
        sent = [field for field in self.spec.sent if not field.assigned]
        return [
            {field.sent_as or field.name: row.get(field.name, field.example) for field in sent}
            for row in self.known.rows
        ]


def check_before(bento: Path) -> str:
    """Start a Bento for this machine alone, and ask it for all known rows.

    Returns:
        What has been found.

    Raises:
        ProjectError: if it does not answer as it was released.
    """
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        with _served(bento, log) as url:
            release = _answering(url, bento)
            answers = _ask(url, release.rows)
        _compare(release, answers, log)
    found = f"{release.spec.model_version} answers {len(answers)} rows as it was released"
    # a store that is down must not keep a service down that can do without
    return "; ".join([found, *_without_store(answers)])


def check_running(url: str, bento: Path) -> str:
    """Wait until a service answers with the models of a Bento, and ask it for a row.

    Returns:
        What has been found.

    Raises:
        ProjectError: if it does not answer with them, or does without the feature store.
    """
    deadline = time.monotonic() + TURN_SECONDS
    while True:
        try:
            release = _answering(url, bento)
            break
        except ProjectError:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_SECONDS)
    if lost := _without_store(_ask(url, release.rows[:1])):
        raise ProjectError(f"{url} {' '.join(lost)}.")
    return f"{release.spec.model_version} answers at {url}"


def _answering(url: str, bento: Path) -> Release:
    """The model of a Bento with which a service says that it answers."""
    version = _json(url, INFO)["model_version"]
    found = {spec.model_version: (folder, spec) for folder, spec in _models_of(bento)}
    if version not in found:
        raise ProjectError(f"{url} answers with {version}, which is not in this release.")
    folder, spec = found[version]
    return Release(folder, spec, KnownRows.read(folder))


def _models_of(bento: Path) -> list[tuple[Path, ServingSpec]]:
    return [(folder, spec_of(folder)) for folder in models_at(bento)]


def _ask(url: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ask for predictions, one a row."""
    answers: list[dict[str, Any]] = _json(url, PREDICT, {"rows": rows})["predictions"]
    if len(answers) != len(rows):
        raise ProjectError(f"{url} answered {len(answers)} of {len(rows)} rows.")
    return answers


def _without_store(answers: list[dict[str, Any]]) -> list[str]:
    """What to say where the feature store did not answer; nothing where it did."""
    reasons = [answer["missing_features"] for answer in answers]
    lost = sorted({name for each in reasons for name, why in each.items() if why == UNAVAILABLE})
    if not lost:
        return []
    return [
        f"does not reach the feature store, and does without {', '.join(lost)}: look at "
        "FEATURE_STORE_URL, and whether the network lets it through"
    ]


def _compare(release: Release, answers: list[dict[str, Any]], log: Path) -> None:
    """Of what was found for each row, as the log has it, the model says what was answered.

    A model that scikit-learn serves was asked by the service itself when it started: only that
    knows which types to trust.
    """
    spec = release.spec
    if spec.engine != "compiled trees":
        return
    lines = (line for file in log.glob("*.jsonl") for line in file.read_bytes().splitlines())
    logged = {row["prediction_id"]: row for row in map(json.loads, lines)}
    columns = {name: [answer[name] for answer in answers] for name in spec.output.score_columns()}
    answered = KnownRows(
        rows=[logged[answer["prediction_id"]] for answer in answers],
        scores=spec.output.scores_in(columns).tolist(),
        tolerance=release.known.tolerance,
    )
    difference = answered.largest_difference(spec, ServedModel(release.folder, spec, 1).score)
    if not difference <= answered.tolerance:
        raise ProjectError(
            f"{PREDICT} differs by {difference:.2g} from what {spec.model_version} says of the "
            f"same rows, more than {answered.tolerance:g}."
        )


def _json(url: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a service answers, as JSON; a body is posted."""
    data = None if body is None else json.dumps(body).encode()
    try:
        found: dict[str, Any] = json.loads(_get(url, path, data))
    except ValueError as error:
        raise ProjectError(f"{url}{path} answered what is no JSON: {error}.") from error
    return found


def _get(url: str, path: str, data: bytes | None = None) -> bytes:
    settings = Settings.from_environment()
    headers = {"Content-Type": "application/json"}
    if key := a_key(settings.api_keys, settings.keys_file):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url + path, data, headers)  # noqa: S310
    try:
        with NO_PROXY.open(request, timeout=ASK_SECONDS) as response:
            content: bytes = response.read()
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:MOST_SAID]
        raise ProjectError(f"{url}{path} answered {error.code}: {said}") from error
    except (OSError, http.client.HTTPException) as error:
        raise ProjectError(f"{url}{path} was not answered: {error}.") from error
    return content


@contextlib.contextmanager
def _served(bento: Path, log: Path) -> Iterator[str]:
    """Serve a Bento on this machine until the block ends; gives its address once it is ready.

    Raises:
        ProjectError: if it does not get ready.
    """
    port = _free_port()
    url = f"http://{HOST}:{port}"
    told = {"PREDICTION_LOG_DIR": str(log), "CHALLENGER_MODE": "off", "FOLLOW_CHAMPION": ""}
    address = ["--host", HOST, "--port", str(port)]
    server = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "bentoml", "serve", str(bento), *address],
        env=os.environ | told,
        stdout=sys.stderr,
        start_new_session=True,
    )
    try:
        _wait(url, server)
        yield url
    finally:
        _end(server)


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None:
        try:
            _get(url, READY)
        except ProjectError as error:
            if time.monotonic() > deadline:
                raise ProjectError(f"It was not ready in {START_SECONDS:g} s: {error}") from error
            time.sleep(LOOK_SECONDS)
        else:
            return
    raise ProjectError("The service does not start; above it says why.")


def _end(server: subprocess.Popen[bytes]) -> None:
    """End a server with its workers, which are in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def main(arguments: Sequence[str]) -> None:
    """Ask; exit with an error where a release does not answer as it should."""
    bento = os.environ.get("BENTO_PATH")
    try:
        if not bento:
            raise ProjectError("BENTO_PATH is not set: say which Bento is to be asked.")
        if arguments:
            found = check_running(arguments[0].rstrip("/"), Path(bento))
        else:
            found = check_before(Path(bento))
    except ProjectError as error:
        sys.exit(f"Smoke test failed: {error}")
    sys.stdout.write(f"Smoke test passed: {found}.\n")


if __name__ == "__main__":
    main(sys.argv[1:])
