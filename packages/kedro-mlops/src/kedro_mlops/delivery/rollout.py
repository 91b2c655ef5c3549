"""The steps by which a cluster gets a release, and the way back where one of them fails.

That no pod has callers before it has answered its known rows is the cluster's own business, by the
manifests: it is so whatever becomes of who has called these steps.
"""

import contextlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from kedro_mlops.core.errors import ProjectError

from .kubectl import Kubectl, KubectlError
from .overlay import CHANGE_CAUSE, SMOKE_TEST, Release
from .pods import is_ready, of_image, why_not_ready

REVISION = "deployment.kubernetes.io/revision"
RETURN_SECONDS = 300
MOST_SAID = 400
INTERRUPTED = "it was interrupted"


class Standing(NamedTuple):
    """What has callers: the newest revision of which a pod is ready."""

    revision: int
    image: str


class Outcome(NamedTuple):
    """What has become of a release.

    Attributes:
        status: It serves; or the one before does, as it did; or that is not known.
        why: It does not serve.
        said: What stands, and what to do.
    """

    status: Literal["serves", "returned", "stuck"]
    why: str
    said: str

    @property
    def is_interrupted(self) -> bool:
        """Whether a person, or who started us, wanted it to end."""
        return self.why == INTERRUPTED


class Rollout:
    """Brings a release to a cluster.

    Args:
        kubectl: Knows the cluster.
        release: What it gets.
        seconds: That it has to be rolled out.
        say: Tells what is done, if there is somebody to hear it.
    """

    def __init__(
        self, kubectl: Kubectl, release: Release, seconds: int, say: Callable[[str], Any]
    ) -> None:
        self._kubectl = kubectl.within(release.namespace)
        self._release = release
        self._seconds = seconds
        self._say = say
        self._named = f"deployment/{release.deployment}"

    def run(self) -> Outcome:
        """Roll out, ask, and return to what served before if it is not right.

        Raises:
            ProjectError: if the cluster does not say what serves; nothing has been changed then.
        """
        before = self._standing()
        with _answering(signal.default_int_handler):
            try:
                self._roll_out()
                self._ask()
            except KeyboardInterrupt:
                return self._return(before, INTERRUPTED)
            except Exception as error:  # noqa: BLE001 - whatever it is, what served before is right
                return self._return(before, str(error) or type(error).__name__)
        way_back = f"; back to {before.image}: `{self._undo(before)}`" if before else ""
        return Outcome("serves", "", f"{self._release.image} serves{way_back}")

    def _roll_out(self) -> None:
        release = self._release
        self._say(f"Applying {release.image} to {release.namespace}")
        self._kubectl.ask("apply", "--filename=-", text=release.text)
        self._say("Rolling out: each pod answers its known rows before it has callers")
        try:
            self._kubectl.wait(release.deployment, self._seconds)
        except KubectlError as error:
            with contextlib.suppress(KubectlError):
                if why := why_not_ready(self._pods()):
                    raise ProjectError(why) from error
            raise

    def _ask(self) -> None:
        """Let a pod of the release ask the service before all of them."""
        release = self._release
        self._say(f"Asking {release.address}")
        ready = [pod["metadata"]["name"] for pod in self._pods() if is_ready(pod)]
        if not ready:
            raise ProjectError(f"no pod of {release.image} is ready")
        command = [*SMOKE_TEST, release.address]
        self._say(self._kubectl.run_in(ready[0], release.container, command).strip())

    def _return(self, before: Standing | None, why: str) -> Outcome:
        """Go back to what served, wait for it, and leave the reason there."""
        # to go back takes a few requests, and is not interrupted
        with _answering(signal.SIG_IGN):
            why = " ".join(why.split())[:MOST_SAID]
            if before is None:
                return self._without_way_back(why)
            stuck = self._go_back(before, why)
        return stuck or self._wait_for(before, why)

    def _go_back(self, before: Standing, why: str) -> Outcome | None:
        """Undo the release; what stands, if that cannot be done."""
        release = self._release
        self._say(f"{release.image} does not serve: {why}\nReturning to {before.image}")
        try:
            newest = self._newest()
            if newest not in (release.image, before.image):
                return Outcome("stuck", why, self._of_somebody_else(newest))
            # where nothing was applied there is nothing to undo
            if newest == release.image:
                self._kubectl.ask(
                    "rollout", "undo", self._named, f"--to-revision={before.revision}"
                )
                self._record(f"returned to {before.image}, as {release.image} did not serve: {why}")
        except Exception as error:  # noqa: BLE001 - it is told what to type
            return Outcome("stuck", why, self._what_may_stand(before, error))
        return None

    def _wait_for(self, before: Standing, why: str) -> Outcome:
        """Wait until what served before does so again."""
        try:
            self._kubectl.wait(self._release.deployment, RETURN_SECONDS)
            now = self._standing()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - it is told what to type
            return Outcome("stuck", why, self._what_may_stand(before, error))
        if now is None or now.image != before.image:
            found = now.image if now else "nothing"
            return Outcome("stuck", why, self._what_may_stand(before, f"{found} serves"))
        said = (
            f"{before.image} serves, as before; `kubectl rollout history {self._named}` has why. "
            "What else is in the overlay stays as it was applied"
        )
        return Outcome("returned", why, said)

    def _without_way_back(self, why: str) -> Outcome:
        """Nothing served before: whether the release has callers all the same."""
        image = self._release.image
        try:
            has_callers = any(map(is_ready, self._pods()))
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody knows
            return Outcome("stuck", why, f"Whether {image} has callers is not known: {error}")
        if has_callers:
            said = f"Nothing served before {image}, so it has callers; mend it, and deploy again"
            return Outcome("stuck", why, said)
        said = f"Nothing served before {image}, and no pod that fails has callers"
        return Outcome("returned", why, f"{said}; mend it, and deploy again")

    def _newest(self) -> str:
        """The image that the cluster is to run."""
        found = json.loads(self._kubectl.ask("get", self._named, "--output=json"))
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def _of_somebody_else(self, image: str) -> str:
        return (
            f"{image} HAS BEEN DEPLOYED MEANWHILE by somebody else, so nothing is undone; look: "
            f"`kubectl rollout history {self._named} --namespace={self._release.namespace}`"
        )

    def _record(self, cause: str) -> None:
        """Leave the reason in the cluster, where it lets us."""
        try:
            self._kubectl.ask("annotate", self._named, f"{CHANGE_CAUSE}={cause}", "--overwrite")
        except KubectlError as error:
            self._say(f"The reason is not recorded: {error}")

    def _what_may_stand(self, before: Standing, error: object) -> str:
        why = str(error) or INTERRUPTED
        return (
            f"THE RETURN TO {before.image} HAS NOT BEEN SEEN TO END: {why}\nOnly pods that have "
            "answered their known rows have callers, of either release. Return to it by "
            f"`{self._undo(before)}`, and look: "
            f"`kubectl get pods --namespace={self._release.namespace}`"
        )

    def _undo(self, before: Standing) -> str:
        return (
            f"kubectl rollout undo {self._named} --to-revision={before.revision} "
            f"--namespace={self._release.namespace}"
        )

    def _standing(self) -> Standing | None:
        found = [
            Standing(
                int(one["metadata"]["annotations"][REVISION]),
                one["spec"]["template"]["spec"]["containers"][0]["image"],
            )
            for one in self._kubectl.list("replicasets", self._release.selector)
            if one["status"].get("readyReplicas") and self._is_ours(one)
        ]
        return max(found, default=None)

    def _is_ours(self, replicas: dict[str, Any]) -> bool:
        owners = replicas["metadata"].get("ownerReferences", [])
        return any(owner["name"] == self._release.deployment for owner in owners)

    def _pods(self) -> list[dict[str, Any]]:
        return of_image(self._kubectl.list("pods", self._release.selector), self._release.image)


@contextlib.contextmanager
def _answering(handler: Any) -> Iterator[None]:
    """Ctrl-C, a terminal that is gone, and a request to end are answered the same way."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted
        return
    known = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    # who was started to ignore one, as by nohup, goes on
    numbers = [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, answer in zip(numbers, before, strict=True):
            signal.signal(number, answer)
