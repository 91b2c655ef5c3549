"""Living many days in a row, once for each policy of retraining, through the pipelines themselves.

At each tick new data arrives; policies that asked for it retrain, and the gate judges; then the
champion of each policy scores the days until the next tick, is watched on the labels that came in,
and the policy decides. A candidate of the same day is the same model, so it is trained once. A tick
that is complete is written down; a replay that was stopped goes on after the last one.
"""

import hashlib
import json
import logging
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kedro.framework.project import settings
from tqdm import tqdm

from flight_delays.columns import Columns
from flight_delays.contracts import Observation
from flight_delays.errors import ProjectError
from flight_delays.metrics import Bootstrap, Interval, paired_difference, row_log_loss
from flight_delays.pipelines.replay.nodes import ORACLE, Replay
from flight_delays.storage import new_file

logger = logging.getLogger(__name__)

COLUMNS = Columns.of(Observation)
LOOKS = ["scoring", "monitoring"]
LOOKED_AT = [
    "labelled_predictions", "windows", "retrain_decision", "decision_history", "window_history",
]  # fmt: skip
JUDGED = [
    "candidate", "candidate_footprint", "test_predictions", "metrics", "slice_metrics",
    "single_feature_auc",
]  # fmt: skip
SCORE_COLUMNS = [*COLUMNS.keys, COLUMNS.label, "probability", "decision"]

NOTHING_DONE = {
    "retrained": False, "promoted": False, "why": "", "gate": "", "decision": "", "reasons": "",
    "n_windows": 0, "n_drifted_windows": 0, "n_drifted_columns": 0,
}  # fmt: skip
NO_GAIN = {"value": 0.0, "low": 0.0, "high": 0.0}

Record = dict[str, Any]


