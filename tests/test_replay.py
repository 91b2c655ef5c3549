from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flight_delays import replay
from flight_delays.errors import ProjectError
from flight_delays.metrics import Bootstrap

FIRST, SECOND, THIRD = (pd.Timestamp(day) for day in ("2013-03-01", "2013-03-11", "2013-03-21"))


@dataclass
class Lived(replay.Tick):
    """A tick on which models are as good as ``skill`` says, and the gate as strict as ``gate``."""

    skill: dict[str, float] = field(default_factory=dict)
    gate: str = "promote"
    asked: list[str] = field(default_factory=list)

    def receive(self) -> None: ...

    def train(self) -> None: ...

    def judge(self, champion: str) -> replay.Record:
        self.asked.append(champion)
        return {"outcome": self.gate, "reasons": ["So it is."]}

    def look(self, policy: str, champion: str, overrides: dict[str, Any]) -> Any:
        windows = pd.DataFrame({"drifted": [True, False], "drifted_columns": ["size, shape", ""]})
        return {"outcome": overrides["says"], "reasons": ["It says so."]}, windows

    def rows(self, champion: str) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        y = rng.random(400) < 0.3
        noise = rng.normal(0, 0.02, 400)
        p = np.clip(0.3 + self.skill.get(champion, 0) * (y - 0.3) + noise, 0.01, 0.99)
        rows = pd.DataFrame({"probability": p, "decision": p > 0.4})
        for name in replay.COLUMNS.keys:
            rows[name] = range(400)
        rows[replay.COLUMNS.event_time] = self.start + pd.to_timedelta(np.arange(400) % 10, "D")
        return rows.assign(**{replay.COLUMNS.label: pd.array(y.astype(int), dtype="Int8")})


class Progress:
    def update(self) -> None: ...

    def set_postfix_str(self, text: str) -> None: ...


@pytest.fixture
def live(tmp_path: Path, bootstrap: Bootstrap) -> Iterator[Any]:
    """Live two ticks; the policy's decision at the end of the first is given."""

    def run(says: str, skill: float, gate: str = "promote") -> tuple[Any, Any, Lived]:
        world = replay.World(tmp_path, "replay")
        policies = {"one": {"says": says}}
        first = Lived(world, tmp_path, FIRST, SECOND)
        second = Lived(world, tmp_path, SECOND, THIRD, skill={second_name: skill}, gate=gate)
        before = replay._live(first, policies, {}, bootstrap, Progress())
        return before, replay._live(second, policies, before, bootstrap, Progress()), second

    second_name = "2013-03-11"
    return run


def test_ticks_meet_each_other() -> None:
    months = replay.ticks(FIRST, pd.Timestamp("2013-06-01"), "MS")

    assert [f"{moment:%m-%d}" for moment in months] == ["03-01", "04-01", "05-01", "06-01"]


@pytest.mark.parametrize(
    ("end", "every", "expected"),
    [
        ("2013-03-02", "MS", "no whole tick"),
        ("2012-01-01", "MS", "no whole tick"),
        ("2013-09-01", "fortnight", "--every=fortnight is not a frequency"),
    ],
)
def test_what_is_no_series_of_ticks_is_refused(end: str, every: str, expected: str) -> None:
    with pytest.raises(ProjectError, match=expected):
        replay.ticks(FIRST, pd.Timestamp(end), every)


def test_all_begin_with_the_same_champion(live: Any) -> None:
    before, _, _ = live("wait", skill=0.3)

    assert {record["champion"] for record in before.values()} == {"2013-03-01"}
    assert not any(record["retrained"] for record in before.values())


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
    assert after["one"]["retrained"]
    assert after["one"]["false_alarm"]


def test_a_gain_that_could_be_noise_is_a_false_alarm(live: Any) -> None:
    _, after, _ = live("retrain", skill=0.0)

    assert after["one"]["promoted"]
    assert after["one"]["false_alarm"]


@pytest.mark.parametrize(("skill", "champion"), [(0.3, "2013-03-11"), (-0.3, "2013-03-01")])
def test_the_oracle_retrains_only_where_it_pays(live: Any, skill: float, champion: str) -> None:
    _, after, _ = live("wait", skill=skill)

    assert after[replay.ORACLE]["champion"] == champion
    assert not after[replay.ORACLE]["false_alarm"]


def test_what_was_seen_of_drift_is_counted(live: Any) -> None:
    _, after, _ = live("wait", skill=0.3)

    seen = [after["one"][f"n_{what}"] for what in ("windows", "drifted_windows", "drifted_columns")]
    assert seen == [2, 1, 2]


def test_what_was_said_of_every_row_is_written_down(live: Any, tmp_path: Path) -> None:
    live("wait", skill=0.3)

    scores = pd.read_parquet(tmp_path / "scores")
    assert len(scores) == 2 * 2 * 400
    assert set(scores["policy"]) == {"one", replay.ORACLE}


def test_a_folder_holds_one_kind_of_replay(tmp_path: Path) -> None:
    replay.prepare(tmp_path / "r", {"start": "a", "code": "1"}, fresh=False)

    replay.prepare(tmp_path / "r", {"start": "a", "code": "1"}, fresh=False)
    with pytest.raises(ProjectError, match=r"code differ.*--fresh"):
        replay.prepare(tmp_path / "r", {"start": "a", "code": "2"}, fresh=False)

    replay.prepare(tmp_path / "r", {"start": "a", "code": "2"}, fresh=True)


def test_a_replay_is_what_it_is_by_its_parameters_and_code(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("x = 1")
    moments = [FIRST, SECOND]

    def identity(**changed: Any) -> dict[str, str]:
        base = {"code_version": {"lock_hash": "l"}, "replay": {"policies": {}}, "seed": 0}
        return replay.identity(tmp_path, {**base, **changed}, moments)

    before = identity()
    assert identity(as_of="2013-01-01", horizon={"days": 3}) == before
    assert identity(seed=1)["parameters"] != before["parameters"]
    (tmp_path / "src/a.py").write_text("x = 2")
    assert identity()["code"] != before["code"]
