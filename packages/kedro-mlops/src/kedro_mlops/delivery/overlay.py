"""What is applied to a cluster: the manifests of an overlay, with the image of a release."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.files import new_file

from .kubectl import Kubectl

CHANGE_CAUSE = "kubernetes.io/change-cause"
FILE = "kustomization.yaml"
HTTP = 80
# what a pod does before it can have callers
SMOKE_TEST = ("python", "-m", "kedro_mlops.serving.smoke_test")
IMAGE = re.compile(
    r"(?P<name>([\w.-]+(:\d+)?/)?[\w./-]+)(:(?P<tag>[\w.-]+)|@(?P<digest>sha256:[0-9a-f]+))"
)
# what stands for an image in a kustomization, as `kustomize edit set image` writes it
REPLACED = re.compile(r"(?m)^( *)newName: .*\n(?: *(?:newTag|digest): .*\n)?")


@dataclass(frozen=True)
class Release:
    """Manifests in which one Deployment serves a release.

    Attributes:
        text: All of them.
        namespace: Where they go.
        deployment: What the Deployment is called.
        image: That it runs.
        container: Its first one, which serves.
        selector: The labels of its pods.
        address: Of the Service before them, inside the cluster.
    """

    text: str
    namespace: str
    deployment: str
    image: str
    container: str
    selector: str
    address: str


def build(kubectl: Kubectl, overlay: Path, image: str | None) -> Release:
    """The manifests of an overlay, with another image than its own if one is given.

    Raises:
        ProjectError: if there is no such overlay, or not one Deployment with a Service in it, or
            the image has no version.
    """
    if image:
        _parts(image)
    if not (overlay / FILE).exists():
        raise ProjectError(f"{overlay} has no {FILE}: name the folder of an overlay by --overlay.")
    manifests = [one for one in yaml.safe_load_all(kubectl.build(str(overlay))) if one]
    deployment = _the_one(_of_kind(manifests, "Deployment"), "Deployment", overlay)
    metadata, spec = deployment["metadata"], deployment["spec"]
    pod, labels = spec["template"]["spec"], spec["template"]["metadata"]["labels"]
    fronts = (
        service
        for service in _of_kind(manifests, "Service")
        if len(chosen := service["spec"].get("selector", {})) > 0
        and chosen.items() <= labels.items()
    )
    service = _the_one(fronts, "Service before its pods", overlay)
    [container, *_] = pod["containers"]
    own = container["image"]
    _refuse_untested(pod, own, overlay)
    image = image or own
    for each in [*pod.get("initContainers", []), *pod["containers"]]:
        if each["image"] == own:
            each["image"] = image
    metadata.setdefault("annotations", {})[CHANGE_CAUSE] = f"kedro deploy {image}"
    selector = spec["selector"]["matchLabels"]
    port = service["spec"]["ports"][0]["port"]
    return Release(
        # of YAML, kubectl takes some texts for numbers that are none here
        text=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}, default=str),
        namespace=metadata.get("namespace", "default"),
        deployment=metadata["name"],
        image=image,
        container=container["name"],
        selector=",".join(f"{name}={value}" for name, value in selector.items()),
        address=f"http://{service['metadata']['name']}{'' if port == HTTP else f':{port}'}",
    )


def _refuse_untested(pod: dict[str, Any], image: str, overlay: Path) -> None:
    """Make sure that no pod has callers before it has answered."""
    before = pod.get("initContainers", [])
    if not any(one["image"] == image and one.get("command") == [*SMOKE_TEST] for one in before):
        raise ProjectError(
            f"In {overlay} no init container runs `{' '.join(SMOKE_TEST)}` by the image of the "
            "service, so that pods would have callers untested. deploy/kubernetes/base has one "
            "in projects that are made now."
        )


def keep(overlay: Path, image: str) -> bool:
    """Let an overlay name an image from now on: what is applied next is not to be the one before.

    Returns:
        Whether it does; it does not if it names several, or none.
    """
    file, told = overlay / FILE, _parts(image)
    text = REPLACED.sub(
        lambda found: "".join(f'{found[1]}{key}: "{value}"\n' for key, value in told.items()),
        file.read_text(),
    )
    images = yaml.safe_load(text).get("images", [])
    is_named = [{k: v for k, v in each.items() if k != "name"} for each in images] == [told]
    # of a key that comes twice, YAML here takes the last, and kustomize none
    is_named = is_named and text.count("newTag:") + text.count("digest:") == 1
    if is_named:
        with new_file(file) as written:
            written.write(text.encode())
    return is_named


def _parts(image: str) -> dict[str, str]:
    """Name and version of an image, as a kustomization calls them."""
    found = IMAGE.fullmatch(image)
    if found is None:
        raise ProjectError(
            f"{image!r} is no image with a version: REGISTRY/NAME:VERSION or REGISTRY/NAME@DIGEST."
        )
    named = {"newName": found["name"], "newTag": found["tag"], "digest": found["digest"]}
    return {key: value for key, value in named.items() if value}


def _of_kind(manifests: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    return (manifest for manifest in manifests if manifest["kind"] == kind)


def _the_one(found: Iterator[dict[str, Any]], what: str, overlay: Path) -> dict[str, Any]:
    named = list(found)
    if len(named) != 1:
        raise ProjectError(f"{overlay} has {len(named)} of what it needs one of: a {what}.")
    return named[0]
