"""The manifests: valid one by one, fitting each other, and built where kubectl is at hand."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from kedro_mlops.delivery.kubectl import Kubectl
from kedro_mlops.delivery.overlay import build, keep
from kedro_mlops.serving.settings import Settings
from tests.deploy.conftest import git_ignores
from tests.deploy.metrics import DEPLOY

BASE = DEPLOY / "kubernetes/base"
PRODUCTION = DEPLOY / "kubernetes/overlays/production"
if not BASE.is_dir():
    pytest.skip("this project is not deployed to a cluster", allow_module_level=True)
KUBERNETES = "1.34"
NEXT = "registry.example.org/flight-delays:20130801"
EXAMPLES = {name: f"{name}.example" for name in ("secrets.env", "api_keys")}

Manifest = dict[str, Any]


def manifests(file: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(file.read_text()))


def kustomization(folder: Path) -> Manifest:
    [found] = manifests(folder / "kustomization.yaml")
    return found


def resources(folder: Path) -> list[Path]:
    return [folder / name for name in kustomization(folder)["resources"]]


WRITTEN = [
    manifest
    for folder in (BASE, PRODUCTION)
    for file in resources(folder)
    if file.is_file()
    for manifest in manifests(file)
]


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


@pytest.fixture(scope="module")
def by_kind() -> dict[str, Manifest]:
    return {manifest["kind"]: manifest for manifest in WRITTEN}


@pytest.fixture(scope="module")
def pod(by_kind: dict[str, Manifest]) -> Manifest:
    return by_kind["Deployment"]["spec"]["template"]


@pytest.fixture(scope="module")
def container(pod: Manifest) -> Manifest:
    [container] = pod["spec"]["containers"]
    return container


@pytest.fixture(scope="module")
def smoke_test(pod: Manifest) -> Manifest:
    [container] = pod["spec"]["initContainers"]
    return container


@pytest.mark.parametrize("manifest", WRITTEN, ids=named)
def test_a_manifest_is_what_kubernetes_knows(manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_a_kustomization_names_every_file_beside_it_and_each_is_there() -> None:
    for folder in (BASE, PRODUCTION):
        listed = set(resources(folder))

        assert all(path.exists() for path in listed)
        beside = set(folder.glob("*.yaml")) - {folder / "kustomization.yaml"}
        assert beside == {path for path in listed if path.is_file()}
    assert PRODUCTION / "../../base" in set(resources(PRODUCTION))


def test_every_patch_hits_something_that_is_there() -> None:
    written = {named(manifest): manifest for manifest in WRITTEN}

    for patch in kustomization(PRODUCTION)["patches"]:
        target = written[f"{patch['target']['kind']}/{patch['target']['name']}"]
        for change in yaml.safe_load(patch["patch"]):
            *parents, name = change["path"].strip("/").split("/")
            for parent in parents:
                target = target[parent]
            assert change["op"] == "add" or name in target, change
            target = written[f"{patch['target']['kind']}/{patch['target']['name']}"]


def test_the_secret_is_made_of_files_that_git_ignores_and_has_what_the_pod_asks_for(
    pod: Manifest, container: Manifest
) -> None:
    [secret] = kustomization(PRODUCTION)["secretGenerator"]
    examples = {name: (PRODUCTION / example).read_text() for name, example in EXAMPLES.items()}

    held = {line.split("=")[0] for line in examples["secrets.env"].splitlines()}
    held |= set(secret["files"])
    [keys] = [volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume]
    references = [e["valueFrom"]["secretKeyRef"] for e in container["env"] if "valueFrom" in e]

    assert [*secret["envs"], *secret["files"]] == list(EXAMPLES)
    assert git_ignores([PRODUCTION / name for name in EXAMPLES])
    assert {keys["secretName"], *(r["name"] for r in references)} == {secret["name"]}
    assert {item["key"] for item in keys["items"]} | {r["key"] for r in references} == held


def test_all_mean_the_same_pods(by_kind: dict[str, Manifest], pod: Manifest) -> None:
    labels = pod["metadata"]["labels"]
    scaled = by_kind["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    spread = pod["spec"]["topologySpreadConstraints"]

    assert by_kind["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert by_kind["Service"]["spec"]["selector"] == labels
    assert all(constraint["labelSelector"]["matchLabels"] == labels for constraint in spread)
    assert f"{scaled['kind']}/{scaled['name']}" == named(by_kind["Deployment"])
    assert pod["spec"]["serviceAccountName"] == by_kind["ServiceAccount"]["metadata"]["name"]


def test_the_pod_may_do_what_it_has_to_and_no_more(
    pod: Manifest, container: Manifest, smoke_test: Manifest
) -> None:
    of_pod, of_container = pod["spec"]["securityContext"], container["securityContext"]

    assert of_pod["runAsNonRoot"]
    assert (of_pod["runAsUser"], of_pod["runAsGroup"]) == (1034, 1034)
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container["readOnlyRootFilesystem"]
    assert of_container["allowPrivilegeEscalation"] is False
    assert of_container["capabilities"] == {"drop": ["ALL"]}
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert smoke_test["securityContext"] == of_container


def test_a_pod_asks_its_release_as_it_will_serve_and_logs_that_apart(
    container: Manifest, smoke_test: Manifest
) -> None:
    served, asked = ({e["name"]: e for e in each["env"]} for each in (container, smoke_test))

    _, module_option, module = smoke_test["command"]
    assert module_option == "-m"
    assert importlib.util.find_spec(module) is not None
    assert smoke_test["image"] == container["image"]
    assert smoke_test["resources"] == container["resources"]
    # what it leaves is not taken for what the service left
    assert asked.pop("BENTOML_HOME") != served["BENTOML_HOME"]
    assert all(served[name] == variable for name, variable in asked.items())
    assert served.keys() - asked.keys() == {"BENTOML_HOME", "LOG_FORMAT", "PREDICTION_LOG_DIR"}
    mounts = [m for m in container["volumeMounts"] if m["name"] != "prediction-log"]
    assert smoke_test["volumeMounts"] == mounts
    assert smoke_test["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_every_place_the_service_writes_to_is_mounted(pod: Manifest, container: Manifest) -> None:
    environment = {e["name"]: e.get("value") for e in container["env"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}

    assert {mount["name"] for mount in mounts.values()} == volumes.keys()
    assert Path(environment["BENTOML_HOME"]).parent.as_posix() in mounts
    assert environment["PREDICTION_LOG_DIR"] in mounts
    assert mounts[Path(environment["API_KEYS_FILE"]).parent.as_posix()]["readOnly"]


def test_the_service_knows_every_variable_it_is_given(container: Manifest) -> None:
    known = {name.upper() for name in Settings.__struct_fields__}

    # BentoML's and NumPy's
    assert {e["name"] for e in container["env"]} - known == {"BENTOML_HOME", "OMP_NUM_THREADS"}


def test_a_rolling_update_loses_no_request(by_kind: dict[str, Manifest], pod: Manifest) -> None:
    [container] = pod["spec"]["containers"]
    _, wait = container["lifecycle"]["preStop"]["exec"]["command"]

    assert by_kind["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    # until it is out of every list of endpoints, and then for the longest request
    assert int(wait) >= 2 * container["readinessProbe"]["periodSeconds"]
    assert pod["spec"]["terminationGracePeriodSeconds"] >= int(wait) + 30
    assert by_kind["HorizontalPodAutoscaler"]["spec"]["minReplicas"] >= 2
    assert "replicas" not in by_kind["Deployment"]["spec"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/livez",
        "readiness": "/readyz",
    }


def test_nothing_comes_in_or_goes_out_that_is_not_named() -> None:
    deny, allow = [m["spec"] for m in WRITTEN if m["kind"] == "NetworkPolicy"]
    themselves = {"podSelector": allow["podSelector"]}

    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert [port["port"] for rule in allow["ingress"] for port in rule["ports"]] == [3000]
    assert {port["port"] for rule in allow["egress"] for port in rule["ports"]} == {
        53,
        3000,
        5432,
    }
    # a new pod asks the service before all of them
    assert themselves in allow["ingress"][0]["from"]
    assert {"to": [themselves], "ports": allow["ingress"][0]["ports"]} in allow["egress"]
    assert all(rule["from"] for rule in allow["ingress"])
    assert all(rule["to"] for rule in allow["egress"])


def test_production_is_built_by_kustomize(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None or "v1.20" in _said(["kubectl", "version", "--client"]):
        # Debian's is of 2020 and does not know this form; the tests above look at every piece
        pytest.skip("kubectl 1.21 or newer is not installed")
    shutil.copytree(BASE.parent, tmp_path / "kubernetes")
    folder = tmp_path / "kubernetes/overlays/production"
    for name, example in EXAMPLES.items():
        shutil.copy(folder / example, folder / name)

    built = list(yaml.safe_load_all(_said(["kubectl", "kustomize", str(folder)])))

    for manifest in built:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    kinds = {manifest["kind"]: manifest for manifest in built}
    written = {manifest["kind"] for manifest in WRITTEN}
    assert kinds.keys() == written | {"Secret"}
    assert {m["metadata"].get("namespace") for m in built if m["kind"] != "Namespace"} == {
        "flight-delays"
    }
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    [service], [smoke_test] = pod["containers"], pod["initContainers"]
    assert service["image"].startswith("registry.example.org/flight-delays:")
    assert smoke_test["image"] == service["image"]
    [url] = [e for e in service["env"] if e["name"] == "FEATURE_STORE_URL"]
    assert url["valueFrom"]["secretKeyRef"]["name"] == kinds["Secret"]["metadata"]["name"]
    assert kinds["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == 3
    release = build(Kubectl(), folder, NEXT)
    assert release.text.count(f'"image": "{NEXT}"') == 2
    assert release.namespace == "flight-delays"
    assert release.address == "http://flight-delays"
    assert keep(folder, NEXT)
    assert build(Kubectl(), folder, None).image == NEXT


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
