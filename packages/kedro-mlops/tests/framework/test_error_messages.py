import contextlib
import errno
import signal
from collections.abc import Callable

import click
import duckdb
import pytest
from click.testing import CliRunner
from kedro.io import DatasetError
from kedro.validation import DataValidationError, ParameterValidationError

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.framework.error_messages import explained


def command(fail: Callable[[], None]) -> click.Command:
    return click.Command("fail", callback=explained(fail))


def failing(error: BaseException) -> click.Command:
    def fail() -> None:
        raise error

    return command(fail)


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ProjectError("Do this."), "Error: Do this.\n"),
        (caused_by(DatasetError("model: No."), ProjectError("No.")), "Error: model: No.\n"),
        (ParameterValidationError("'a' is wrong"), "parameters*.yml"),
        (DataValidationError("bad rows"), "contracts.py"),
        (caused_by(DatasetError("raw: gone"), FileNotFoundError("gone")), "filepath of that entry"),
        (caused_by(DatasetError("x: full"), OSError(errno.ENOSPC, "full")), "run again"),
        (caused_by(DatasetError("x: full"), duckdb.IOException("full")), "run again"),
        (DatasetError("raw: broken"), "the file it points to"),
    ],
)  # fmt: skip
def test_expected_errors_end_with_their_message_and_the_next_step(
    error: Exception, shown: str
) -> None:
    result = CliRunner().invoke(failing(error))

    assert result.exit_code == 1
    assert str(error) in result.output
    assert shown in result.output
    assert "Traceback" not in result.output


def test_an_engine_that_may_not_take_enough_memory_names_what_limits_it() -> None:
    def fail() -> None:
        engine = duckdb.connect(config={"memory_limit": "20MB", "temp_directory": ""})
        engine.sql("SELECT list(i) FROM range(9_000_000) t(i)").fetchall()

    result = CliRunner().invoke(command(fail))

    assert result.exit_code == 1
    assert "Out of Memory Error: failed to allocate" in result.output
    assert "`memory_limit` says, in conf/base/globals.yml: raise it" in result.output
    assert "SET temp_directory" not in result.output


def test_errors_that_nobody_expected_keep_their_traceback() -> None:
    bug = ZeroDivisionError("a bug")

    result = CliRunner().invoke(failing(bug))

    assert result.exception is bug


def test_an_interruption_says_what_is_still_in_force() -> None:
    result = CliRunner().invoke(failing(KeyboardInterrupt()))

    assert result.exit_code == 130
    assert "The champion and its release are as they were" in result.output


@pytest.mark.parametrize("error", [RuntimeError("half done"), DatasetError("half saved")])
def test_an_interruption_that_a_library_met_with_an_error_of_its_own_is_one(
    error: Exception,
) -> None:
    def fail() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise error

    result = CliRunner().invoke(command(fail))

    assert result.exit_code == 130
    assert "Stopped." in result.output


def test_an_interruption_of_which_a_library_tells_nothing_is_one() -> None:
    def fail() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise DatasetError("the stream ended with an error of unknown kind")

    result = CliRunner().invoke(command(fail))

    assert result.exit_code == 130
    assert "Stopped." in result.output
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
