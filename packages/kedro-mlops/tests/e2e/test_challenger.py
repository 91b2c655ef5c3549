"""A challenger on live rows: released, in the shadow, as a canary, judged and switched off."""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import yaml
from driving.asking import logged, predict, predict_arrow
from driving.project import Loop, Project, free_port

from flight_delays.contracts import Inputs

from kedro_mlops.contract.columns import Columns

ENV, DATA = "tried", "data/tried"
SHARE = 0.5
N_ROWS, N_IN_A_REQUEST = 1200, 30
N_OF_A_TABLE = 600
WAIT_SECONDS = 30
KEYS = [column.name for column in Columns.of(Inputs).sent if column.name in Columns.of(Inputs).keys]


@dataclass
class Trial:
    """What has come of a champion and a challenger that were asked the same.

    Attributes:
        champion: The version of the one.
        challenger: The version of the other.
        rows: Real rows of the horizon.
        shadowed: What was answered while the challenger was a shadow, in the order of the rows.
        shared: The same, while it was a canary.
        again: What the canary's service answered to the same rows when asked again.
        late: What it answered when the challenger had been stopped.
        tables: What was answered to tables.
        shadow_log: The log of the shadow.
        decisions: What monitoring said, of the shadow and of the canary.
        off: Why the service has switched the challenger off.
    """

    project: Project
    champion: str
    challenger: str
    rows: pd.DataFrame
    shadowed: list[dict[str, Any]] = field(default_factory=list)
    shared: list[dict[str, Any]] = field(default_factory=list)
    again: list[dict[str, Any]] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)
    tables: list[pd.DataFrame] = field(default_factory=list)
    shadow_log: pd.DataFrame = field(default_factory=pd.DataFrame)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    off: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.project.folder / DATA

    @property
    def log(self) -> Path:
        return self.folder / "07_model_output/prediction_log"

    @property
    def decision_file(self) -> Path:
        return self.folder / "06_models/challenger_decision.json"

    def ask(self, service: httpx.Client, rows: pd.DataFrame) -> list[dict[str, Any]]:
        """In small requests, which are tried."""
        parts = [rows[i : i + N_IN_A_REQUEST] for i in range(0, len(rows), N_IN_A_REQUEST)]
        return [answer for part in parts for answer in predict(service, part)]

    def watch(self) -> None:
        self.project.must(f"kedro run --env {ENV} --pipelines=monitoring")
        self.decisions.append(json.loads(self.decision_file.read_text()))

    @contextlib.contextmanager
    def served(self, mode: str) -> Iterator[httpx.Client]:
        _configure(self.project, mode)
        port = free_port()
        with self.project.served(f"kedro serve --env {ENV} --port {port}", port) as service:
            assert f'challenger_mode{{mode="{mode}"}} 1.0' in service.get("/metrics").text
            yield service


def _configure(project: Project, mode: str) -> None:
    own = yaml.safe_load((project.folder / "conf/sample/parameters.yml").read_text())
    own["release"]["challenger"] = True
    own |= {"seed": 1, "challenger": {"mode": mode, "share": SHARE}}
    # so that it is tried before a person promotes it
    own["gate"] = {"require_approval": True}
    project.with_environment(ENV, DATA, parameters=yaml.safe_dump(own))


@contextlib.contextmanager
def _another_model(project: Project) -> Iterator[None]:
    """Somebody tries fewer trees."""
    file = project.folder / "packages/kedro-mlops/src/kedro_mlops/models/families.py"
    code = file.read_text()
    assert '"max_iter": 200' in code
    file.write_text(code.replace('"max_iter": 200', '"max_iter": 120'))
    try:
        yield
    finally:
        file.write_text(code)


@pytest.fixture(scope="module")
def trial(sample_loop: Loop) -> Trial:
    """A challenger on trial, from its release until it is stopped."""
    project = sample_loop.project
    shutil.copytree(sample_loop.at_first, project.folder / DATA)
    _configure(project, "shadow")
    with _another_model(project):
        project.must(f"kedro run --env {ENV} --pipelines=modelling,gate,release")
    decision = json.loads((project.folder / DATA / "06_models/gate_decision.json").read_text())
    assert decision["outcome"] == "await_approval"
    rows = pd.read_parquet(sample_loop.files["predictions"])[Columns.of(Inputs).names]
    trial = Trial(
        project,
        decision["champion_before"],
        decision["candidate"],
        rows.sample(N_ROWS, random_state=0, ignore_index=True),
    )
    few = trial.rows.head(N_OF_A_TABLE)
    with trial.served("shadow") as service:
        trial.shadowed = trial.ask(service, trial.rows)
        trial.tables.append(_table(service, few))
        trial.shadow_log = logged(trial.log)
        trial.watch()
    with trial.served("canary") as service:
        trial.shared = trial.ask(service, trial.rows)
        trial.again = trial.ask(service, few)
        trial.tables.append(_table(service, few))
        stopped = {"stopped": [trial.challenger], "reasons": ["A person."]}
        trial.decision_file.write_text(json.dumps(trial.decisions[0] | stopped))
        _wait_until_off(service, trial)
        trial.late += trial.ask(service, trial.rows)
        trial.tables.append(_table(service, few))
    trial.off = json.loads((trial.log / "challenger_off.json").read_text())
    trial.watch()
    return trial


