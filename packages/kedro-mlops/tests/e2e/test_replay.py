"""A replay that is killed and goes on, and the same ticks lived by hand."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from driving.project import Project

ENV, BY_HAND = "replay_test", "by_hand"
DAYS = ["2013-02-15", "2013-02-22", "2013-03-01", "2013-03-08"]
# asks for a retraining at every second tick
OWN = {"retraining": {"max_age_days": 10, "cooldown_days": 0, "drift": None}}
COMMAND = f"kedro replay --env {ENV} --from {DAYS[0]} --to {DAYS[-1]} --every 7D"


@pytest.fixture(scope="module")
def worlds(project: Project) -> Project:
    """An environment to replay in, and one to live the same ticks by hand."""
    sample = yaml.safe_load((project.folder / "conf/sample/parameters.yml").read_text())
    sample["modelling"]["n_trials"]["gradient_boosting"] = 1
    never = {
        "max_age_days": None, "new_labels_share": None, "lost_performance": False, "drift": None,
    }  # fmt: skip
    policies = {"never": {"retraining": never}, "ours": {}}
    own = yaml.safe_dump(sample | OWN | {"replay": {"benchmark": "never", "policies": policies}})
    project.with_environment(BY_HAND, "data/by_hand", parameters=own)
    conf = project.folder / "conf" / ENV
    shutil.copytree(project.folder / "conf/replay", conf)
    text = (conf / "globals.yml").read_text().replace("data/replay", "data/lived")
    (conf / "globals.yml").write_text(f"{text}\nreplay: data/lived\n")
    (conf / "parameters.yml").write_text(own)
    # a policy that base declares cannot be taken away by an environment
    base = project.folder / "conf/base/parameters_replay.yml"
    kept = yaml.safe_load(base.read_text())
    kept["replay"] |= {"benchmark": "never", "policies": policies}
    base.write_text(yaml.safe_dump(kept))
    return project


@pytest.fixture(scope="module")
def lived(worlds: Project) -> pd.DataFrame:
    """The ticks of a replay that was killed in its second tick, and then went on."""
    folder = worlds.folder / "data/lived"
    with worlds.started(COMMAND) as running:
        running.wait_for((folder / "ticks.jsonl").exists, "the first tick is complete", 240)
        running.wait_for((folder / "candidates" / DAYS[1]).exists, "the second has begun")
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
    assert set(ticks(folder)["tick"]) == {DAYS[0]}
    worlds.must(COMMAND)
    return ticks(folder).set_index(["tick", "policy"])


def ticks(folder: Path) -> pd.DataFrame:
    return pd.DataFrame(map(json.loads, (folder / "ticks.jsonl").read_text().splitlines()))


@pytest.fixture(scope="module")
def by_hand(worlds: Project) -> list[dict[str, Any]]:
    """The same ticks, lived with nothing but `kedro run` and `kedro retrain`."""
    first = f"as_of={DAYS[0]},horizon.days=7"
    pipelines = "data_engineering,modelling,gate,release"
    worlds.must(f"kedro run --env {BY_HAND} --pipelines={pipelines} --params {first}")
    seen = []
    for day in DAYS[1:]:
        said = worlds.must(f"kedro retrain --env {BY_HAND} --until {day}")
        reports = worlds.folder / "data/by_hand/08_reporting"
        decided = json.loads((reports / "retrain_decision.json").read_text())
        performance = json.loads((reports / "performance.json").read_text())
        seen.append(
            {
                "version": performance["model"]["version"],
                "log_loss": performance["metrics"]["log_loss"]["value"],
                "decision": decided["outcome"],
                "reasons": " ".join(decided["reasons"]),
                "trained": "Trained" in said,
            }
        )
    return seen


def test_a_replay_that_was_killed_lives_every_tick_once(lived: pd.DataFrame) -> None:
    policies = ["never", "ours", "oracle"]

    assert sorted(lived.index) == sorted((day, policy) for day in DAYS[:-1] for policy in policies)


def test_a_replay_is_the_ticks_run_by_hand(
    lived: pd.DataFrame, by_hand: list[dict[str, Any]], worlds: Project
) -> None:
    for day, seen in zip(DAYS[:-1], by_hand, strict=True):
        record = lived.loc[(day, "ours")]
        folder = worlds.folder / "data/lived/candidates" / record["champion"]
        version = json.loads((folder / "metadata.json").read_text())["version"]

        assert version == seen["version"]
        # a replay has the rows; monitoring counts them in cells of their scores
        assert record["log_loss"] == pytest.approx(seen["log_loss"], abs=1e-6)
        assert (record["decision"], record["reasons"]) == (seen["decision"], seen["reasons"])
        assert seen["trained"] == (seen["decision"] == "retrain")


def test_without_a_champion_there_is_nothing_to_look_at(project: Project) -> None:
    nobody = project.with_environment("nobody", "data/nobody")

    done = project.run(f"kedro retrain --env {nobody}")

    assert done.returncode == 1
    step = f'`make run ARGS="--env {nobody}"`'
    assert f"There is no champion yet. Make one with {step}." in done.stderr


def test_policies_differ_by_what_they_ask_for(lived: pd.DataFrame) -> None:
    never, ours = lived.xs("never", level="policy"), lived.xs("ours", level="policy")

    assert not never["retrained"].any()
    assert ours["retrained"].tolist() == [False, False, True]
    assert set(never["champion"]) == {DAYS[0]}


def test_it_ends_with_a_comparison_to_read(lived: pd.DataFrame, worlds: Project) -> None:
    folder = worlds.folder / "data/lived"
    table = pd.read_csv(folder / "policies.csv").set_index("policy")

    assert set(table.index) == {"never", "ours", "oracle"}
    assert table.loc["never", "difference"] == 0
    assert table["log_loss"].idxmin() in ("oracle", "ours")
    assert "What retraining was worth" in (folder / "replay.html").read_text()


def test_a_replay_that_is_complete_is_only_summed_up_again(
    lived: pd.DataFrame, worlds: Project
) -> None:
    before = (worlds.folder / "data/lived/ticks.jsonl").read_bytes()

    said = worlds.must(COMMAND)

    assert "never" in said
    assert "retrainings" in said
    assert (worlds.folder / "data/lived/ticks.jsonl").read_bytes() == before


def test_a_replay_of_another_kind_is_refused_and_nothing_is_lost(
    lived: pd.DataFrame, worlds: Project
) -> None:
    before = (worlds.folder / "data/lived/ticks.jsonl").read_bytes()

    done = worlds.run(f"{COMMAND} --every 14D")

    assert done.returncode == 1
    assert "length of ticks" in done.stderr
    assert "--fresh" in done.stderr
    assert "Traceback" not in done.stderr
    assert (worlds.folder / "data/lived/ticks.jsonl").read_bytes() == before