@dataclass(frozen=True)
class World:
    """One project and environment, in which pipelines are run as of many days."""

    project: Path
    env: str

    def run(
        self,
        pipelines: list[str],
        wanted: list[str],
        parameters: dict[str, Any] | None = None,
        **folders: str,
    ) -> dict[str, Any]:
        """Run what makes the wanted datasets, and load them."""
        given = {**(parameters or {}), "globals": folders}
        with settings.SESSION_CLASS.create(
            self.project, env=self.env, runtime_params=given
        ) as session:
            session.run(pipeline_names=pipelines, to_outputs=wanted)
            catalog = session.load_context().catalog
            return {name: catalog.load(name) for name in wanted}

    def load(self, name: str) -> Any:
        """Load one dataset."""
        with settings.SESSION_CLASS.create(self.project, env=self.env) as session:
            return session.load_context().catalog.load(name)

    def save(self, name: str, data: Any) -> None:
        """Save one dataset."""
        with settings.SESSION_CLASS.create(self.project, env=self.env) as session:
            session.load_context().catalog.save(name, data)

    def configuration(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Globals, and parameters as plain values."""
        with settings.SESSION_CLASS.create(self.project, env=self.env) as session:
            loader = session.load_context().config_loader
            return dict(loader["globals"]), dict(loader["parameters"])


@dataclass
class Tick:
    """The days from one moment to the next, and the models that were asked about them."""

    world: World
    folder: Path
    start: pd.Timestamp
    end: pd.Timestamp
    without_candidate: str = ""
    _rows: dict[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its first day."""
        return f"{self.start:%Y-%m-%d}"

    @property
    def parameters(self) -> dict[str, Any]:
        """As of its first day, until its last."""
        return {"as_of": self.name, "horizon": {"days": (self.end - self.start).days}}

    def receive(self) -> None:
        """New data arrives."""
        self.world.run(["data_engineering"], ["model_input", "data_screening"], self.parameters)

    def train(self) -> None:
        """Train the candidate of this day, and measure it; data may not be enough for one."""
        shutil.rmtree(self.model(self.name), ignore_errors=True)
        try:
            self.world.run(["modelling"], JUDGED, self.parameters, candidate=self.model(self.name))
        except ProjectError as error:
            logger.warning("No candidate as of %s: %s", self.name, error)
            self.without_candidate = str(error)

    def judge(self, champion: str) -> Record:
        """Ask the gate whether the candidate of this day replaces a champion."""
        if self.without_candidate:
            return {"outcome": "block", "reasons": [self.without_candidate]}
        made = self.world.run(
            ["gate"],
            ["gate_decision"],
            self.parameters,
            candidate=self.model(self.name),
            champion=self.model(champion),
        )
        decision: Record = made["gate_decision"]
        return decision

    def look(
        self, policy: str, champion: str, overrides: dict[str, Any]
    ) -> tuple[Record, pd.DataFrame]:
        """Score the days of the tick, watch, and decide, as a policy does.

        Returns:
            The decision, and what was seen of each window.
        """
        made = self.world.run(
            LOOKS,
            LOOKED_AT,
            {**self.parameters, **overrides},
            champion=self.model(champion),
            policy=str(self.folder / "policies" / policy),
        )
        self._rows[champion] = made["labelled_predictions"].dropna(subset=[COLUMNS.label])
        return made["retrain_decision"], made["windows"]

    def rows(self, champion: str) -> pd.DataFrame:
        """The labelled rows of the tick, with what a model says of them."""
        if champion not in self._rows:
            made = self.world.run(
                LOOKS, ["labelled_predictions"], self.parameters, champion=self.model(champion)
            )
            self._rows[champion] = made["labelled_predictions"].dropna(subset=[COLUMNS.label])
        return self._rows[champion]

    def model(self, as_of: str) -> str:
        """Where the model of a day is kept."""
        return str(self.folder / "candidates" / as_of)


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


def replay(
    project: Path,
    env: str,
    start: datetime | None = None,
    end: datetime | None = None,
    every: str | None = None,
    *,
    fresh: bool = False,
) -> pd.DataFrame:
    """Live the ticks for every policy, and compare the policies.

    Args:
        project: Folder of the project.
        env: Kedro environment that keeps candidates and champions as ``conf/replay`` does.
        start: The first champion of all policies is trained as of this day; if not given, it is
            that of the parameters.
        end: The last tick ends here, likewise.
        every: Length of a tick, as a pandas frequency, likewise.
        fresh: Forget what has been lived before.

    Returns:
        What each policy was worth; see ``pipelines.replay.nodes.compare_policies``.
    """
    world = World(project, env)
    folders, parameters = world.configuration()
    folder = project / folders["replay"]
    params = Replay.model_validate(parameters["replay"])
    moments = ticks(
        pd.Timestamp(start or params.start), pd.Timestamp(end or params.end), every or params.every
    )
    prepare(folder, identity(project, parameters, moments), fresh=fresh)
    lived = _lived(world)
    policies = params.policies
    bootstrap = Bootstrap(**parameters["bootstrap"])
    n_steps = len(policies) + 2
    before: dict[str, Record] = {}
    with tqdm(total=n_steps * (len(moments) - 1), desc="Replay", unit="step") as progress:
        for first, last in pairwise(moments):
            tick = Tick(world, folder, first, last)
            if tick.name in lived:
                progress.update(n_steps)
            else:
                lived[tick.name] = _live(tick, policies, before, bootstrap, progress)
                world.save("replay_ticks", pd.DataFrame(lived[tick.name].values()))
            before = lived[tick.name]
    compared: pd.DataFrame = world.run(["replay"], ["replay_policies", "replay_report"])[
        "replay_policies"
    ]
    return compared


def prepare(folder: Path, this: dict[str, str], *, fresh: bool) -> None:
    """Make sure that what the folder holds was lived by just this replay.

    Raises:
        ProjectError: if it was another one.
    """
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
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


def identity(
    project: Path, parameters: dict[str, Any], moments: list[pd.Timestamp]
) -> dict[str, str]:
    """What a replay depends on, but for how far it goes."""
    own = {"as_of", "horizon", "code_version", "replay"}
    relevant = {name: value for name, value in parameters.items() if name not in own}
    relevant["policies"] = parameters["replay"]["policies"]
    digest = hashlib.sha256(parameters["code_version"]["lock_hash"].encode())
    for path in sorted((project / "src").rglob("*.py")):
        digest.update(path.read_bytes())
    return {
        "start": f"{moments[0]:%Y-%m-%d}",
        "length of ticks": str(moments[1] - moments[0]),
        "parameters": hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest(),
        "code": digest.hexdigest(),
    }


def _lived(world: World) -> dict[str, dict[str, Record]]:
    """What each policy did at the ticks that are complete."""
    lived: dict[str, dict[str, Record]] = {}
    for record in world.load("replay_ticks").to_dict(orient="records"):
        lived.setdefault(record["tick"], {})[record["policy"]] = record
    return lived


def _live(
    tick: Tick,
    policies: dict[str, dict[str, Any]],
    before: dict[str, Record],
    bootstrap: Bootstrap,
    progress: Any,
) -> dict[str, Record]:
    """Live one tick for all policies, and write it down."""
    progress.set_postfix_str(f"{tick.name}: data")
    tick.receive()
    progress.update()
    progress.set_postfix_str(f"{tick.name}: training")
    tick.train()
    progress.update()
    records = {}
    judged: dict[str, Record] = {}
    for policy, overrides in policies.items():
        progress.set_postfix_str(f"{tick.name}: {policy}")
        record = _renew(tick, before.get(policy), judged)
        decision, windows = tick.look(policy, record["champion"], overrides)
        record |= {
            "decision": decision["outcome"],
            "reasons": " ".join(decision["reasons"]),
            "n_windows": len(windows),
            "n_drifted_windows": int(windows["drifted"].sum()),
            "n_drifted_columns": sum(len(_names(row)) for row in windows["drifted_columns"]),
        }
        records[policy] = _measured(tick, policy, record, bootstrap)
        progress.update()
    oracle = _foresee(tick, before.get(ORACLE), bootstrap)
    records[ORACLE] = _measured(tick, ORACLE, oracle, bootstrap)
    with new_file(tick.folder / "scores" / f"{tick.name}.parquet") as file:
        _scores(tick, records).to_parquet(file, index=False)
    return records


def _renew(tick: Tick, before: Record | None, judged: dict[str, Record]) -> Record:
    """Who is champion of a policy as the tick begins, after what it decided as the last ended."""
    if before is None:
        return _record(tick.name, None)
    champion = before["champion"]
    if before["decision"] != "retrain":
        return _record(champion, champion)
    if champion not in judged:
        judged[champion] = tick.judge(champion)
    decision = judged[champion]
    promoted = decision["outcome"] == "promote"
    return _record(
        tick.name if promoted else champion,
        champion,
        retrained=True,
        promoted=promoted,
        why=before["reasons"],
        gate=f"{decision['outcome']}: {' '.join(decision['reasons'])}",
    )


def _foresee(tick: Tick, before: Record | None, bootstrap: Bootstrap) -> Record:
    """The oracle retrains where the coming days will show that it surely paid."""
    if before is None:
        return _record(tick.name, None)
    if tick.without_candidate or not _pays(tick, before["champion"], bootstrap):
        return _record(before["champion"], before["champion"])
    return _record(
        tick.name,
        before["champion"],
        retrained=True,
        promoted=True,
        why="It will pay.",
        gate="not asked",
    )


def _pays(tick: Tick, champion: str, bootstrap: Bootstrap) -> bool:
    return _gain(tick, champion, tick.name, bootstrap)["high"] < 0


def _record(champion: str, replaced: str | None, **said: Any) -> Record:
    return {"champion": champion, "replaced": replaced, **NOTHING_DONE, **said}


def _measured(tick: Tick, policy: str, record: Record, bootstrap: Bootstrap) -> Record:
    """The record, with how the champion did, and what the retraining gained."""
    rows = tick.rows(record["champion"])
    gain = NO_GAIN
    if record["promoted"]:
        gain = _gain(tick, record["replaced"], record["champion"], bootstrap)
    return {
        "tick": tick.name,
        "until": f"{tick.end:%Y-%m-%d}",
        "policy": policy,
        **record,
        "n_rows": len(rows),
        "log_loss": _log_loss(rows),
        "gain": gain["value"],
        "gain_low": gain["low"],
        "gain_high": gain["high"],
        "false_alarm": record["retrained"] and not gain["high"] < 0,
    }


def _gain(tick: Tick, old: str, new: str, bootstrap: Bootstrap) -> Interval:
    """Difference in log loss on the tick, new champion minus old: negative is a gain."""
    rows, other = tick.rows(new), tick.rows(old)
    if rows.empty:
        return NO_GAIN
    return paired_difference(
        rows[COLUMNS.label].astype(int),
        rows["probability"].to_numpy(),
        other["probability"].to_numpy(),
        rows[COLUMNS.event_time].dt.normalize(),
        bootstrap,
    )


def _names(listed: str) -> list[str]:
    return [name for name in listed.split(", ") if name]


def _log_loss(rows: pd.DataFrame) -> float | None:
    if rows.empty:
        return None
    y, p = rows[COLUMNS.label].to_numpy(np.float64), rows["probability"].to_numpy(np.float64)
    return float(row_log_loss(y, p).mean())


def _scores(tick: Tick, records: dict[str, Record]) -> pd.DataFrame:
    """The labelled rows of the tick, once for each policy."""
    parts = [
        tick.rows(record["champion"])[SCORE_COLUMNS].assign(tick=tick.name, policy=policy)
        for policy, record in records.items()
    ]
    return pd.concat(parts, ignore_index=True)
