import copy
from pathlib import Path

import pytest
import yaml
from example.cluster import FRONT, KUSTOMIZATION, NEXT, NOW, SERVED, TESTED, Cluster

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.delivery.kubectl import Kubectl
from kedro_mlops.delivery.overlay import Release, build, keep


def test_the_image_is_that_of_service_and_smoke_test_and_the_cause_is_told(
    release: Release,
) -> None:
    front, served = yaml.safe_load(release.text)["items"]

    pod = served["spec"]["template"]["spec"]
    assert front == FRONT
    assert [each["image"] for each in pod["containers"]] == [NEXT, "other:1"]
    assert [each["image"] for each in pod["initContainers"]] == [NEXT]
    cause = served["metadata"]["annotations"]["kubernetes.io/change-cause"]
    assert cause == f"kedro deploy {NEXT}"


def test_what_the_steps_need_is_read_from_the_manifests(release: Release) -> None:
    found = (release.namespace, release.deployment, release.container, release.image)

    assert found == ("post", "parcels", "service", NEXT)
    assert release.selector == "app=parcels"
    assert release.address == "http://parcels:8080"


def test_without_another_image_it_is_the_one_of_the_overlay(
    cluster: Cluster, overlay: Path
) -> None:
    assert build(Kubectl(), overlay, None).image == NOW


def test_a_service_of_what_is_elsewhere_is_none_before_the_pods(
    cluster: Cluster, overlay: Path
) -> None:
    elsewhere = {"kind": "Service", "metadata": {"name": "db"}, "spec": {"type": "ExternalName"}}
    cluster.plays(kustomize=[{"says": yaml.safe_dump_all([elsewhere, FRONT, SERVED])}])

    assert build(Kubectl(), overlay, NEXT).address == "http://parcels:8080"


def test_what_kubectl_would_take_for_a_number_stays_text(cluster: Cluster, overlay: Path) -> None:
    commit = {"kind": "ConfigMap", "metadata": {"name": "of"}, "data": {"commit": "1234e56"}}
    cluster.plays(kustomize=[{"says": yaml.safe_dump_all([commit, FRONT, SERVED])}])

    assert '"commit": "1234e56"' in build(Kubectl(), overlay, NEXT).text


@pytest.mark.parametrize(
    "before", [[], [{"image": NOW, "command": ["true"]}], [{"image": "other:1", "command": TESTED}]]
)
def test_pods_that_would_have_callers_untested_are_refused(
    cluster: Cluster, overlay: Path, before: list[dict[str, object]]
) -> None:
    untested = copy.deepcopy(SERVED)
    untested["spec"]["template"]["spec"]["initContainers"] = before
    cluster.plays(kustomize=[{"says": yaml.safe_dump_all([FRONT, untested])}])

    with pytest.raises(ProjectError, match="pods would have callers untested"):
        build(Kubectl(), overlay, NEXT)


@pytest.mark.parametrize(
    ("manifests", "missing"),
    [([FRONT], "0 of what it needs one of: a Deployment"),
     ([FRONT, SERVED, SERVED], "2 of what it needs one of: a Deployment"),
     ([SERVED], "0 of what it needs one of: a Service before its pods")],
)  # fmt: skip
def test_what_is_not_one_service_is_refused(
    cluster: Cluster, overlay: Path, manifests: list[object], missing: str
) -> None:
    cluster.plays(kustomize=[{"says": yaml.safe_dump_all(manifests)}])

    with pytest.raises(ProjectError, match=missing):
        build(Kubectl(), overlay, NEXT)


def test_a_folder_that_is_no_overlay_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"has no kustomization\.yaml.*--overlay"):
        build(Kubectl(), tmp_path, NEXT)


@pytest.mark.parametrize("image", ["parcels", "host:5000/parcels", "a/b:", "a b:1", "a@1"])
def test_an_image_without_a_version_is_refused(cluster: Cluster, overlay: Path, image: str) -> None:
    with pytest.raises(ProjectError, match="no image with a version: REGISTRY/NAME:VERSION"):
        build(Kubectl(), overlay, image)


def test_what_kubectl_logs_of_its_attempts_is_left_out(cluster: Cluster, overlay: Path) -> None:
    logged = "E1128 04:37:16.876984   18661 memcache.go:265] unhandled\n"
    cluster.plays(kustomize=[{"fails": f"{logged}connection refused\n"}])

    with pytest.raises(ProjectError) as refused:
        build(Kubectl(), overlay, NEXT)

    assert str(refused.value) == f"`kubectl kustomize {overlay}` failed: connection refused"


def test_without_kubectl_it_says_what_to_do(overlay: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ProjectError, match=r"kubectl cannot be called.*Install it"):
        build(Kubectl(), overlay, NEXT)


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (NEXT, {"newName": "registry.test/parcels", "newTag": "2"}),
        ("host:5000/a/b:2013", {"newName": "host:5000/a/b", "newTag": "2013"}),
        ("host:5000/a/b@sha256:0f", {"newName": "host:5000/a/b", "digest": "sha256:0f"}),
    ],
)
def test_the_overlay_names_it_from_then_on_and_keeps_its_comments(
    overlay: Path, image: str, named: dict[str, str]
) -> None:
    assert keep(overlay, image)

    text = (overlay / "kustomization.yaml").read_text()
    assert text.startswith("# says what runs\n")
    assert yaml.safe_load(text)["images"] == [{"name": "parcels", **named}]
    assert keep(overlay, NOW)
    assert yaml.safe_load((overlay / "kustomization.yaml").read_text())["images"] == [
        {"name": "parcels", "newName": "registry.test/parcels", "newTag": "1"}
    ]


@pytest.mark.parametrize(
    "text",
    ["images: []\n", KUSTOMIZATION + "  - name: beside\n    newName: x\n    newTag: y\n",
     "images:\n  - name: parcels\n    newTag: '1'\n    newName: a\n"],
)  # fmt: skip
def test_an_overlay_that_names_images_another_way_is_left_alone(overlay: Path, text: str) -> None:
    (overlay / "kustomization.yaml").write_text(text)

    assert not keep(overlay, NEXT)
    assert (overlay / "kustomization.yaml").read_text() == text