def _table(service: httpx.Client, rows: pd.DataFrame) -> pd.DataFrame:
    return predict_arrow(service, rows[[column.name for column in Columns.of(Inputs).sent]])


def _wait_until_off(service: httpx.Client, trial: Trial) -> None:
    """It looks at the decision now and then, when it is asked."""
    deadline = time.monotonic() + WAIT_SECONDS
    while 'challenger_mode{mode="off"} 1.0' not in service.get("/metrics").text:
        assert time.monotonic() < deadline, "the challenger was not switched off"
        trial.late += trial.ask(service, trial.rows.head(1))
        time.sleep(0.2)


def test_a_release_carries_the_candidate_that_does_not_serve(trial: Trial) -> None:
    release = json.loads((trial.folder / "06_models/release.json").read_text())

    assert trial.challenger != trial.champion
    assert release["labels"]["champion_version"] == trial.champion
    assert release["challenger"].startswith(f"flight_delays:{trial.challenger}-")


def test_what_a_shadow_says_of_every_row_is_logged_and_never_answered(trial: Trial) -> None:
    log = trial.shadow_log

    shadows = log[log["variant"] == "shadow"]
    ours = log[log["variant"] == "champion"]

    assert {answer["model_version"] for answer in trial.shadowed} == {trial.champion}
    assert not set(shadows["prediction_id"]) & {a["prediction_id"] for a in trial.shadowed}
    assert set(shadows["model_version"]) == {trial.challenger}
    assert len(shadows) == N_ROWS + N_OF_A_TABLE
    assert shadows[KEYS].to_numpy().tolist() == ours[KEYS].to_numpy().tolist()
    assert (shadows["probability"].to_numpy() != ours["probability"].to_numpy()).any()


def test_a_canary_answers_a_share_of_the_keys_and_always_the_same(trial: Trial) -> None:
    by_canary = [answer["model_version"] == trial.challenger for answer in trial.shared]

    again = [answer["model_version"] == trial.challenger for answer in trial.again]

    assert SHARE - 0.06 < sum(by_canary) / N_ROWS < SHARE + 0.06
    assert by_canary[:N_OF_A_TABLE] == again
    shadowed, shared, late = (table["model_version"] for table in trial.tables)
    assert (shared == trial.challenger).tolist() == again
    assert set(shadowed) == set(late) == {trial.champion}


def test_monitoring_compares_either_with_the_champion(trial: Trial) -> None:
    n_canary = sum(answer["model_version"] == trial.challenger for answer in trial.shared)

    shadow, canary = trial.decisions

    assert (shadow["variant"], canary["variant"]) == ("shadow", "canary")
    outcome = "propose" if shadow["difference"]["high"] < 0 else "continue"
    assert (shadow["outcome"], shadow["stopped"]) == (outcome, [])
    # of a few the label is not known
    assert 0.8 * N_ROWS < shadow["challenger_metrics"]["n_rows"] <= N_ROWS
    assert 0.8 * n_canary < canary["challenger_metrics"]["n_rows"] <= n_canary
    for decision in trial.decisions:
        assert decision["challenger"] == trial.challenger
        assert decision["champion"]["model_version"] == trial.champion
        assert decision["difference"]["low"] < decision["difference"]["high"]


def test_a_challenger_that_was_stopped_is_switched_off_while_the_service_runs(
    trial: Trial,
) -> None:
    late = {answer["model_version"] for answer in trial.late[-N_ROWS:]}

    assert late == {trial.champion}
    assert trial.off["challenger"] == trial.challenger
    assert trial.off["mode"] == "canary"
    assert trial.off["reason"] == "monitoring: A person."


def test_every_answer_is_ingested_once(trial: Trial) -> None:
    parts = [
        pd.read_parquet(part)
        for part in (trial.folder / "07_model_output/served_predictions").glob("*.parquet")
    ]

    served = pd.concat(parts)
    answered = [*trial.shadowed, *trial.shared, *trial.again, *trial.late]
    expected = [answer["prediction_id"] for answer in answered]
    expected += [made for table in trial.tables for made in table["prediction_id"]]
    assert sorted(served.query("variant != 'shadow'")["prediction_id"]) == sorted(expected)
    assert sorted(served.query("variant == 'shadow'")["prediction_id"]) == sorted(
        trial.shadow_log.query("variant == 'shadow'")["prediction_id"]
    )
