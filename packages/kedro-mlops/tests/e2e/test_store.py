"""Two machines that share no disk but a store: one releases, and the other serves."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from driving.asking import predict
from driving.object_store import ObjectStore
from driving.project import Loop, Project, free_port

from kedro_mlops.core.storage import place
from kedro_mlops.models.hashes import bento_hash
from kedro_mlops.models.released import bento_folder, model_folder, models_of

DATA = "data/stored"
ENV = "--env stored"
# layers that last
LASTING = ("06_models", "07_model_output", "08_reporting")


@pytest.fixture
def machine(sample_loop: Loop, object_stores: ObjectStore, bucket: str) -> Iterator[Project]:
    """The machine that has walked the loop, whose artefacts were copied to a store since."""
    project = sample_loop.project
    project.with_environment("stored", DATA)
    globals_yml = project.folder / "conf/stored/globals.yml"
    globals_yml.write_text(f"data: {DATA}\nstore: {bucket}/prefix\n")
    data = project.folder / DATA
    shutil.copytree(sample_loop.at_first, data)
    for layer in LASTING:
        fsspec.filesystem("s3").put(
            f"{data / layer}/", f"{bucket}/prefix/{DATA}/{layer}/", recursive=True
        )
        shutil.rmtree(data / layer)
    yield replace(project, environment=project.environment | object_stores.environment)
    shutil.rmtree(data)


def test_what_one_machine_releases_to_a_store_another_serves_and_its_log_comes_back(
    machine: Project, bucket: str, tmp_path: Path
) -> None:
    # given a release that the first machine proves again, and that was kept damaged
    release = machine.must(f"kedro champion release {ENV}").strip()
    kept = place(f"{bucket}/prefix/{DATA}/06_models/bentos/{release.replace(':', '-')}.bento")
    kept.write_bytes(b"a half")
    machine.must(f"kedro run {ENV} --pipelines=release")
    assert machine.must(f"kedro champion release {ENV}").strip() == release
    assert not (machine.folder / DATA / "06_models").exists()

    # when another one, with the half of a model that a killed fetch has left, serves it
    home_there = Path(machine.environment["BENTOML_HOME"])
    [model] = models_of(release, home_there)
    half = shutil.copytree(model, model_folder(f"{model.parent.name}:{model.name}", tmp_path))
    (half / "model.yaml").unlink()
    other = replace(machine, environment=machine.environment | {"BENTOML_HOME": str(tmp_path)})
    rows = pd.read_parquet(machine.folder / DATA / "05_model_input/test.parquet").head(1)
    port = free_port()
    with other.served(f"exec kedro serve --follow --port {port} {ENV}", port) as client:
        said = client.get("/info").json()
        [answer] = predict(client, rows)
    other.must(f"kedro run {ENV} --nodes=monitoring.ingest")
    shutil.rmtree(machine.folder / DATA / "07_model_output")

    # then it is that one, and what it answered is on record for all
    assert said["following"]["release"] == release
    there, here = (bento_folder(release, home) for home in (home_there, tmp_path))
    assert bento_hash(there) == bento_hash(here)
    explained = machine.must(f"kedro champion explain {answer['prediction_id']} {ENV}")
    assert "the same to the last bit" in explained


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, "Invalid endpoint"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "credentials"),
    ],
)
def test_a_store_that_cannot_be_reached_is_said_to_be_the_reason(
    machine: Project, environment: dict[str, str], why: str
) -> None:
    alone = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "none"}
    alone["AWS_MAX_ATTEMPTS"] = "1"

    done = machine.run(f"kedro champion history {ENV}", **alone, **environment)

    assert done.returncode == 1
    assert why in done.stderr
    assert "docs/storage.md" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
