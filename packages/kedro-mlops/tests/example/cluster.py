"""A kubectl that notes what it is asked, and plays what it is told to."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STUB = f"""#!{sys.executable} -SI
import json, os, signal, sys, time
folder = os.path.dirname(sys.argv[0])
options = ("--context", "--namespace", "--request-timeout", "--output", "--selector")
typed = [word for word in sys.argv[1:] if not word.startswith(options)]
asked = " ".join(word for word in typed[:2] if not word.startswith("-"))
asked = asked if asked.startswith(("get", "rollout")) else typed[0]
with open(folder + "/asked", "a") as file:
    file.write(json.dumps([asked, sys.argv[1:], sys.stdin.read()]) + "\\n")
with open(folder + "/asked") as file:
    n_before = sum(json.loads(line)[0] == asked for line in file) - 1
with open(folder + "/played") as file:
    played = json.load(file).get(asked, [{{}}])
play = played[min(n_before, len(played) - 1)]
if "interrupt" in play:
    os.kill(os.getppid(), play["interrupt"])
    if "then" not in play:
        time.sleep(60)
sys.stdout.write(play.get("says", ""))
sys.stderr.write(play.get("fails", ""))
sys.exit("fails" in play)
"""
NOW, NEXT = "registry.test/parcels:1", "registry.test/parcels:2"
PODS = {"app": "parcels"}
TESTED = ["python", "-m", "kedro_mlops.serving.smoke_test"]
SERVED = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "parcels", "namespace": "post"},
    "spec": {
        "selector": {"matchLabels": PODS},
        "template": {
            "metadata": {"labels": PODS},
            "spec": {
                "initContainers": [{"name": "smoke-test", "image": NOW, "command": TESTED}],
                "containers": [
                    {"name": "service", "image": NOW},
                    {"name": "beside", "image": "other:1"},
                ],
            },
        },
    },
}
FRONT = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "parcels", "namespace": "post"},
    "spec": {"selector": PODS, "ports": [{"port": 8080, "targetPort": "http"}]},
}
KUSTOMIZATION = """# says what runs
images:
  - name: parcels
    newName: registry.test/parcels
    newTag: "1"
"""


def replicas(image: str, revision: int, ready: int, owner: str = "parcels") -> dict[str, Any]:
    return {
        "metadata": {
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": [{"name": owner}],
        },
        "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        "status": {"readyReplicas": ready} if ready else {},
    }


def pod(name: str, image: str, ready: bool, **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"image": image}]},
        "status": {"conditions": conditions, **status},
    }


def listed(*items: dict[str, Any]) -> dict[str, str]:
    return {"says": json.dumps({"items": items})}


def running(image: str) -> dict[str, str]:
    """A Deployment that is to run an image."""
    template = {"spec": {"containers": [{"image": image}]}}
    return {"says": json.dumps({"spec": {"template": template}})}


@dataclass
class Cluster:
    """One of which the newest ready revision is the third, of ``NOW``, and which takes ``NEXT``."""

    folder: Path
    played: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def plays(self, **plays: list[dict[str, Any]]) -> None:
        """What calls come to: one after the other, the last again and again."""
        self.played |= {verb.replace("_", " "): found for verb, found in plays.items()}
        (self.folder / "played").write_text(json.dumps(self.played))

    @property
    def calls(self) -> list[list[Any]]:
        """Verb, words and what was read, of each call."""
        lines = (self.folder / "asked").read_text().splitlines()
        return [json.loads(line) for line in lines]

    @property
    def asked(self) -> list[str]:
        return [verb for verb, *_ in self.calls]

    def words_of(self, verb: str) -> str:
        """What was typed, of the last call of a kind."""
        return [" ".join(words) for asked, words, _ in self.calls if asked == verb][-1]
