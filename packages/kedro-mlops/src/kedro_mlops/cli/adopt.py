"""The command ``adopt``: a table becomes a project of its own."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING, Any, get_args

import click
from kedro.framework import project as kedro_project

from kedro_mlops.core.errors import ProjectError, some_of, suggestion
from kedro_mlops.core.project import project_folder
from kedro_mlops.core.run_lock import wait_option
from kedro_mlops.framework.error_messages import explained
from kedro_mlops.task.record import TaskName

if TYPE_CHECKING:
    from kedro_mlops.adoption.asked import Asked
    from kedro_mlops.adoption.decisions import Adoption
    from kedro_mlops.adoption.plan import Plan
    from kedro_mlops.adoption.profile import TableProfile
    from kedro_mlops.adoption.source import Source

TASKS = get_args(TaskName)
MAX_NAME = 40


Command = Callable[..., Any]


def _columns(name: str, help_text: str) -> Callable[[Command], Command]:
    return click.option(
        f"--{name}", metavar="COLUMN", multiple=True, help=f"{help_text}; repeatable."
    )


@click.command()
@click.argument("data")
@click.option("--target", metavar="COLUMN", help="What is to be predicted.")
@click.option("--time", metavar="COLUMN", help="The moment that a row is about.")
@_columns("key", "What identifies a row, or whom it is about")
@click.option("--task", type=click.Choice(TASKS), help="What is predicted, if not as it seems.")
@click.option("--positive", metavar="VALUE", help="Of two values, the one that is looked for.")
@_columns("drop", "Not to be learned from")
@_columns("personal", "Personal data")
@_columns("text", "Free text to be learned from")
@click.option("--drop-rare", is_flag=True, help="Leave out rows of classes that are too rare.")
@click.option("--yes", is_flag=True, help="Take the proposals, and ask nothing.")
@click.option("--dry-run", is_flag=True, help="Show the changes, and make none.")
@click.option("--force", is_flag=True, help="Replace files although they were edited.")
@wait_option
@partial(explained, unchanged="The project is as it was.")
def adopt(
    data: str, target: str | None, yes: bool, dry_run: bool, force: bool, **said: Any
) -> None:
    """Make the project one about the table in DATA.

    DATA is a CSV or Parquet file, a folder of such, an Excel workbook, a Delta table (its folder,
    or its URL on a store), or a database's URL with #table. What it profiles and decides is shown,
    a line for each column; then the contracts, catalog, parameters and tests are written.
    """
    from kedro_mlops.adoption.asked import Asked
    from kedro_mlops.adoption.credentials import credentials_with
    from kedro_mlops.adoption.decisions import Adoption, decide
    from kedro_mlops.adoption.marks import without_example
    from kedro_mlops.adoption.opening import open_source
    from kedro_mlops.adoption.plan import Plan, alone, put_back
    from kedro_mlops.adoption.profile import profile
    from kedro_mlops.adoption.source import without_credentials
    from kedro_mlops.adoption.writing import files_of, table_name

    folder, today = project_folder(), datetime.now(UTC).date()
    if put_back(folder):
        click.echo("An adoption was stopped halfway: the project is again as it was before.")
    click.echo(f"Looking at {without_credentials(data)} …")
    source = open_source(data)
    found = profile(source)
    asks = not yes and is_terminal()
    called = table_name(source.name)

    def decided(asked: Asked) -> Adoption:
        return decide(found, asked, source.said, today, called)

    asked = Asked(
        target or _ask_target(found, asks=asks),
        take_time=not asks,
        **{name: value for name, value in said.items() if value is not None},
    )
    adoption = decided(asked)
    if asks:
        adoption = decided(_ask(adoption, asked))
    _show(adoption)
    for line in _of_source(source):
        click.echo(line)
    place, package = source.place(folder), str(kedro_project.PACKAGE_NAME)
    replayed = (folder / "src" / package / "pipelines/replay").is_dir()
    files = files_of(adoption, package, source.entry(place), today, replayed=replayed)
    emptied, gone = without_example(folder)
    copies = source.copies(folder)
    secrets = credentials_with(folder, source.credentials, force=force or dry_run)
    replaced = (place,) if copies else ()
    plan = Plan(folder, emptied | files, (*gone, *replaced), copies, secrets)
    if dry_run:
        click.echo("".join(plan.diff()), nl=False)
        return
    with alone(folder):
        if not force:
            plan.check()
        plan.carry_out()
    _tell(plan, gone, package)


def is_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def _ask_target(found: "TableProfile", *, asks: bool) -> str:
    names = [column.name for column in found.columns]
    if not asks:
        raise ProjectError(f"Say what to predict: --target COLUMN. There are {some_of(names)}.")

    def named(answer: str) -> str:
        name = answer.strip()
        if name not in names:
            raise click.UsageError(f"There is no column '{name}'. {suggestion(name, names)}")
        return name

    click.echo(f"It has {some_of(names)}.")
    return str(click.prompt("What is to be predicted?", value_proc=named))


def _ask(adoption: "Adoption", asked: "Asked") -> "Asked":
    """Ask what only a person knows; what is proposed is the default."""
    label = adoption.label
    if label.is_unsure and label.is_one_of_several and asked.task is None:
        question = f"{label.name} has {len(label.classes)} values. Are they classes, or numbers?"
        possible = click.Choice(label.possible_tasks)
        task = click.prompt(question, type=possible, default=label.task)
        asked = replace(asked, task=task)
    elif label.is_unsure and not label.is_number and asked.positive is None:
        values = [str(value) for value in label.classes]
        question = f"Which {label.name} is looked for?"
        positive = click.prompt(question, type=click.Choice(values), default=values[-1])
        asked = replace(asked, positive=positive)
    if adoption.proposed_time and click.confirm(
        f"{_about_time(adoption)}. Is it so?", default=True
    ):
        asked = replace(asked, time=adoption.proposed_time)
    if adoption.proposed_group:
        question = f"Do rows of one {adoption.proposed_group} belong together?"
        if click.confirm(question, default=True):
            asked = replace(asked, key=(adoption.proposed_group,))
    for name in adoption.perhaps_personal:
        if click.confirm(f"Is {name} personal data?", default=False):
            asked = replace(asked, personal=(*asked.personal, name))
    return asked


def _about_time(adoption: "Adoption") -> str:
    return (
        f"{adoption.proposed_time} seems to say when a row happened: models would learn from "
        "earlier rows, and be measured on later ones"
    )


def _show(adoption: "Adoption") -> None:
    """What was decided, and why, a line for each column."""
    label = adoption.label
    rows = [("column", "is", "because")]
    rows += [(c.options.get("source_name", c.name), c.use, c.reason) for c in adoption.columns]
    width = min(max(len(name) for name, _, _ in rows), MAX_NAME)
    click.echo(f"\n{adoption.source}: {adoption.n_rows:,} rows; {label.name}: {label.task}\n")
    for name, use, reason in rows:
        shown = name if len(name) <= width else f"{name[: width - 1]}…"
        click.echo(f"{shown:{width}}  {use:8}  {reason}")
    click.echo("")
    for line in _remarks(adoption):
        click.echo(line)


def _remarks(adoption: "Adoption") -> Iterator[str]:
    """What is not of one column."""
    if adoption.days:
        days = adoption.days
        yield (
            f"Rows are of {days.first} to {days.last}. Models learn from those before "
            f"{days.as_of}, and are watched on the {days.horizon} days from then on."
        )
    elif adoption.proposed_time:
        yield f"{_about_time(adoption)}, if you say --time {quote(adoption.proposed_time)}."
    if adoption.proposed_group:
        name = adoption.proposed_group
        yield f"Rows of one {name} may belong together: then say --key {quote(name)}."
    if not adoption.keys:
        yield "No column tells rows apart: they get a row_id, made of what they say."


def _of_source(source: "Source") -> Iterator[str]:
    """What of the source is no part of its table."""
    from kedro_mlops.adoption.credentials import CREDENTIALS

    for name, reason in source.left_out.items():
        yield f"{name} is left out: it {reason}."
    if source.credentials:
        yield (
            f"How it is reached, with the password, is in {CREDENTIALS}, which git ignores: other "
            "machines need it, too."
        )
    if source.n_odd_lines:
        yield (
            f"{source.n_odd_lines:,} lines have more or fewer cells than the header: they go to "
            "the quarantine."
        )


def _tell(plan: "Plan", gone: Sequence[str], package: str) -> None:
    """What was made, and what comes next."""
    from kedro_mlops.adoption.credentials import CREDENTIALS

    click.echo(
        f"Written: {len(plan.files)} files, first of all src/{package}/contracts.py; its "
        "descriptions that end in … are waiting for your words."
    )
    for kept in plan.secrets.keys() - {CREDENTIALS}:
        click.echo(f"What {CREDENTIALS} said is in {kept}, with its comments.")
    if gone:
        click.echo(f"Removed, as it was about the example: {', '.join(gone)}")
    click.echo("Next: `make run`, and then `make serve`.")
