"""What is measured in a process of its own: time, and the most memory it has had."""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def measure_apart(module: str, function: str, folder: Path) -> tuple[float, float, float]:
    """Seconds, those of the processor, and peak gigabytes of a function in its own process."""
    command = [sys.executable, "-m", module, function, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds, processor, gigabytes = (float(figure) for figure in done.stdout.split()[-3:])
    return seconds, processor, gigabytes


def measure_here(function: Callable[[Path], None], folder: Path) -> None:
    start, used = time.perf_counter(), time.process_time()
    function(folder)
    print(time.perf_counter() - start, time.process_time() - used, peak_gigabytes())


def peak_gigabytes() -> float:
    """The most memory this process has had; a child starts ``getrusage`` with its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        [peak] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(peak.split()[1]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def text(measured: tuple[float, float]) -> str:
    return f"{measured[0]:8.1f} s {measured[1]:5.2f} GB"
