"""Load on a server by wrk, which one core lets send more than any of the servers can answer.

Against a bare echo it reaches 40,000 to 60,000 requests a second; ``make bench`` says how many.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import on_core

SCRIPT = Path(__file__).with_name("rotate.lua")
TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Load:
    """What came of it.

    Attributes:
        refused: Answers with another status than 200.
        broken: Connections that failed, and answers that did not come in time.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def failed(self) -> int:
        return self.refused + self.broken


def send(url: str, bodies: Path, key: str, clients: int, seconds: float, core: int = 1) -> Load:
    """Post the bodies in a file, a line each, in turn, over as many connections as clients.

    Raises:
        SystemExit: if wrk is not installed.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("The load comes from wrk: `apt install wrk`, or `brew install wrk`.")
    command = [
        *on_core(core), "wrk", "--threads", "1", "--connections", str(clients),
        "--duration", f"{max(1, round(seconds))}s", "--timeout", f"{TIMEOUT_SECONDS}s",
        "--script", str(SCRIPT), url, "--", str(bodies), f"Bearer {key}",
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Load(**json.loads(done.stdout.splitlines()[-1]))
