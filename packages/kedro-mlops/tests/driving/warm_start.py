"""Starts programs in forks of a process that has the libraries, which take long to import.

Each is a process of its own, and imports the project and the engine itself. What forks is asked by
a line of JSON, and answers with the exit status.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NoReturn

# neither what reads the environment when it is imported, nor what an owner edits, nor DuckDB:
# it starts threads, which a fork has not
LIBRARIES = (
    "ibis", "jinja2", "numpy", "omegaconf", "optuna", "pandas", "pandera.pandas",
    "plotly.graph_objects", "pyarrow.parquet", "pydantic", "requests", "scipy.stats", "skops.io",
    "sklearn.ensemble", "sklearn.inspection", "sklearn.linear_model", "sklearn.pipeline", "sqlglot",
)  # fmt: skip


def run_warm(
    command: list[str], folder: Path, environment: dict[str, str], output: Path, timeout: float
) -> int:
    """Run a program to its end, and return its exit status.

    Args:
        command: ``kedro`` or ``-c`` and Python code, and arguments.
        folder: Where it is run.
        environment: All of its environment variables.
        output: The folder for its ``stdout`` and ``stderr``.
        timeout: Seconds after which it is killed, and an error raised.
    """
    server = _server()
    assert server.stdin
    assert server.stdout
    order = [command, str(folder), environment, str(output)]
    server.stdin.write(json.dumps(order) + "\n")
    server.stdin.flush()
    if not select.select([server.stdout], [], [], timeout)[0]:
        _end(server)
        raise subprocess.TimeoutExpired(command, timeout)
    return int(server.stdout.readline())


@cache
def _server() -> subprocess.Popen[str]:
    unmeasured = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    server = subprocess.Popen(
        # -P: what is beside this file is no library
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # a fork would wait for the threads that it has not
        env=unmeasured | {"OMP_NUM_THREADS": "1"},
        text=True,
        start_new_session=True,
    )
    atexit.register(_end, server)
    return server


def _end(server: subprocess.Popen[str]) -> None:
    """End it with whatever it runs, and let the next command start another."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.communicate()
    _server.cache_clear()


def _serve() -> None:
    for library in LIBRARIES:
        importlib.import_module(library)
    # shared with every fork for as long as nobody writes to it
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(*json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(command: list[str], folder: str, environment: dict[str, str], output: str) -> NoReturn:
    """Be what a shell would have started, until it ends."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    files = os.devnull, f"{output}/stdout", f"{output}/stderr"
    for number, (file, mode) in enumerate(zip(files, ("rb", "wb", "wb"), strict=True)):
        with Path(file).open(mode) as opened:
            os.dup2(opened.fileno(), number)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    match command:
        case ["-c", code, *arguments]:
            sys.argv = ["-c", *arguments]
            exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
            sys.exit()
        case _:
            sys.argv = command
            from kedro.framework.cli import main

            sys.exit(main())


if __name__ == "__main__":
    _serve()
