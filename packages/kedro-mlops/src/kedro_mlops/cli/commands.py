"""The project's commands, with readable errors: Kedro's own ``run``, and what it does not have."""

import logging
import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import env_option
from kedro.framework.project import pipelines, settings
from kedro.utils import load_obj

from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.core.project import owners_module, project_folder
from kedro_mlops.core.run_lock import alone_in, wait_option
from kedro_mlops.core.storage import options_in_environment
from kedro_mlops.framework.error_messages import (
    NO_SUCH_PART,
    NOT_MADE,
    explained,
    tell_kedros_errors,
)
from kedro_mlops.framework.hooks import NODE_BY_NODE
from kedro_mlops.framework.session import catalog_of, file_of, log_folder, workplace
from kedro_mlops.incremental.fingerprints import digest
from kedro_mlops.incremental.recorder import recorder
from kedro_mlops.orchestration.loop import RETRAIN, WAIT, Loop

from .adopt import adopt
from .champion import champion
from .day import Day
from .deploy import deploy
from .params import Params, params_option
from .schedule import schedule

if TYPE_CHECKING:
    from kedro_mlops.contract.columns import Columns

CHANGED_RUNNER = "kedro_mlops.incremental.runner.ChangedRunner"


def _run(*, changed: bool, until: datetime | None, **options: Any) -> Any:
    """Kedro's ``run``, for pipelines that exist and contracts that make sense."""
    if changed and options["runner"]:
        raise ProjectError(
            "--changed runs node by node, by a runner of its own: leave --runner out."
        )
    if options["is_async"] or options["runner_params"].get("is_async"):
        raise ProjectError(NODE_BY_NODE)  # in place of Kedro's advice how else to ask for it
    known = sorted(set(pipelines) - {"__default__"})
    asked = [*options["pipelines"], *filter(None, [options["pipeline"]])]
    for name in set(asked) - set(pipelines):
        raise ProjectError(f"There is no pipeline '{name}'. {suggestion(name, known)}")
    _check_runner(options["runner"])
    if until:
        if "as_of" in options["params"]:
            raise ProjectError("--until says which day as_of is: leave that out of --params.")
        options["params"] = _looking_until(until, options["env"], options["params"])
    asked_of_it = digest(options)
    if changed and (since := _unchanged_since(asked_of_it, options)):
        click.echo(f"Nothing has changed since the run that ended at {since}: all is as it was.")
        return None
    recorder.asked = asked_of_it
    _check_contracts()
    if changed:
        options["runner"] = CHANGED_RUNNER
    assert kedro_run.callback is not None
    try:
        return kedro_run.callback(**options)
    except ValueError as error:
        if NO_SUCH_PART.match(str(error)):
            raise ProjectError(
                f"{str(error).rstrip('.')}. `kedro registry describe` lists the nodes, "
                "`kedro catalog describe-datasets` the datasets."
            ) from error
        if lacking := NOT_MADE.match(str(error)):
            raise ProjectError(
                f"Nothing keeps {lacking[1]}, which these nodes take: run those that make it, too, "
                "for example by --to-nodes in place of --nodes or --from-nodes."
            ) from error
        raise


def _check_runner(name: str | None) -> None:
    try:
        if name:
            load_obj(name, "kedro.runner")
    except (AttributeError, ImportError) as error:
        raise ProjectError(f"There is no runner '{name}'. {NODE_BY_NODE}") from error


def _unchanged_since(asked: str, options: dict[str, Any]) -> str | None:
    """When such a run ended, if nothing has changed since."""
    from kedro_mlops.incremental.shortcut import unchanged_since

    with _session(options["env"], options["params"]) as session:
        context: Any = session.load_context()
        context._pipelines_to_validate = []  # to check the parameters of all imports all
        return unchanged_since(context, asked)


