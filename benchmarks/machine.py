"""The machine that is measured on, and how its cores are shared between server and load."""

import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("bentoml", "fastapi", "uvicorn", "pydantic", "pandas", "scikit-learn", "pyarrow")


def describe() -> str:
    """The processor, its cores, what else is running, and the versions that count."""
    load = f", load before {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    machine = f"{_processor()}, {len(_cores())} cores{load}, Python {platform.python_version()}"
    return f"{machine}\n{versions}"


def on_core(number: int) -> list[str]:
    """What a command is preceded by to run on one core only; nothing where that is impossible."""
    cores = _cores()
    if shutil.which("taskset") is None:
        return []
    return ["taskset", "-c", str(cores[number % len(cores)])]


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        lines = described.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()
