"""Living many days in a row, once for each policy of retraining, through the pipelines themselves.

At each tick new data arrives; policies that asked for it retrain, and the gate judges; then the
champion of each policy scores the days until the next tick, is watched on the labels that came in,
and the policy decides. A candidate of the same day is the same model, so it is trained once. A tick
that is complete is written down; a replay that was stopped goes on after the last one.
"""

import contextlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from kedro_mlops.core import run_lock
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.files import hash_files, new_file
from kedro_mlops.core.run_lock import alone_in
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.runtime.serving_spec import hash_of

from .nodes import Replay
from .policies import Record, live_tick
from .world import Tick, World


def ticks(start: pd.Timestamp, end: pd.Timestamp, every: str) -> list[pd.Timestamp]:
    """The moments from start to end, a pandas frequency apart, such as ``MS``, ``W`` or ``14D``.

    Raises:
        ProjectError: if the frequency is not known, or there is no whole tick in between.
    """
    try:
        moments = pd.date_range(start, end, freq=every)
    except ValueError as error:
        raise ProjectError(
            f"--every={every} is not a frequency: use MS for months, W-MON for weeks, 14D for days."
        ) from error
    if len(moments) < 2:
        raise ProjectError(
            f"From {start:%Y-%m-%d} to {end:%Y-%m-%d} there is no whole tick of {every}: "
            "choose a later --to, or a shorter --every."
        )
    return list(moments)


def replay(project: Path, env: str, asked: dict[str, Any], *, fresh: bool) -> pd.DataFrame:
    """Live the ticks for every policy, and compare the policies.

    Args:
        project: Folder of the project.
        env: Kedro environment that keeps candidates and champions as ``conf/replay`` does.
        asked: What is to be in place of the parameters `replay`.
        fresh: Forget what has been lived before.

    Raises:
        ProjectError: if rows have no date; see also ``World.configuration``.
    """
    world = World(project, env)
    folders, parameters = world.configuration()
    if not world.contract.has_time:
        raise ProjectError(
            "A replay lives day after day, and the rows have no date: none of the contract's "
            "columns is the `event_time`. Without one, policies of retraining cannot be compared."
        )
    folder = project / folders["replay"]
    params = Replay.model_validate(parameters["replay"] | asked)
    moments = ticks(pd.Timestamp(params.start), pd.Timestamp(params.end), params.every)
    this = identity(project, parameters, moments, params.every)
    span = params.model_dump(mode="json", include={"start", "end"})
    with alone_in(folder), alone_in(project / folders["data"]):
        prepare(folder, this, fresh=fresh)
        _live(world, folder, moments, params.policies, Bootstrap(**parameters["bootstrap"]))
        made = world.run(["replay"], ["replay_policies", "replay_report"], {"replay": span})
    compared: pd.DataFrame = made["replay_policies"]
    return compared


def _live(
    world: World,
    folder: Path,
    moments: list[pd.Timestamp],
    policies: dict[str, dict[str, Any]],
    bootstrap: Bootstrap,
) -> None:
    """Live the ticks that are not complete."""
    lived: dict[str, dict[str, Record]] = {}
    for record in world.catalog().load("replay_ticks").to_dict(orient="records"):
        lived.setdefault(record["tick"], {})[record["policy"]] = record
    n_steps = len(policies) + 2
    before: dict[str, Record] = {}
    with tqdm(total=n_steps * (len(moments) - 1), desc="Replay", unit="step") as progress:
        for first, last in pairwise(moments):
            tick = Tick(world, folder, first, last)
            if tick.name in lived:
                progress.update(n_steps)
            else:
                lived[tick.name] = live_tick(tick, policies, before, bootstrap, progress)
                records = pd.DataFrame(lived[tick.name].values())
                world.catalog().save("replay_ticks", records)
            before = lived[tick.name]


def prepare(folder: Path, this: dict[str, str], *, fresh: bool) -> None:
    """Make sure that what the folder holds was lived by just this replay.

    Raises:
        ProjectError: if it was another one.
    """
    if fresh:
        _forget(folder)
    about = folder / "replay.json"
    if about.exists():
        differ = [
            name for name, value in json.loads(about.read_text()).items() if this[name] != value
        ]
        if differ:
            raise ProjectError(
                f"{folder} holds a replay of another kind: {' and '.join(differ)} differ. Go on "
                "with that one, or forget it: `kedro replay --fresh`."
            )
        return
    with new_file(about) as file:
        file.write(json.dumps(this, indent=2).encode())


def _forget(folder: Path) -> None:
    """Remove all that a folder holds but locks: who waits for one has its file open."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # a lock is in it
                path.rmdir()
        elif path.name != run_lock.FILE:
            path.unlink()


def identity(
    project: Path, parameters: dict[str, Any], moments: list[pd.Timestamp], every: str
) -> dict[str, str]:
    """What a replay depends on, but for how far it goes, and for the raw data."""
    own = {"as_of", "horizon", "code_version", "replay"}
    relevant = {name: value for name, value in parameters.items() if name not in own}
    relevant["policies"] = parameters["replay"]["policies"]
    lock = parameters["code_version"]["lock_hash"]
    return {
        "start": f"{moments[0]:%Y-%m-%d}",
        "length of ticks": every,
        "parameters": hash_of(json.dumps(relevant, sort_keys=True).encode()),
        "code": hash_files(lock, (project / "src").rglob("*.py")),
    }
