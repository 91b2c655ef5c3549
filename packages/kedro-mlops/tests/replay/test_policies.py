from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from example.factories import COLUMNS, decided

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.models.decision import Decision, Outcome
from kedro_mlops.monitoring.decisions import RetrainDecision, Trigger
from kedro_mlops.replay.nodes import ORACLE, POLICY
from kedro_mlops.replay.policies import live_tick
from kedro_mlops.replay.world import Tick, World

FIRST, SECOND, THIRD = (pd.Timestamp(day) for day in ("2013-03-01", "2013-03-11", "2013-03-21"))


@dataclass
class Lived(Tick):
    """A tick on which models are as good as ``skill`` says, and the gate as strict as ``gate``."""

    skill: dict[str, float] = field(default_factory=dict)
    gate: Outcome = "promote"
    asked: list[str] = field(default_factory=list)

    def receive(self) -> None: ...

    def train(self) -> None: ...

    def judge(self, champion: str) -> Decision:
        self.asked.append(champion)
        return decided(self.gate, reasons=["So it is."])

    def look(self, policy: str, champion: str, last_trained: str, overrides: dict[str, Any]) -> Any:
        windows = pd.DataFrame({"drifted": [True, False], "drifted_columns": ["size, shape", ""]})
        windows = windows.assign(log_loss=[0.5, 0.6], estimated_log_loss=[0.6, 0.3])
        fired = overrides["says"] == "retrain"
        rule = Trigger(rule="age", fired=fired, value=None, limit=None, reason="It says so.")
        return RetrainDecision.weigh([rule], []), windows

    def rows(self, champion: str) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        y = rng.random(400) < 0.3
        noise = rng.normal(0, 0.02, 400)
        p = np.clip(0.3 + self.skill.get(champion, 0) * (y - 0.3) + noise, 0.01, 0.99)
        rows = pd.DataFrame({"probability": p, "decision": p > 0.4})
        for name in COLUMNS.keys:
            rows[name] = range(400)
        rows[COLUMNS.event_time] = self.start + pd.to_timedelta(np.arange(400) % 10, "D")
        return rows.assign(**{COLUMNS.label: pd.array(y.astype(int), dtype="Int8")})


class Progress:
    def update(self) -> None: ...

    def set_postfix_str(self, text: str) -> None: ...


def lived_world(folder: Path) -> World:
    world = World(folder, "replay")
    world.__dict__["contract"] = COLUMNS  # in place of a catalog
    return world


@pytest.fixture
def live(tmp_path: Path, bootstrap: Bootstrap) -> Iterator[Any]:
    """Live two ticks; the policy's decision at the end of the first is given."""

    def run(says: str, skill: float, gate: Outcome = "promote") -> tuple[Any, Any, Lived]:
        world = lived_world(tmp_path)
        policies = {"one": {"says": says}}
        first = Lived(world, tmp_path, FIRST, SECOND)
        second = Lived(world, tmp_path, SECOND, THIRD, skill={second_name: skill}, gate=gate)
        before = live_tick(first, policies, {}, bootstrap, Progress())
        return before, live_tick(second, policies, before, bootstrap, Progress()), second

    second_name = "2013-03-11"
    return run


def test_all_begin_with_the_same_champion(live: Any) -> None:
    before, _, _ = live("wait", skill=0.3)

    assert {record["champion"] for record in before.values()} == {"2013-03-01"}
    assert not any(record["retrained"] for record in before.values())


def test_without_a_first_champion_there_is_nothing_to_live(
    tmp_path: Path, bootstrap: Bootstrap
) -> None:
    world = lived_world(tmp_path)
    first = Lived(world, tmp_path, FIRST, SECOND, without_candidate="7 rows are too few.")

    with pytest.raises(ProjectError, match=r"no first champion.*7 rows are too few"):
        live_tick(first, {"one": {"says": "wait"}}, {}, bootstrap, Progress())


def test_a_policy_that_waits_keeps_its_champion(live: Any) -> None:
    _, after, tick = live("wait", skill=0.3)

    assert after["one"]["champion"] == "2013-03-01"
    assert not after["one"]["retrained"]
    assert tick.asked == []


def test_a_policy_that_retrains_gets_the_candidate_that_the_gate_promotes(live: Any) -> None:
    _, after, tick = live("retrain", skill=0.3)

    record = after["one"]
    assert (record["champion"], record["replaced"]) == ("2013-03-11", "2013-03-01")
    assert record["gain_high"] < 0
    assert not record["false_alarm"]
    assert record["why"] == "It says so."
    assert tick.asked == ["2013-03-01"]


def test_a_candidate_that_the_gate_keeps_out_was_trained_for_nothing(live: Any) -> None:
    _, after, _ = live("retrain", skill=0.3, gate="keep")

    assert after["one"]["champion"] == "2013-03-01"
    assert after["one"]["last_trained"] == "2013-03-11"
    assert after["one"]["retrained"]
    assert after["one"]["false_alarm"]


def test_a_gain_that_could_be_noise_is_a_false_alarm(live: Any) -> None:
    _, after, _ = live("retrain", skill=0.0)

    assert after["one"]["promoted"]
    assert after["one"]["false_alarm"]


@pytest.mark.parametrize(("skill", "champion"), [(0.3, "2013-03-11"), (-0.3, "2013-03-01")])
def test_the_oracle_retrains_only_where_it_pays(live: Any, skill: float, champion: str) -> None:
    _, after, _ = live("wait", skill=skill)

    assert after[ORACLE]["champion"] == champion
    assert not after[ORACLE]["false_alarm"]


def test_what_was_seen_of_drift_is_counted(live: Any) -> None:
    _, after, _ = live("wait", skill=0.3)

    seen = [after["one"][f"n_{what}"] for what in ("windows", "drifted_windows", "drifted_columns")]
    assert seen == [2, 1, 2]


def test_what_the_estimate_was_off_by_is_kept(live: Any) -> None:
    _, after, _ = live("wait", skill=0.3)

    assert after["one"]["estimate_error"] == pytest.approx(0.2)
    assert after[ORACLE]["estimate_error"] is None


def test_what_was_said_of_every_row_is_written_down(live: Any, tmp_path: Path) -> None:
    live("wait", skill=0.3)

    scores = pd.read_parquet(tmp_path / "scores")
    assert len(scores) == 2 * 2 * 400
    assert set(scores[POLICY]) == {"one", ORACLE}
