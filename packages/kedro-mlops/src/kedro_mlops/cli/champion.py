"""The command ``champion``: which model serves and why, what served before, and other choices."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option
from kedro.framework.context import KedroContext
from kedro.framework.project import settings

from kedro_mlops.core.run_lock import alone_in, wait_option
from kedro_mlops.framework.error_messages import explained
from kedro_mlops.framework.session import catalog_of, data_folder, log_folder, workplace
from kedro_mlops.prediction_log.files import Answered, last_answer
from kedro_mlops.serving.followers import Following, followers

from .params import Params, params_option

if TYPE_CHECKING:
    from kedro_mlops.champion.history import Catalog, Saved

# how long services that follow the champion are waited for
FOLLOW_SECONDS, LOOK_EVERY_SECONDS = 15.0, 0.2
# what people call the environment that no --env names
DEFAULT_ENV = "the default environment"

version_argument = click.argument("version")


@click.group()
def champion() -> None:
    """The one model that serves: what it is, what served before, and other choices."""


def _command(function: Callable[..., None]) -> click.Command:
    """One of the group, of an environment, and of artefacts wherever a run has put them."""
    return params_option(champion.command()(env_option(explained(function))))


@_command
def show(env: str | None, params: Params) -> None:
    """Say which model serves, since when, on whose decision, and how good it is."""
    from kedro_mlops.champion import history, releases, texts

    with _opened(env, params) as (context, catalog):
        current, last = history.champions(catalog)[0], _last_answer(context)
        following = followers(log_folder(context))
    releases.bring_release(current)
    problem = releases.release_problem(current.metadata)
    click.echo(texts.describe(current, problem, last, following))


@_command
def release(env: str | None, params: Params) -> None:
    """Say which Bento the champion is, and nothing else; for other commands to take."""
    from kedro_mlops.champion import releases

    with _opened(env, params) as (_, catalog):
        click.echo(releases.release_of(catalog))


@_command
def history(env: str | None, params: Params) -> None:
    """List the champions there have been, newest first, and what awaits approval."""
    from kedro_mlops.champion import history, texts

    with _opened(env, params) as (_, catalog):
        saved, awaiting = history.past_champions(catalog), history.awaiting(catalog)
    click.echo(texts.list_history(saved, awaiting, env))


@_command
def candidates(env: str | None, params: Params) -> None:
    """List the candidates there have been, newest first: how good, and what the gate said."""
    from kedro_mlops.champion import history, texts

    with _opened(env, params) as (_, catalog):
        saved, verdicts = history.candidates(catalog), history.verdicts(catalog)
        champion = history.current_champion(catalog)
    click.echo(texts.list_candidates(saved, verdicts, champion))


@_command
@click.argument("version", required=False)
@click.option("--reason", help="Why; it is kept with the decision.")
@wait_option
def rollback(version: str | None, reason: str | None, env: str | None, params: Params) -> None:
    """Return to the champion before, or to VERSION.

    The model that is left is promoted again only by a person.
    """
    from kedro_mlops.champion import moves

    start = time.perf_counter()
    with _opened(env, params, "release", "documentation") as (context, catalog):
        alone = alone_in(*workplace(context))
        returned = moves.roll_back(catalog, version, reason, alone)
        _tell_move(context, returned, start, env)


@_command
@click.argument("version", required=False)
@click.option("--reason", help="Why; it is kept with the decision.")
@click.option(
    "--winner",
    is_flag=True,
    help="Promote the challenger of which monitoring decided so, if there is one.",
)
@click.option("--from", "source", metavar="ENV", help="Promote the champion of that environment.")
@click.option("--approved-by", metavar="NAME", help="Who approves, where `gate` asks for that.")
@wait_option
def promote(
    version: str | None,
    reason: str | None,
    winner: bool,
    source: str | None,
    approved_by: str | None,
    env: str | None,
    params: Params,
) -> None:
    """Make VERSION the champion, whatever the gate said, once its release is built and proven.

    With --from, the champion of another environment becomes that of this one, by the release that
    was proven there; nothing is built anew. What --params says is of this one alone.
    """
    from kedro_mlops.champion import moves

    if source and reason and not winner:
        _promote_from(source, version, reason, approved_by, env, params)
        return
    if source or approved_by or winner == bool(version or reason) or bool(version) != bool(reason):
        raise click.UsageError("Say VERSION and --reason, --from and --reason, or only --winner.")
    start = time.perf_counter()
    pipelines = "release", "documentation"
    with _opened(env, params, *pipelines) as (context, catalog), alone_in(*workplace(context)):
        if version and reason:
            promoted = moves.promote(catalog, version, reason)
        elif (won := moves.promote_winner(catalog)) is not None:
            promoted = won
        else:
            click.echo("No challenger is to be promoted. Nothing has changed.")
            return
        _tell_move(context, promoted, start, env)


def _promote_from(
    source: str,
    version: str | None,
    reason: str,
    approved_by: str | None,
    env: str | None,
    params: Params,
) -> None:
    from kedro_mlops.champion.comparison import Limits
    from kedro_mlops.champion.promotion import Approval, Environment, alone_in_both, promote_from
    from kedro_mlops.measures.metrics import Bootstrap

    start = time.perf_counter()
    with _opened(source, {}) as (context, catalog):
        there = Environment(source, catalog, *workplace(context))
    with _opened(env, params, "documentation") as (context, catalog):
        here = Environment(env or DEFAULT_ENV, catalog, *workplace(context))
        told = context.config_loader["parameters"]
        gate = told["gate"]
        approval = Approval(is_required=bool(gate["require_approval"]), by=approved_by)
        limits = Limits(gate["max_loss_increase"], Bootstrap(**told["bootstrap"]))
        with alone_in_both(there, here):
            promoted = promote_from(there, here, version, reason, approval, limits)
            _tell_move(context, promoted, start, env)


@_command
@version_argument
def reproduce(version: str, env: str | None, params: Params) -> None:
    """Train VERSION again from its record, and compare; exit with 1 if the model differs."""
    from kedro_mlops.champion import history, reproduction, texts

    start = time.perf_counter()
    with _opened(env, params) as (context, catalog):
        recorded = history.find(version, history.models(catalog)).package().metadata
        data = data_folder(context)
        code = context.config_loader["parameters"]["code_version"]
    for difference in reproduction.code_differences(recorded.lineage, code):
        click.echo(difference)
    found = reproduction.differences(recorded, reproduction.retrain(recorded, data, env))
    seconds = time.perf_counter() - start
    click.echo(texts.tell_reproduction(recorded.version, found, seconds))
    sys.exit(1 if found else 0)


@_command
@click.argument("prediction_ids", nargs=-1, required=True)
def explain(prediction_ids: tuple[str, ...], env: str | None, params: Params) -> None:
    """Say of logged predictions who made them, from what, and what each feature contributed.

    They are computed again; exit with 1 if one is not the same, or cannot be explained.
    """
    from kedro_mlops.champion import explanation, texts

    failed = False
    with _opened(env, params, told=explanation.READ) as (context, catalog):
        tolerance = context.config_loader["parameters"]["release"]["tolerance"]
        for found in explanation.explain(prediction_ids, catalog, tolerance):
            click.echo(texts.tell_again(found))
            failed |= bool(found.differences) or isinstance(found.explained, str)
    sys.exit(1 if failed else 0)


def _tell_move(context: KedroContext, to: "Saved", start: float, env: str | None) -> None:
    """Let everything tell of the champion that a person has just made."""
    from kedro_mlops.champion import moves, texts

    moves.tell_anew(context.catalog)
    seconds = time.perf_counter() - start
    following = _followed(log_folder(context), str(to.metadata.release))
    click.echo(texts.tell_move(to, seconds, _last_answer(context), env, following))


def _followed(log: Path, release: str) -> list[Following]:
    """What services serve that follow the champion, after they have had time to look."""
    deadline = time.monotonic() + FOLLOW_SECONDS
    while True:
        following = followers(log)
        looked = all(release in (one.release, one.refused) for one in following)
        if looked or time.monotonic() > deadline:
            return following
        time.sleep(LOOK_EVERY_SECONDS)


def _last_answer(context: KedroContext) -> Answered | None:
    return last_answer(log_folder(context))


@contextlib.contextmanager
def _opened(
    env: str | None, params: Params, *run: str, told: Sequence[str] = ()
) -> Iterator[tuple[KedroContext, "Catalog"]]:
    """The project, with all of its catalog if pipelines may be run, else with what tells of models.

    Of the pipelines that may be run, the names are given; of the catalog, what else is read.
    """
    from kedro_mlops.champion.history import TOLD

    with settings.SESSION_CLASS.create(env=env, runtime_params=params) as session:
        context: Any = session.load_context()
        # as a run does; checking the parameters of all imports all, which takes seconds
        context._pipelines_to_validate = list(run)
        # the loader reads all files anew for each who asks, unless it has been told
        context.config_loader["catalog"] = context.config_loader["catalog"]
        yield context, context.catalog if run else catalog_of(context, [*TOLD, *told])
