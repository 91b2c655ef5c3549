"""What the pods of a release say of themselves."""

from collections.abc import Iterable, Iterator
from typing import Any

Pod = dict[str, Any]
# what programs of ours say last, among what else they log
LAST_WORDS = ("Error: ", "Smoke test failed: ")
BEGINNING = ("PodInitializing", "ContainerCreating")
MOST_SAID = 300


def of_image(pods: Iterable[Pod], image: str) -> list[Pod]:
    """The pods of an image that are not about to end."""
    return [
        pod
        for pod in pods
        if pod["spec"]["containers"][0]["image"] == image
        and "deletionTimestamp" not in pod["metadata"]
    ]


def is_ready(pod: Pod) -> bool:
    """Whether it has callers."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions", [])
    )


def why_not_ready(pods: Iterable[Pod]) -> str:
    """What keeps pods from being ready, of the first that says so; empty if none does."""
    unready = (pod for pod in pods if not is_ready(pod))
    return next((why for pod in unready for why in _reasons(pod)), "")


def _reasons(pod: Pod) -> Iterator[str]:
    status = pod["status"]
    for each in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        name, state = each["name"], each.get("state", {})
        ended = state.get("terminated") or each.get("lastState", {}).get("terminated")
        waiting = state.get("waiting", {})
        if ended and ended.get("exitCode"):
            yield f"{name}: {_last_words(ended.get('message') or ended.get('reason', ''))}"
        elif waiting and waiting.get("reason") not in BEGINNING:
            yield f"{name}: {waiting.get('reason')}: {waiting.get('message', '')}"
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"no place for a pod: {condition.get('message', '')}"


def _last_words(said: str) -> str:
    lines = said.strip().splitlines()
    ours = [line for line in lines if line.startswith(LAST_WORDS)]
    return " ".join(ours or lines[-1:])[-MOST_SAID:]
