"""The image of a release, built and run as a deployment does, by .ci/ and without an engine.

It takes minutes, root and Debian's buildah: continuous integration runs it, and a person who sets
IMAGE_TEST=1.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from driving.image import BASE, READ_ONLY, RUN, TAKES_MINUTES, UID, build, megabytes, tell
from driving.project import HOST, Loop, free_port, is_free
from driving.readme import request_body

from kedro_mlops.serving.clouds import SAGEMAKER_PORT

IMAGE = "localhost/flight-delays:test"
KEY = "a-key-for-this-test"
# what the image adds to its base, which is 125 MB large where it is the real one
ADDED_MEGABYTES = 340
# on a machine that does much else; three on an idle one
READY_SECONDS = 30
REFUSES_SECONDS = 30
NEVER_INSIDE = (
    *("kedro", "optuna", "ibis", "duckdb", "pandas", "sklearn", "pandera"),
    *("skops", "uv", "flight_delays.contracts"),
)
LOOK = f"""
import importlib.util, os, pathlib, sys
sys.path.insert(0, "src")
assert importlib.util.find_spec("flight_delays"), "the service is not found"
assert importlib.util.find_spec("kedro_mlops"), "the engine is not found"
found = [name for name in {NEVER_INSIDE} if importlib.util.find_spec(name)]
print(os.getuid(), *found)
[capable] = [line for line in open("/proc/self/status") if line.startswith("CapBnd")]
print("may do", int(capable.split()[1], 16))
uncompiled = [
    path
    for path in pathlib.Path("src").rglob("*.py")
    if not pathlib.Path(importlib.util.cache_from_source(path)).exists()
]
print("to be compiled", len(uncompiled))
for folder in (".", os.environ["HOME"] if "HOME" in os.environ else "/home", "/var/tmp", "/tmp"):
    try:
        (pathlib.Path(folder) / "probe").write_text("")
        print("wrote", folder)
    except OSError as error:
        print(type(error).__name__, error.errno)
"""

JSON = {"Content-Type": "application/json"}
pytestmark = TAKES_MINUTES


@pytest.fixture(scope="module")
def image(sample_loop: Loop) -> Iterator[str]:
    """The image of the sample environment's champion, by ``make image``."""
    build(sample_loop.project, IMAGE, "--env sample")
    yield IMAGE
    sample_loop.project.must(f"buildah rmi {IMAGE}")


def test_the_image_says_what_it_is_and_how_big(
    image: str, sample_loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(sample_loop.project.must(f"buildah inspect --type image {image}"))

    size, base = (megabytes(sample_loop.project, name) for name in (image, BASE))
    tell(capsys, f"{image} has {size:.0f} MB, of which its base has {base:.0f} MB")
    assert size - base < ADDED_MEGABYTES
    assert told["OCIv1"]["config"]["User"] == "bentoml"


def test_nothing_of_training_is_inside_and_nothing_but_tmp_can_be_written(
    image: str, sample_loop: Loop
) -> None:
    (sample_loop.project.folder / "look.py").write_text(LOOK)

    said = sample_loop.project.must(f'{RUN} {image} -- python -c "$(cat look.py)"')

    who, may, compiled, *writes = said.splitlines()
    assert who == str(UID)
    assert may == "may do 0"
    assert compiled == "to be compiled 0"
    assert writes == [f"OSError {READ_ONLY}"] * 3 + ["wrote /tmp"]


def test_it_gets_ready_and_answers_as_the_readme_says(
    image: str,
    sample_loop: Loop,
    readme: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log, port = tmp_path / "log", free_port()
    log.mkdir()
    os.chown(log, UID, UID)
    environment = {
        "BENTOML_HOME": "/tmp/bentoml",
        "BENTOML_PORT": port,
        "FEATURE_STORE_URL": "sqlite:////store/online.db",
        "PREDICTION_LOG_DIR": "/prediction_log",
        "API_KEYS": KEY,
    }
    command = " ".join(
        [
            f"exec {RUN} {image} --volume {sample_loop.data}/04_feature:/store",
            f"--volume {log}:/prediction_log",
            *(f"{name}={value}" for name, value in environment.items()),
        ]
    )

    began = time.monotonic()
    with sample_loop.project.served(command, port) as client:
        seconds = time.monotonic() - began
        tell(capsys, f"{image} was ready after {seconds:.1f} s")
        assert seconds < READY_SECONDS
        refused = client.post("/predict", content=request_body(readme), headers=JSON)
        client.headers["Authorization"] = f"Bearer {KEY}"
        answer = _post(client, readme)
        metrics = client.get("/metrics")

    assert refused.status_code == 401
    [prediction] = answer["predictions"]
    assert 0 < prediction["probability"] < 1
    assert metrics.is_success
    assert "model_predictions_total" in metrics.text
    written = "".join(file.read_text() for file in log.glob("*.jsonl"))
    assert prediction["prediction_id"] in written
    assert is_free(port), f"something still listens on {HOST}:{port}"


def test_its_smoke_test_asks_it_for_all_of_its_known_rows(image: str, sample_loop: Loop) -> None:
    said = sample_loop.project.must(
        f"{RUN} {image} --volume {sample_loop.data}/04_feature:/store BENTOML_HOME=/tmp/smoke-test "
        f"FEATURE_STORE_URL=sqlite:////store/online.db API_KEYS={KEY} "
        "-- python -m kedro_mlops.serving.smoke_test"
    )

    assert said.endswith("answers 20 rows as it was released.\n")


def test_it_answers_as_sagemaker_starts_and_asks_it(
    image: str, sample_loop: Loop, readme: str
) -> None:
    command = (
        f"exec {RUN} {image} --volume {sample_loop.data}/04_feature:/store "
        f"BENTOML_HOME=/tmp/bentoml BENTOML_PORT={SAGEMAKER_PORT} CLOUD_ENDPOINT=sagemaker "
        "FEATURE_STORE_URL=sqlite:////store/online.db PREDICTION_LOG_DIR=/tmp/log -- serve"
    )

    with sample_loop.project.served(command, SAGEMAKER_PORT) as client:
        alive = client.get("/ping", timeout=2)
        asked = client.post("/invocations", content=request_body(readme), headers=JSON)
        other = client.post("/predict", content=request_body(readme), headers=JSON)

    assert (alive.status_code, asked.status_code, other.status_code) == (200, 200, 401)


def test_without_keys_it_says_so_and_ends(image: str, sample_loop: Loop) -> None:
    done = sample_loop.project.run(
        f"{RUN} {image} BENTOML_HOME=/tmp/bentoml BENTOML_PORT={free_port()}", REFUSES_SECONDS
    )

    assert done.returncode != 0
    assert "Set API_KEYS or API_KEYS_FILE" in done.stderr
    assert "Traceback" not in done.stderr


def _post(client: httpx.Client, readme: str) -> dict:
    answered = client.post("/predict", content=request_body(readme), headers=JSON)
    assert answered.is_success, answered.text
    return answered.json()
