"""The image of the pipelines, built as the service's is, and a tick of a schedule in it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv
from driving.image import BASE, READ_ONLY, RUN, TAKES_MINUTES, UID, build, megabytes, tell
from driving.project import Loop, Project

from kedro_mlops.orchestration.pods import WRITTEN

IMAGE = "localhost/flight-delays-pipelines:test"
DAY = "2013-03-08"
# Python's packages, and a compiler
ADDED_MEGABYTES = 1300
# what a person has beside the project, and an image of it may not have
SECRETS = (
    "conf/local/credentials.yml",
    "conf/production/own/credentials.yml",
    "deploy/secrets/api_keys",
    ".env",
    "data/01_raw/people.csv",
)
CACHE = "/root/.cache/uv"
LOOK = """
import os, pathlib
from kedro_mlops.framework.resolvers import git_commit
app = pathlib.Path("/app")
print(os.getuid(), git_commit())
print(*sorted(path.name for path in app.iterdir()))
made = ("build", "conf/local", "data", "logs")
print(*(path for name in made for path in (app / name).iterdir()), *app.glob("conf/*/own"))
print(*(path for path in app.rglob(".git*") if ".venv" not in path.parts))
for folder in ("", "src", "conf", "packages/kedro-mlops/src", ".venv/bin"):
    try:
        (app / folder / "probe").write_text("")
        print("wrote", folder)
    except OSError as error:
        print(type(error).__name__, error.errno)
"""

pytestmark = TAKES_MINUTES


@pytest.fixture(scope="module")
def image(sample_loop: Loop) -> Iterator[str]:
    """The image, by ``make image``, of the packages that uv has already."""
    project = sample_loop.project
    for name in SECRETS:
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text("secret: yes\n")
    cache = subprocess.run(
        [uv.find_uv_bin(), "cache", "dir"], capture_output=True, text=True, check=True
    ).stdout.strip()
    had = f"--volume {cache}:{CACHE} --build-arg UV_NO_CACHE=false"
    try:
        build(project, IMAGE, f"--pipelines {had}")
    finally:
        for name in SECRETS:
            (project.folder / name).unlink()
    yield IMAGE
    project.must(f"buildah rmi {IMAGE}")


@pytest.fixture
def ran(image: str, sample_loop: Loop, tmp_path: Path) -> Iterator[Path]:
    """Artefacts that belong to the image's user, as the sample loop has left them at first."""
    data = tmp_path / "data"
    shutil.copytree(sample_loop.at_first, data)
    for path in (data, *data.rglob("*"), *_scratch(tmp_path)):
        os.chown(path, UID, UID)
    return data


def _scratch(folder: Path) -> Iterator[Path]:
    for name in WRITTEN:
        (folder / name).mkdir()
        yield folder / name


def test_the_image_has_the_code_its_commit_and_nothing_of_a_person(
    image: str, sample_loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    project = sample_loop.project
    (project.folder / "look.py").write_text(LOOK)

    said = project.must(f'{RUN} {image} -- python -c "$(cat look.py)"')

    (project.folder / "look.py").unlink()
    who, there, made, history, *writes = said.split("\n")[:-1]
    uid, commit = who.split()
    size, base = (megabytes(project, name) for name in (image, BASE))
    tell(capsys, f"{image} has {size:.0f} MB, of which its base has {base:.0f} MB")
    assert size - base < ADDED_MEGABYTES
    assert uid == str(UID)
    assert commit.startswith(project.must("git rev-parse HEAD").strip())
    assert set(there.split()) == {
        *(".telemetry", ".venv", "bentofile.yaml", "conf", "data", "deploy", "packages", "src"),
        *("pyproject.toml", "uv.lock", *WRITTEN),
    }
    assert made == history == ""
    assert writes == [f"OSError {READ_ONLY}"] * 5
    assert _labels(project)["org.opencontainers.image.revision"] == commit


def _labels(project: Project) -> dict[str, str]:
    told = json.loads(project.must(f"buildah inspect --type image {IMAGE}"))
    labels: dict[str, str] = told["OCIv1"]["config"]["Labels"]
    return labels


def test_a_tick_looks_and_releases_where_nothing_but_artefacts_can_be_written(
    image: str, sample_loop: Loop, ran: Path
) -> None:
    written = {ran: "/app/data/sample", **{ran.parent / name: f"/app/{name}" for name in WRITTEN}}
    volumes = " ".join(f"--volume {folder}:{inside}" for folder, inside in written.items())
    tick = f"kedro retrain --env sample --until {DAY} --wait"

    said = sample_loop.project.must(
        f"{RUN} {image} {volumes} BENTOML_HOME=/app/data/sample/bentoml -- "
        f"bash -c '{tick} && kedro run --env sample --pipelines=release'"
    )

    decision = json.loads((ran / "08_reporting/retrain_decision.json").read_text())
    release = json.loads((ran / "06_models/release.json").read_text())
    assert decision["decided_at"] == f"{DAY}T00:00:00"
    assert "Retrain?   wait: " in said
    assert release["bento"] in said
    assert release["engine"] == "compiled trees"
    assert (ran / "bentoml/bentos" / release["bento"].replace(":", "/")).is_dir()
    assert {path.stat().st_uid for path in ran.rglob("*")} == {UID}
