"""Processes that are killed at a moment that a test chooses."""

import os
import signal
import sys
from collections.abc import Callable

# what changes the names of files; `replace` is a `rename`, too
CHANGES = {"os.mkdir", "os.rename", "os.rmdir", "os.remove"}


def killed_at(step: int, change: Callable[[], object]) -> bool:
    """Run something in a process that is killed before it makes one more change of names.

    Args:
        step: How many it may make.
        change: What is run.

    Returns:
        Whether it was killed; else it was done before.
    """
    if (process := os.fork()) == 0:
        left = step

        def may_kill(event: str, _arguments: object) -> None:
            nonlocal left
            if event in CHANGES:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(may_kill)
        change()
        os._exit(0)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL
