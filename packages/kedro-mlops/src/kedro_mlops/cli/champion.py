"""The command ``champion``: which model serves and why, what served before, and other choices."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
from kedro.framework.cli.utils import env_option
from kedro.framework.context import KedroContext
from kedro.framework.project import settings

from kedro_mlops.core.run_lock import alone_in, wait_option
from kedro_mlops.framework.error_messages import explained
from kedro_mlops.framework.session import catalog_of, data_folder
from kedro_mlops.prediction_log.files import last_answer


@click.group()
def champion() -> None:
    """The one model that serves: what it is, what served before, and other choices."""


@champion.command()
@env_option
@explained
def show(env: str | None) -> None:
    """Say which model serves, since when, on whose decision, and how good it is."""
    from kedro_mlops.champion import history as champions
    from kedro_mlops.champion import texts as champion_texts

    with _opened(env) as context:
        catalog = catalog_of(context, champions.TOLD)
        current = champions.champions(catalog)[0]
        last = last_answer(_log_of(context))
    problem = champions.release_problem(current.metadata)
    click.echo(champion_texts.describe(current, problem, last))


@champion.command()
@env_option
@explained
def release(env: str | None) -> None:
    """Say which Bento the champion is, and nothing else; for other commands to take."""
    from kedro_mlops.champion import history as champions

    with _opened(env) as context:
        catalog = catalog_of(context, champions.TOLD)
        click.echo(champions.release_of(catalog))


@champion.command()
@env_option
@explained
def history(env: str | None) -> None:
    """List the champions there have been, newest first, and what awaits approval."""
    from kedro_mlops.champion import history as champions
    from kedro_mlops.champion import texts as champion_texts

    with _opened(env) as context:
        catalog = catalog_of(context, champions.TOLD)
        awaiting = champions.awaiting(catalog)
        saved = champions.saved_versions(catalog, champions.CHAMPION)
    click.echo(champion_texts.list_history(saved, awaiting, env))


@champion.command()
@env_option
@explained
def candidates(env: str | None) -> None:
    """List the candidates there have been, newest first: how good, and what the gate said."""
    from kedro_mlops.champion import history as champions
    from kedro_mlops.champion import texts as champion_texts

    with _opened(env) as context:
        catalog = catalog_of(context, champions.TOLD)
        saved = champions.candidates(catalog)
        verdicts = champions.verdicts(catalog)
        history = champions.saved_versions(catalog, champions.CHAMPION)
    click.echo(champion_texts.list_candidates(saved, verdicts, history[0] if history else None))


@champion.command()
@click.argument("version", required=False)
@click.option("--reason", help="Why; it is kept with the decision.")
@env_option
@wait_option
@explained
def rollback(version: str | None, reason: str | None, env: str | None) -> None:
    """Return to the champion before, or to VERSION.

    The model that is left is promoted again only by a person.
    """
    from kedro_mlops.champion import history as champions
    from kedro_mlops.champion import texts as champion_texts

    start = time.perf_counter()
    with _opened(env, "release", "documentation") as context:
        alone = alone_in(data_folder(context))
        returned = champions.roll_back(context.catalog, version, reason, alone)
        champions.tell_anew(context.catalog)
        last = last_answer(_log_of(context))
    seconds = time.perf_counter() - start
    click.echo(champion_texts.tell_move(returned, seconds, last, env))


@champion.command()
@click.argument("version")
@click.option("--reason", required=True, help="Why; it is kept with the decision.")
@env_option
@wait_option
@explained
def promote(version: str, reason: str, env: str | None) -> None:
    """Make VERSION the champion, whatever the gate said, once its release is built and proven."""
    from kedro_mlops.champion import history as champions
    from kedro_mlops.champion import texts as champion_texts

    start = time.perf_counter()
    with _opened(env, "release", "documentation") as context, alone_in(data_folder(context)):
        promoted = champions.promote(context.catalog, version, reason)
        champions.tell_anew(context.catalog)
        last = last_answer(_log_of(context))
    seconds = time.perf_counter() - start
    click.echo(champion_texts.tell_move(promoted, seconds, last, env))


@champion.command()
@click.argument("version")
@env_option
@explained
def reproduce(version: str, env: str | None) -> None:
    """Train VERSION again from its record, and compare; exit with 1 if the model differs."""
    from kedro_mlops.champion import history as champions
    from kedro_mlops.champion import reproduction
    from kedro_mlops.champion import texts as champion_texts

    start = time.perf_counter()
    with _opened(env) as context:
        recorded = champions.find(version, champions.models(context.catalog)).package().metadata
        data = data_folder(context)
        code = context.config_loader["parameters"]["code_version"]
    for difference in reproduction.code_differences(recorded.lineage, code):
        click.echo(difference)
    found = reproduction.differences(recorded, reproduction.retrain(recorded, data, env))
    seconds = time.perf_counter() - start
    click.echo(champion_texts.tell_reproduction(recorded.version, found, seconds))
    sys.exit(1 if found else 0)


def _log_of(context: KedroContext) -> Path:
    """The folder of the prediction log, without the imports of those who read all of it."""
    folder: str = context.config_loader["catalog"]["prediction_log"]["filepath"]
    return context.project_path / folder


@contextlib.contextmanager
def _opened(env: str | None, *run: str) -> Iterator[KedroContext]:
    """The project's context, with the parameters of the pipelines of which nodes may be run."""
    with settings.SESSION_CLASS.create(env=env) as session:
        context = session.load_context()
        # as a run does; checking the parameters of all imports all, which takes seconds
        context._pipelines_to_validate = list(run)
        # the loader reads all files anew for each who asks, unless it has been told
        context.config_loader["catalog"] = context.config_loader["catalog"]
        yield context
