"""A copy of the project on a machine that knows nothing of it, driven through its commands."""

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from driving.raw_tables import QUARTER, some_flights, write_package
from driving.warm_start import run_warm

HOST = "127.0.0.1"
MARK = "STARTED_BY_TEST"
STOP_SECONDS = 20
# what only a shell understands
OF_SHELL = {*";&|<>$`*?"}
# what a person's shell may have set, and a bare machine has not
FOREIGN = (
    "API_KEYS", "BENTOML_", "CHALLENGER_", "FEATURE_", "GIT_", "KEDRO_", "MAKE", "MAX_", "MFLAGS",
    "OPEN_PATHS", "PREDICTION_LOG_", "SPARK_", "TRIAL_",
)  # fmt: skip


@dataclass(frozen=True)
class Running:
    """A command that has been started, and what it has said so far."""

    process: subprocess.Popen[bytes]
    folder: Path
    mark: str

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    @property
    def said(self) -> str:
        return f"{self.stdout}\n{self.stderr}"

    def wait_for(
        self, condition: Callable[[], Any], what: str, timeout: float = 120, every: float = 0.05
    ) -> None:
        """Poll until the condition holds; an error if the command ends before it does."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None, f"ended before {what}:\n{self.said}"
            assert time.monotonic() < deadline, f"{timeout:g} s passed before {what}:\n{self.said}"
            time.sleep(every)

    def family(self) -> list[psutil.Process]:
        """What it has started, in whatever session, and is still running; and itself."""
        return [process for process in psutil.process_iter() if _has_mark(process, self.mark)]

    def send_to_group(self, signal_number: int) -> None:
        """Signal the whole foreground process group, as a terminal does."""
        os.killpg(self.process.pid, signal_number)


@dataclass(frozen=True)
class Project:
    """A copy of the project, with an environment in which its commands find only each other.

    Attributes:
        is_warm: Whether commands of Kedro that are waited for have their libraries from the start.
    """

    folder: Path
    environment: dict[str, str] = field(repr=False)
    is_warm: bool = False

    def run(
        self, command: str, timeout: float = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as typed into a shell in the project's folder."""
        if self.is_warm and command.startswith("kedro ") and not {*command} & OF_SHELL:
            return self._run_warm(command, timeout, environment)
        with self.started(command, **environment) as running:
            status = running.process.wait(timeout)
            return subprocess.CompletedProcess(command, status, running.stdout, running.stderr)

    def _run_warm(
        self, command: str, timeout: float, environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        words, output = shlex.split(command), self._new_output()
        status = run_warm(words, self.folder, self.environment | environment, output, timeout)
        said = ((output / name).read_text() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(command, status, *said)

    def _new_output(self) -> Path:
        """A folder for what a command says."""
        folder = self.folder.parent / "output" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder

    def must(self, command: str, timeout: float = 300, **environment: str) -> str:
        """Run a command that has to succeed, and return what it wrote to its standard output."""
        done = self.run(command, timeout, **environment)
        assert done.returncode == 0, f"`{command}` failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def started(self, command: str, **environment: str) -> Iterator[Running]:
        """Start a command, and end it with all that it started when the block ends."""
        folder = self._new_output()
        mark = folder.name
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.environment | environment | {MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        running = Running(process, folder, mark)
        try:
            yield running
        finally:
            _stop(running)

    @contextlib.contextmanager
    def served(self, command: str, port: int, **environment: str) -> Iterator[httpx.Client]:
        """Start a server, wait until it is ready, and give a client that talks to it."""
        with self.server(command, port, **environment) as (client, _):
            yield client

    @contextlib.contextmanager
    def server(
        self, command: str, port: int, **environment: str
    ) -> Iterator[tuple[httpx.Client, Running]]:
        """The same, with the process, for those who mean it harm."""
        assert is_free(port), f"`{command}` needs port {port}, which another program is using"
        with (
            self.started(command, **environment) as running,
            httpx.Client(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=60) as client,
        ):
            running.wait_for(lambda: is_ready(client), "the server is ready")
            yield client, running

    def with_environment(self, name: str, data: str, **files: str) -> str:
        """Write a configuration environment: the sample one with its own data, and more files."""
        folder = self.folder / "conf" / name
        shutil.copytree(self.folder / "conf/sample", folder, dirs_exist_ok=True)
        (folder / "globals.yml").write_text(f"data: {data}\n")
        for file, content in files.items():
            (folder / f"{file}.yml").write_text(content)
        return name


@dataclass(frozen=True)
class Loop:
    """A finished run of the whole loop: what it said, and where the catalog has its artefacts.

    Attributes:
        at_first: A copy of all artefacts as the run has left them, for those who go on from there.
    """

    project: Project
    said: str
    files: dict[str, Path]
    at_first: Path

    def read(self, name: str) -> Any:
        """The content of a JSON artefact."""
        return json.loads(self.files[name].read_text())

    @property
    def data(self) -> Path:
        """The folder of all artefacts."""
        return self.project.folder / "data/sample"


def versions(path: Path) -> list[Path]:
    """The complete versions of a versioned artefact, oldest first, as Kedro lists them."""
    return sorted(path.glob(f"*/{path.name}"))


def copy_project(
    source: Path,
    scratch: Path,
    *,
    is_measured: bool = True,
    is_warm: bool = True,
    every: int | None = 1,
) -> Project:
    """Copy what git tracks, and what it would; commit it, so that there is a lineage.

    Args:
        source: The project.
        scratch: An empty folder, for the copy and what its commands keep elsewhere.
        is_measured: Whether coverage looks at its commands, which then take a third longer.
        is_warm: Whether Kedro's commands start warm, unless coverage looks at them.
        every: Which of the first quarter's flights the raw table has, 2 for every second;
            that of the whole year if none.
    """
    folder = scratch / "project"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=source, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (source / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, folder / name)
            shutil.copymode(source / name, folder / name)
    _link_packages(folder)
    (scratch / "home").mkdir()
    environment = _environment(folder, scratch)
    if every:
        write_package(scratch / "fewer", some_flights(QUARTER, every))
        environment["PYTHONPATH"] += f":{scratch / 'fewer'}"
    if not is_measured:
        environment = {k: v for k, v in environment.items() if not k.startswith("COVERAGE_")}
    is_warm = is_warm and not any(name.startswith("COVERAGE_") for name in environment)
    project = Project(folder, environment, is_warm)
    identity = "-c user.name=test -c user.email=test@example.org -c commit.gpgsign=false"
    project.must(f"git init -q && git add -A && git {identity} commit -q -m Copy")
    return project


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether nobody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def is_ready(client: httpx.Client) -> bool:
    """Whether a server answers and says so."""
    try:
        return client.get("/readyz").is_success
    except httpx.TransportError:
        return False


def _link_packages(folder: Path) -> None:
    """Give the copy the packages that run this test, marked as synced, so that make starts."""
    packages = folder / ".venv"
    packages.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".synced":
            (packages / entry.name).symlink_to(entry)
    (packages / ".synced").touch()


def _environment(folder: Path, scratch: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | {
        "PATH": os.pathsep.join([str(folder / ".venv/bin"), os.environ["PATH"]]),
        # before the installed project, so that it is the copy's code that runs
        "PYTHONPATH": f"{folder}/src:{folder}/packages/kedro-mlops/src",
        "HOME": str(scratch / "home"),
        "BENTOML_HOME": str(scratch / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "BROWSER": "true",
    }


def _stop(running: Running) -> None:
    """Ask the whole family to end; who has not by then must."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        family = running.family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        psutil.wait_procs(family, STOP_SECONDS)
    running.process.wait()


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False
