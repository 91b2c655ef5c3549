import json
import os
import signal
import subprocess
import sys
from datetime import date

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from flight_delays.columns import Columns, column
from flight_delays.contracts import Prediction
from flight_delays.serving.prediction_log import PredictionLog

COLUMNS = Columns.of(Prediction)
TODAY, TOMORROW = date(2013, 7, 15), date(2013, 7, 16)
MOMENTS = [column.name for column in COLUMNS.all if column.kind == "datetime"]

WRITER = """
import sys, os, signal
from datetime import date
from pathlib import Path
import pandas as pd
from flight_delays.columns import Columns
from flight_delays.contracts import Prediction
from flight_delays.serving.prediction_log import PredictionLog

folder, rows, times = Path(sys.argv[1]), pd.read_parquet(sys.argv[2]), int(sys.argv[3])
log = PredictionLog(folder, Columns.of(Prediction))
for _ in range(times):
    log.append(rows, date(2013, 7, 15))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def predictions(real_rows, package):
    """Predictions as the service makes them."""
    rows = real_rows.head(50)
    probability = package.predict(rows)
    return rows.assign(
        prediction_id=[f"{i:032x}" for i in range(len(rows))],
        predicted_at=pd.Timestamp("2013-07-15 12:00:00.123456"),
        model_version=package.version,
        probability=probability,
        decision=package.decide(probability),
    )


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path / "log", COLUMNS)
    yield log
    log.close()


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def files(folder):
    return sorted((folder / "log").iterdir())


def test_every_prediction_is_one_whole_line_as_soon_as_it_is_appended(log, predictions, tmp_path):
    log.append(predictions, TODAY)

    log.append(predictions.head(1), TODAY)

    [file] = files(tmp_path)
    assert file.name == f"2013-07-15-{os.getpid()}.jsonl"
    assert file.read_text().endswith("}\n")
    ids = predictions["prediction_id"].tolist()
    assert [line["prediction_id"] for line in read(file)] == [*ids, ids[0]]


def test_lines_have_the_columns_of_the_contract_and_nothing_else(log, predictions, tmp_path):
    more = predictions.assign(secret="x")

    log.append(more, TODAY)

    [file] = files(tmp_path)
    assert all(list(line) == COLUMNS.names for line in read(file))


def test_personal_columns_are_not_in_the_log(predictions, tmp_path):
    class Private(Prediction):
        tail_number: str = column("Tail number of a private plane", personal=True, nullable=True)

    log = PredictionLog(tmp_path / "log", Columns.of(Private).without_personal())

    log.append(predictions.assign(tail_number="N-ADA-1815"), TODAY)

    log.close()
    [file] = files(tmp_path)
    logged = [name for name in COLUMNS.names if name != "tail_number"]
    assert [list(line) for line in read(file)] == [logged] * len(predictions)
    assert "N-ADA-1815" not in file.read_text()


def test_what_is_read_back_is_what_was_predicted(log, predictions, tmp_path):
    in_microseconds = dict.fromkeys(MOMENTS, "datetime64[us]")
    expected = predictions.reset_index(drop=True)[COLUMNS.names].astype(in_microseconds)

    log.append(predictions, TODAY)

    [file] = files(tmp_path)
    written = pd.DataFrame(read(file)).astype(expected.dtypes.to_dict())
    assert_frame_equal(Prediction.validate(written), expected, check_exact=True)


def test_missing_values_are_null(log, predictions, tmp_path):
    names = ["temperature_f", "plane_year", "tail_number"]
    missing = predictions.head(1).assign(**dict.fromkeys(names, np.nan)).astype({names[2]: "str"})

    log.append(missing, TODAY)

    [file] = files(tmp_path)
    assert "NaN" not in file.read_text()
    [line] = read(file)
    assert [line[name] for name in names] == [None] * 3


def test_a_new_day_has_a_new_file(log, predictions, tmp_path):
    log.append(predictions.head(2), TODAY)

    log.append(predictions.head(3), TOMORROW)

    today, tomorrow = files(tmp_path)
    assert (len(read(today)), len(read(tomorrow))) == (2, 3)
    assert tomorrow.name.startswith("2013-07-16-")


def test_a_log_that_was_closed_goes_on_where_it_ended(log, predictions, tmp_path):
    log.append(predictions.head(2), TODAY)
    log.close()

    log.append(predictions.head(3), TODAY)

    [file] = files(tmp_path)
    assert len(read(file)) == 5


def test_two_processes_lose_nothing_even_when_they_are_killed(predictions, tmp_path):
    rows, times = tmp_path / "rows.parquet", 40
    predictions.to_parquet(rows)
    command = [sys.executable, "-c", WRITER, str(tmp_path / "log"), str(rows), str(times)]

    writers = [subprocess.Popen(command) for _ in range(2)]

    assert [writer.wait(timeout=60) for writer in writers] == [-signal.SIGKILL] * 2
    written = files(tmp_path)
    assert [file.name for file in written] == sorted(
        f"2013-07-15-{writer.pid}.jsonl" for writer in writers
    )
    expected = predictions["prediction_id"].tolist() * times
    for file in written:
        assert [line["prediction_id"] for line in read(file)] == expected
