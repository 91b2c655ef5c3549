"""What a pod of the pipelines is like, whoever starts it: as those of the service, where it can."""

from pathlib import PurePosixPath
from typing import Any

from kedro_mlops.core.errors import ProjectError

from .plan import Plan

# of the image: where the project is, who runs there, and what runs write there besides artefacts:
# what a release packs, and what is told of errors
HOME, UID, WRITTEN = PurePosixPath("/app"), 1034, ("build", "logs")


def image_of(plan: Plan) -> str:
    """The image.

    Raises:
        ProjectError: if none was named.
    """
    if plan.image is None:
        raise ProjectError("Pods run an image that has the project in /app: name it by `--image`.")
    return plan.image


def labels(plan: Plan) -> dict[str, str]:
    """By which the pods are known."""
    return {"app.kubernetes.io/name": f"{plan.name}-pipelines"}


def metadata(plan: Plan, name: str) -> dict[str, Any]:
    """Of a resource."""
    return {"name": name, "labels": labels(plan)}


def container(plan: Plan, command: tuple[str, ...]) -> dict[str, Any]:
    """The container that runs a command in the project's folder."""
    data = HOME / plan.data
    return {
        "image": image_of(plan),
        "imagePullPolicy": "IfNotPresent",
        "workingDir": str(HOME),
        "command": list(command),
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - a volume of its own
            {"name": "BENTOML_HOME", "value": f"{data}/bentoml"},
            {"name": "OMP_NUM_THREADS", "value": "1"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {
            "requests": {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "1Gi"},
            "limits": {"memory": "4Gi", "ephemeral-storage": "4Gi"},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            *({"name": name, "mountPath": str(HOME / name)} for name in WRITTEN),
            {"name": "data", "mountPath": str(data)},
            {"name": "prediction-log", "mountPath": str(HOME / plan.prediction_log)},
            {"name": "own", "mountPath": str(HOME / plan.own), "readOnly": True},
        ],
    }


def volumes(plan: Plan) -> list[dict[str, Any]]:
    """What such a container mounts."""
    own = {"secretName": f"{plan.name}-pipelines", "optional": True, "defaultMode": 0o440}
    return [
        {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},
        *({"name": name, "emptyDir": {"sizeLimit": "256Mi"}} for name in WRITTEN),
        {"name": "data", "persistentVolumeClaim": {"claimName": f"{plan.name}-data"}},
        {"name": "prediction-log", "persistentVolumeClaim": {"claimName": "prediction-log"}},
        {"name": "own", "secret": own},
    ]


def security() -> dict[str, Any]:
    """What a pod may not."""
    return {
        "runAsNonRoot": True,
        "runAsUser": UID,
        "runAsGroup": UID,
        "fsGroup": UID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def claim(plan: Plan) -> dict[str, Any]:
    """The disk of all that runs make, for every pod; its storage class has to know locks."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(plan, f"{plan.name}-data"),
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "20Gi"}},
        },
    }


def network(plan: Plan, *more_ports: int) -> dict[str, Any]:
    """Nothing comes in; out go names, the store, HTTPS, and what else is needed."""
    namespace = "kubernetes.io/metadata.name"
    dns = {
        "namespaceSelector": {"matchLabels": {namespace: "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    store = {"namespaceSelector": {"matchLabels": {namespace: "postgresql"}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(plan, f"{plan.name}-pipelines"),
        "spec": {
            "podSelector": {"matchLabels": labels(plan)},
            "policyTypes": ["Ingress", "Egress"],
            "egress": [
                {
                    "to": [dns],
                    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
                },
                {"to": [store], "ports": [{"protocol": "TCP", "port": 5432}]},
                {"ports": [{"protocol": "TCP", "port": port} for port in (443, *more_ports)]},
            ],
        },
    }
