"""A cluster that a release is brought to, by a kubectl that plays it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from example.cluster import (
    FRONT,
    KUSTOMIZATION,
    NEXT,
    NOW,
    SERVED,
    STUB,
    Cluster,
    listed,
    pod,
    replicas,
    running,
)

from kedro_mlops.delivery.kubectl import Kubectl
from kedro_mlops.delivery.overlay import Release, build
from kedro_mlops.delivery.rollout import Outcome, Rollout


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    folder = tmp_path / "overlay"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(KUSTOMIZATION)
    return folder


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kubectl").write_text(STUB)
    (folder / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    found = Cluster(folder)
    before, after = replicas(NOW, 3, ready=2), replicas(NEXT, 4, ready=0)
    ended = pod("old-1", NOW, ready=True)
    found.plays(
        kustomize=[{"says": yaml.safe_dump_all([FRONT, SERVED])}],
        get_replicasets=[listed(before, after, replicas("other", 9, 1, owner="else"))],
        get_pods=[listed(ended, pod("new-1", NEXT, ready=True))],
        **{"get deployment/parcels": [running(NEXT)]},
        exec=[{"says": "Smoke test passed: it answers.\n"}],
    )
    return found


@pytest.fixture
def release(cluster: Cluster, overlay: Path) -> Release:
    return build(Kubectl("far"), overlay, NEXT)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def deployed(release: Release, said: list[str]) -> Callable[[], Outcome]:
    """Brings ``NEXT`` to the cluster."""
    return lambda: Rollout(Kubectl("far"), release, 60, said.append).run()