def _check_contracts() -> None:
    """Read every contract first; Kedro would wrap what is wrong with one in an ImportError."""
    from kedro_mlops.contract.columns import Columns, declared_in

    for contract in declared_in(owners_module("contracts")):
        Columns.of(contract)


run = wait_option(
    click.Command(
        name="run",
        params=[
            *kedro_run.params,
            click.Option(
                ["--changed"],
                is_flag=True,
                help="Run only nodes whose code, parameters or inputs "
                "have changed since they ran last.",
            ),
            click.Option(
                ["--until"],
                type=Day(),
                help="Day before which the horizon ends, or `today`: as_of is that much earlier.",
            ),
        ],
        help=kedro_run.help,
        callback=explained(_run),
    )
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=3000,
    type=click.IntRange(1, 65535),
    show_default=True,
    help="Port to listen on.",
)
@click.option(
    "--follow",
    is_flag=True,
    help="Take each new champion, be it promoted or returned to, while the service runs.",
)
@env_option
@explained
def serve(host: str, port: int, follow: bool, env: str | None) -> None:
    """Serve the champion's release with BentoML."""
    from kedro_mlops.champion.releases import release_of
    from kedro_mlops.models.released import serving

    from .ready import example_request, refuse_if_taken, refuse_to_follow, tell_when_ready

    with settings.SESSION_CLASS.create(env=env) as session:
        context = session.load_context()
        release = release_of(context.catalog)
        told = _told(context)
        if follow:
            refuse_to_follow(release)
            told |= {
                "FOLLOW_CHAMPION": str(file_of(context, "champion")),
                "FOLLOW_RELEASE": release,
            }
        command, environment = serving(release, host, port, **told)
        example = _example_row(context.catalog.load("contract"))
    # last: without a champion, another port is of no use
    refuse_if_taken(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    click.echo(f"Starting {release}; what is in it: `bentoml get {release}`")
    asked = example_request(url, example)
    tell_when_ready(url, f"Ready on {url}; stop it with Ctrl-C. Ask it:\n\n{asked}\n")
    os.execve(command[0], command, environment)  # noqa: S606


def _example_row(contract: "Columns") -> dict[str, Any]:
    """What a caller sends, as the contract's examples say; nothing personal that may be missing."""
    sent = [c for c in contract.inputs.sent if not (c.role.personal and c.nullable)]
    return {column.asked_as: column.role.example for column in sent}


def _told(context: Any) -> dict[str, str]:
    """What the service is told by its environment."""
    challenger = context.params["challenger"]
    return options_in_environment(context.config_loader["globals"].get("store")) | {
        "FEATURE_STORE_URL": context.catalog.load("online_store"),
        "PREDICTION_LOG_DIR": str(log_folder(context)),
        "CHALLENGER_DECISION_FILE": str(file_of(context, "challenger_decision")),
        # an unquoted `off` is YAML's false
        "CHALLENGER_MODE": str(challenger["mode"] or "off"),
        "CHALLENGER_SHARE": str(challenger["share"]),
    }


@params_option
@click.command()
@click.option(
    "--until",
    type=Day(),
    help="Day before which the horizon ends, or `today`; if not given, it begins on the as-of day.",
)
@click.option("--demand", help="Why it has to be, whatever the other rules say.")
@click.option("--decision", is_flag=True, help="Only say what the last look came to.")
@env_option
@wait_option
@explained
def retrain(
    until: datetime | None,
    demand: str | None,
    decision: bool,
    env: str | None,
    params: Params,
) -> None:
    """Look at the champion, decide, and train again only if that is the decision.

    Looks at the horizon after the as-of day; a retraining is as of that horizon's end. Made to be
    called on schedule, or when new data has come in.
    """
    if decision:
        with _session(env, params) as session:
            catalog = catalog_of(session.load_context(), ["retrain_decision", "champion"])
        click.echo(_decided(catalog))
        return
    _check_contracts()
    if demand:
        params = {**params, "retraining": {**params.get("retraining", {}), "demand": demand}}
    if until:
        params = _looking_until(until, env, params)
    with _session(env, params) as session:
        context = session.load_context()
    # between the look and the training, nobody else decides
    with alone_in(*workplace(context)):
        _look_and_train(context.catalog, env, params)


def _look_and_train(catalog: Any, env: str | None, params: dict[str, Any]) -> None:
    from kedro_mlops.champion import history, moves

    history.champions(catalog)  # there has to be one
    loop = Loop.of(pipelines)
    with _session(env, params) as session:
        session.run(pipeline_names=_registered(loop.look))
    _promote_winner(catalog)
    if _decided(catalog) != RETRAIN:
        return
    decision = catalog.load("retrain_decision")
    as_of = str(decision.decided_at).partition("T")[0]
    click.echo(f"Retraining as of {as_of}.")
    with _session(env, {**params, "as_of": as_of}) as session:
        session.run(pipeline_names=_registered(loop.train))
        moves.tell_anew(session.load_context().catalog)


def _promote_winner(catalog: Any) -> None:
    """Promote what has won its trial; if that fails, all goes on as before."""
    from kedro_mlops.champion import moves

    try:
        won = moves.promote_winner(catalog)
    except ProjectError as error:
        click.echo(f"The challenger that has won its trial is not promoted: {error}", err=True)
        return
    if won is not None:
        click.echo(f"Promoted {won.version}, which has won its trial. The next look is at it.")
        moves.tell_anew(catalog)


def _decided(catalog: Any) -> str:
    """What the last look came to: to wait, too, if it was at a champion that no longer serves."""
    from kedro_mlops.champion import history

    decision = catalog.load("retrain_decision")
    champion = history.current_champion(catalog)
    of_another = champion is not None and decision.model_version not in (None, champion.version)
    return WAIT if of_another else str(decision.outcome)


def _registered(names: Iterable[str]) -> list[str]:
    """Those that are pipelines; a node of the default one may be in no other."""
    return [name for name in names if name in pipelines]


def _looking_until(until: datetime, env: str | None, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a run whose horizon ends when a day begins."""
    with _session(env, params) as session:
        context: Any = session.load_context()
        days = context.config_loader["parameters"]["horizon"]["days"]
    return {**params, "as_of": f"{until - timedelta(days=days):%Y-%m-%d}"}


def _session(env: str | None, params: dict[str, Any] | None = None) -> Any:
    return settings.SESSION_CLASS.create(env=env, runtime_params=params)


@click.command()
@click.option("--from", "start", type=click.DateTime(["%Y-%m-%d"]), help="First day.")
@click.option("--to", "end", type=click.DateTime(["%Y-%m-%d"]), help="Day at which it ends.")
@click.option("--every", help="Length of a tick: MS (month), W-MON (week), 14D and so on.")
@click.option("--fresh", is_flag=True, help="Forget what was lived before.")
@click.option("--env", default="replay", show_default=True, help="Kedro environment.")
@wait_option
@explained
def replay(
    start: datetime | None, end: datetime | None, every: str | None, fresh: bool, env: str
) -> None:
    """Live many days in a row, for several policies of retraining, and compare them.

    Days and ticks are those of the parameters `replay`, if not given. A replay that was stopped
    goes on where it was.
    """
    from kedro_mlops.framework.summary import summarise_replay
    from kedro_mlops.replay.driver import replay as live

    _check_contracts()
    # a replay speaks for itself; what every node says would drown it
    logging.disable(logging.INFO)
    given = {"start": start, "end": end, "every": every}
    asked = {name: value for name, value in given.items() if value is not None}
    policies = live(project_folder(), env, asked, fresh=fresh)
    click.echo(f"\n{summarise_replay(policies)}\n")


tell_kedros_errors()
# named as Kedro's own group: help lists what both have once
cli = click.Group(
    name="kedro", commands=[adopt, run, serve, deploy, retrain, replay, champion, schedule]
)
