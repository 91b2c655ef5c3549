from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.run_lock import alone_in
from kedro_mlops.replay import driver
from kedro_mlops.replay.driver import prepare, ticks

FIRST, SECOND, THIRD = (pd.Timestamp(day) for day in ("2013-03-01", "2013-03-11", "2013-03-21"))


def test_ticks_meet_each_other() -> None:
    months = ticks(FIRST, pd.Timestamp("2013-06-01"), "MS")

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
        ticks(FIRST, pd.Timestamp(end), every)


def test_a_folder_holds_one_kind_of_replay(tmp_path: Path) -> None:
    prepare(tmp_path / "r", {"start": "a", "code": "1"}, fresh=False)

    prepare(tmp_path / "r", {"start": "a", "code": "1"}, fresh=False)
    with pytest.raises(ProjectError, match=r"code differ.*--fresh"):
        prepare(tmp_path / "r", {"start": "a", "code": "2"}, fresh=False)

    prepare(tmp_path / "r", {"start": "a", "code": "2"}, fresh=True)


def test_what_is_forgotten_is_forgotten_but_for_the_lock(tmp_path: Path) -> None:
    prepare(tmp_path / "r", {"start": "a"}, fresh=False)
    (tmp_path / "r/now/models").mkdir(parents=True)
    (tmp_path / "r/now/models/a.json").write_text("{}")

    with alone_in(tmp_path / "r/now"):
        prepare(tmp_path / "r", {"start": "b"}, fresh=True)

    left = {str(path.relative_to(tmp_path / "r")) for path in (tmp_path / "r").rglob("*")}
    assert left == {"now", "now/run.lock", "replay.json"}


def test_a_replay_is_what_it_is_by_its_parameters_and_code(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("x = 1")
    moments = [FIRST, SECOND]

    def identity(**changed: Any) -> dict[str, str]:
        base = {"code_version": {"lock_hash": "l"}, "replay": {"policies": {}}, "seed": 0}
        return driver.identity(tmp_path, {**base, **changed}, moments, "10D")

    before = identity()
    assert identity(as_of="2013-01-01", horizon={"days": 3}) == before
    assert identity(seed=1)["parameters"] != before["parameters"]
    (tmp_path / "src/a.py").write_text("x = 2")
    assert identity()["code"] != before["code"]
