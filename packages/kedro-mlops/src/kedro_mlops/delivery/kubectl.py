"""kubectl, called as a person would."""

import json
import re
import subprocess
from collections.abc import Sequence
from typing import Any

from kedro_mlops.core.errors import ProjectError

REQUEST_SECONDS = 30
# of a command in a container, and beyond what kubectl says that it waits
COMMAND_SECONDS, GRACE_SECONDS = 180, 60
MOST_SAID = 1500
LOGGED = re.compile(r"[IWE]\d{4} \d\d:")


class KubectlError(ProjectError):
    """What kubectl was asked for has failed."""


class Kubectl:
    """Calls kubectl; who presses Ctrl-C means us, and not what we have called.

    Args:
        context: Of its configuration; the current one if none.
        namespace: What calls are about.
    """

    def __init__(self, context: str | None = None, namespace: str | None = None) -> None:
        self._context = context
        self._namespace = namespace

    def within(self, namespace: str) -> "Kubectl":
        """The same, about a namespace."""
        return Kubectl(self._context, namespace)

    def build(self, folder: str) -> str:
        """The manifests of an overlay."""
        return self._call(["kustomize", folder])

    def ask(self, *arguments: str, text: str = "") -> str:
        """Do something that takes a request or a few; what it says.

        Args:
            arguments: As typed.
            text: What it reads.

        Raises:
            KubectlError: if it fails, or the cluster does not answer in time.
        """
        return self._call([*arguments, f"--request-timeout={REQUEST_SECONDS}s"], text)

    def list(self, kind: str, selector: str) -> list[dict[str, Any]]:
        """All objects of a kind with some labels."""
        found = json.loads(self.ask("get", kind, f"--selector={selector}", "--output=json"))
        items: list[dict[str, Any]] = found["items"]
        return items

    def wait(self, deployment: str, seconds: int) -> None:
        """Wait until a rollout has ended; what is said meanwhile is shown.

        Raises:
            KubectlError: if it has failed, or not ended in time.
        """
        status = ["rollout", "status", f"deployment/{deployment}", f"--timeout={seconds}s"]
        self._call(status, seconds=seconds + GRACE_SECONDS, shown=True)

    def run_in(self, pod: str, container: str, command: Sequence[str]) -> str:
        """Run a command in a container; what it says."""
        return self._call(["exec", pod, f"--container={container}", "--", *command])

    def _call(
        self,
        arguments: Sequence[str],
        text: str = "",
        seconds: float = COMMAND_SECONDS,
        shown: bool = False,
    ) -> str:
        about = {"--context": self._context, "--namespace": self._namespace}
        options = [f"{option}={value}" for option, value in about.items() if value]
        pipe = subprocess.PIPE
        try:
            process = subprocess.Popen(  # noqa: S603
                ["kubectl", *options, *arguments],  # noqa: S607
                stdin=pipe,
                stdout=None if shown else pipe,
                stderr=pipe,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            raise ProjectError(
                f"kubectl cannot be called: {error.strerror}. Install it, and let it know the "
                "cluster: `kubectl get nodes`."
            ) from error
        typed = f"`kubectl {' '.join(arguments[:2])}`"
        try:
            said, wrong = process.communicate(text, seconds)
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"{typed} did not end in {seconds:g} s") from error
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode:
            why = _plain(wrong) or said or f"it ended with {process.returncode}"
            raise KubectlError(f"{typed} failed: {why.strip()[-MOST_SAID:]}")
        return said or ""


def _plain(wrong: str) -> str:
    """What is said for people, where there is such; kubectl logs its attempts beside."""
    lines = wrong.strip().splitlines()
    return "\n".join([line for line in lines if not LOGGED.match(line)] or lines)
