"""The wall between the owner's package, about the data, and the engine, about running models."""

import subprocess
import sys
from pathlib import Path

import pytest
import uv
import yaml

OWNER = "flight_delays"
MOST_LINES_OF_THE_OWNER = 1_100


def test_the_owner_has_little_to_own(pytestconfig):
    files = (pytestconfig.rootpath / "src" / OWNER).rglob("*.py")

    assert sum(len(path.read_text().splitlines()) for path in files) <= MOST_LINES_OF_THE_OWNER


def test_imports_point_one_way(pytestconfig):
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]

    done = subprocess.run(
        command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(pytestconfig, tmp_path_factory):
    """The engine as it is packed for the Bento."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [uv.find_uv_bin(), "build", "--quiet", "--wheel", "--package=kedro-mlops"]
    subprocess.run(
        [*command, f"--out-dir={folder}"], cwd=pytestconfig.rootpath, check=True, timeout=60
    )
    [wheel] = folder.glob("*.whl")
    return wheel


def test_the_bento_takes_the_engine_that_is_packed(pytestconfig, wheel):
    build = yaml.safe_load((pytestconfig.rootpath / "bentofile.yaml").read_text())

    assert build["python"]["wheels"] == [f"build/wheels/{wheel.name}"]
