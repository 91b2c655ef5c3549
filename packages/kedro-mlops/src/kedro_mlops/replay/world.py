"""Pipelines, run as of many days, and what they say of the days between two of them."""

import logging
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.project import settings

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.decision import Decision
from kedro_mlops.monitoring.decisions import RetrainDecision

logger = logging.getLogger(__name__)

LOOKED_AT = [
    "labelled_predictions", "windows", "retrain_decision", "decision_history", "window_history",
]  # fmt: skip
JUDGED = [
    "candidate", "candidate_footprint", "test_predictions", "metrics", "slice_metrics",
    "single_feature_auc",
]  # fmt: skip

# the globals by which an environment keeps a replay's models from the real ones
APART = {"candidate", "champion", "last_trained", "policy"}


@dataclass(frozen=True)
class World:
    """One project and environment, in which pipelines are run as of many days."""

    project: Path
    env: str

    def run(
        self, pipelines: list[str], wanted: list[str], parameters: dict[str, Any], **folders: str
    ) -> dict[str, Any]:
        """Run what makes the wanted datasets, and load them."""
        with self._session({**parameters, "globals": folders}) as session:
            session.run(pipeline_names=pipelines, to_outputs=wanted)
            catalog = session.load_context().catalog
            return {name: catalog.load(name) for name in wanted}

    @cached_property
    def contract(self) -> Columns:
        """What the model is about."""
        contract: Columns = self.catalog().load("contract")
        return contract

    def catalog(self) -> Any:
        """What there is, whatever the day."""
        with self._session() as session:
            return session.load_context().catalog

    def configuration(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Globals, and parameters as plain values.

        Raises:
            ProjectError: if the environment is not made for replays.
        """
        with self._session() as session:
            loader = session.load_context().config_loader
            folders, parameters = dict(loader["globals"]), dict(loader["parameters"])
        if not folders.keys() >= APART:
            raise ProjectError(
                f"The environment '{self.env}' does not keep a replay apart from the champion "
                "that serves. Begin with a copy of conf/replay, and change its parameters."
            )
        return folders, parameters

    def _session(self, parameters: dict[str, Any] | None = None) -> Any:
        return settings.SESSION_CLASS.create(self.project, env=self.env, runtime_params=parameters)


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

    def judge(self, champion: str) -> Decision:
        """Ask the gate whether the candidate of this day replaces a champion."""
        if self.without_candidate:
            return Decision(
                outcome="block",
                candidate=self.name,
                champion_before=champion,
                reasons=[self.without_candidate],
            )
        made = self.world.run(
            ["gate"],
            ["gate_decision"],
            self.parameters,
            candidate=self.model(self.name),
            champion=self.model(champion),
        )
        decision: Decision = made["gate_decision"]
        return decision

    def look(
        self, policy: str, champion: str, last_trained: str, overrides: dict[str, Any]
    ) -> tuple[RetrainDecision, pd.DataFrame]:
        """Score the days of the tick, watch, and decide, as a policy does.

        Returns:
            The decision, and what was seen of each window.
        """
        made = self._watch(
            champion,
            LOOKED_AT,
            overrides,
            last_trained=self.model(last_trained),
            policy=str(self.folder / "policies" / policy),
        )
        return made["retrain_decision"], made["windows"]

    def rows(self, champion: str) -> pd.DataFrame:
        """The labelled rows of the tick, with what a model says of them."""
        if champion not in self._rows:
            self._watch(champion, ["labelled_predictions"], {})
        return self._rows[champion]

    def model(self, as_of: str) -> str:
        """Where the model of a day is kept."""
        return str(self.folder / "candidates" / as_of)

    def _watch(
        self, champion: str, wanted: list[str], overrides: dict[str, Any], **folders: str
    ) -> dict[str, Any]:
        """Score the days by a champion, watch, and keep the rows of which the label came in."""
        folders["champion"] = self.model(champion)
        given = {**self.parameters, **overrides}
        made = self.world.run(["scoring", "monitoring"], wanted, given, **folders)
        contract, labelled = self.world.contract, made["labelled_predictions"]
        known = labelled.filter(labelled[contract.label].notnull())
        # the next look writes its rows over these
        self._rows[champion] = known.order_by(contract.keys).to_pandas()
        return made
