"""Errors of commands, in words that a person can act on."""

import contextlib
import functools
import logging
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import IO, Any

import click
from click.core import ParameterSource
from kedro.config import MissingConfigException
from kedro.framework.cli.utils import KedroCliError
from kedro.io import DatasetError
from kedro.validation import DataValidationError, ParameterValidationError

from kedro_mlops.core.errors import ProjectError, causes_of, is_out_of_memory
from kedro_mlops.core.project import project_folder
from kedro_mlops.core.storage import is_of_store
from kedro_mlops.core.wording import in_environment

from .session import configure_logging

EXPECTED = (
    ProjectError, DatasetError, MissingConfigException, ParameterValidationError, OSError,
)  # fmt: skip
INTERRUPTED = 130
# what Kedro says of a package that a command needs; projects of today have no such file
NOT_INSTALLED = re.compile(r"Module '(\w+)' not found\..*")
# and of names that a part of a run is chosen by
NO_SUCH_PART = re.compile(r"Pipeline (does not contain|contains no nodes)")
# and of what passes between nodes in memory, of which only some are asked for
NOT_MADE = re.compile(r"Pipeline input\(s\) \{(.*)\} not found")


def explained(
    command: Callable[..., Any], unchanged: str = "The champion and its release are as they were."
) -> Callable[..., Any]:
    """End expected errors with their message; the traceback goes to the log file only.

    Errors that nobody expected keep their traceback: they are bugs.

    Args:
        command: What a person has called.
        unchanged: What they are told if they stop it.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        configure_logging()
        with _interruption() as interrupted:
            try:
                return command(*args, **kwargs)
            except (KeyboardInterrupt, Exception) as error:
                if interrupted.is_set() or _is_interrupted(error):
                    click.echo(f"\nStopped. {unchanged}", err=True)
                    sys.exit(INTERRUPTED)
                if not _is_expected(error):
                    raise
                logging.getLogger("kedro_mlops.traceback").error("Failed", exc_info=error)
                said = in_environment(_in_words(error), _environment())
                raise click.ClickException(said) from error

    return wrapper


def _is_expected(error: BaseException) -> bool:
    return isinstance(error, EXPECTED) or is_of_store(error) or is_out_of_memory(error)


def _in_words(error: BaseException) -> str:
    if is_out_of_memory(error):
        # what follows in its words is about other ways to use it than ours
        return f"{str(error).partition(chr(10))[0]}. {_ABOUT_MEMORY}"
    return f"{error}{next_step(error)}"


def tell_kedros_errors() -> None:
    """Let errors of Kedro's own commands say what is wrong.

    Kedro looks for the exception that is being handled, and click 8.4 and later tell of it
    afterwards: "NoneType: None".
    """

    def show(self: KedroCliError, file: IO[Any] | None = None) -> None:
        if self.VERBOSE_ERROR:
            traceback.print_exception(self)
        said = NOT_INSTALLED.sub(_to_have_it_once, self.message)
        click.ClickException(said).show(file)

    KedroCliError.show = show  # type: ignore[method-assign]


def _to_have_it_once(missing: re.Match[str]) -> str:
    command = " ".join(["kedro", *sys.argv[1:]])
    return f"{missing[1]} is not installed. For this once: `uv run --with {missing[1]} {command}`."


def _environment() -> str | None:
    """The environment that a person named."""
    context = click.get_current_context(silent=True)
    if context is None or context.get_parameter_source("env") is not ParameterSource.COMMANDLINE:
        return None
    named: str = context.params["env"]
    return named


def next_step(error: BaseException) -> str:
    """What a person can do about an error that does not say so itself."""
    causes = list(causes_of(error))
    if any(isinstance(cause, ProjectError) for cause in causes):
        return ""
    if is_of_store(error):
        return f"\n{_ABOUT_STORE}"
    # DuckDB has an error of its own for what the operating system refuses
    if any(type(cause).__name__ == "IOException" for cause in causes):
        return f"\n{_NEXT_STEPS[OSError]}"
    for kind, step in _NEXT_STEPS.items():
        if any(isinstance(cause, kind) for cause in causes):
            return f"\n{step}"
    return f"\nThe traceback is in {os.path.relpath(project_folder() / 'logs/kedro.log')}."


_NEXT_STEPS: dict[type[BaseException], str] = {
    MissingConfigException: "An environment is a folder in conf/, such as conf/sample.",
    ParameterValidationError: "Parameters are in conf/base/parameters*.yml; an environment and "
    "`--params` change them.",
    DataValidationError: "Mend the data, or change what contracts.py asks of it.",
    FileNotFoundError: "Check the filepath of that entry in the catalog.",
    OSError: "Nothing that was in force has changed; run again when that is put right.",
    DatasetError: "Check that entry in the catalog, and the file it points to.",
}


_ABOUT_MEMORY = (
    "The engine may take no more than `memory_limit` says, in conf/base/globals.yml: raise it, for "
    "example to 4GB. Nothing that was in force has changed."
)
_ABOUT_STORE = (
    "That is of the store in globals.yml; what was in force there has not changed. See that it is "
    "the right one, that this machine reaches it, and who it takes this machine for: "
    "docs/storage.md."
)


@contextlib.contextmanager
def _interruption() -> Iterator[threading.Event]:
    """Whether a person has pressed Ctrl-C, whatever a library makes of that.

    An error does not always say so: through the C interfaces of Arrow and DuckDB, the
    KeyboardInterrupt of a callback becomes an error of theirs.
    """
    interrupted = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or not _is_main_thread():
        yield interrupted
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _is_interrupted(error: BaseException | None) -> bool:
    """Whether a person stopped it; a library may have met that with an error of its own."""
    # who ends the input at a question stops it, too
    while error is not None and not isinstance(error, KeyboardInterrupt | click.Abort):
        error = error.__cause__ or error.__context__
    return error is not None
