"""Images, built by root without an engine, as continuous integration does."""

import json
import os
import shutil
import sys

import pytest

from driving.project import Project

UID = 1034
BASE = "docker.io/library/python:3.11-slim"
RUN = ".ci/run-image"
# the errno of what nobody can write
READ_ONLY = 30
IN_CI = os.environ.get("CI") == "true"
TAKES_MINUTES = [
    pytest.mark.skipif(
        not IN_CI and not os.environ.get("IMAGE_TEST"), reason="it takes minutes: set IMAGE_TEST=1"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="without an engine, only root builds an image"),
]


def build(project: Project, image: str, arguments: str) -> None:
    """Make an image, by ``make image``, on a stand-in for the base that a registry has."""
    for tool in ("buildah", "mmdebstrap"):
        assert shutil.which(tool), f"{tool} is not installed: apt-get install {tool}"
    project.must(".ci/base-image", timeout=600)
    project.must(
        f"make image BACKEND=buildah IMAGE={image} ARGS='{arguments}'",
        timeout=900,
        BUILDAH_ISOLATION="chroot",
    )


def megabytes(project: Project, image: str) -> float:
    """The size of an image, as buildah counts."""
    [built] = json.loads(project.must(f"buildah images --json {image}"))
    number, unit = built["size"].split()
    return float(number) * {"MB": 1, "GB": 1000}[unit]


def tell(capsys: pytest.CaptureFixture[str], figure: str) -> None:
    """Let whoever looks at the tests see a figure, also if they pass."""
    with capsys.disabled():
        sys.stdout.write(f"\n{figure}\n")
