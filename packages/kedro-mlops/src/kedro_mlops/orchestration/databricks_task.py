"""What a task of Databricks runs: a command of Kedro, in the project's folder."""

import os
import subprocess
import sys

from .databricks import OUTCOME


def main() -> None:
    """Run it; what a decision says becomes a value of the task, which a condition reads."""
    folder, data, *words = sys.argv[1:]
    decides = "--decision" in words
    # the machine of a task goes with it; a store keeps Bentos itself
    home = {"BENTOML_HOME": f"{data}/bentoml"} if data.startswith("/") else {}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "kedro", *words],
        cwd=folder,
        env=home | os.environ,
        stdout=subprocess.PIPE if decides else None,
        text=True,
        check=False,
    )
    if decides and done.returncode == 0:
        from databricks.sdk.runtime import dbutils  # noqa: PLC0415 - is only there

        dbutils.jobs.taskValues.set(key=OUTCOME, value=done.stdout.strip())
    # a task that exits at all may count as failed, with whatever status
    if done.returncode:
        sys.exit(done.returncode)
