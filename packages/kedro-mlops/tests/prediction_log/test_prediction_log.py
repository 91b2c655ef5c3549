import datetime
import json
import signal
import subprocess
import sys
from collections import Counter

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from example import ENVIRONMENT
from example.contracts import Prediction
from example.factories import LOGGED, json_lines, predictions
from example.ingestion import datasets, run
from kedro.io import DatasetError

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core import storage
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.run_lock import alone_saving
from kedro_mlops.monitoring.nodes import ingest
from kedro_mlops.prediction_log import datasets as served
from kedro_mlops.prediction_log import parts as log_parts
from kedro_mlops.prediction_log.datasets import (
    read_log,
)
from kedro_mlops.prediction_log.writer import PredictionLog

COLUMNS = Columns.of(Prediction)
TYPES = {column.name: column.types.pandas for column in COLUMNS.all}
TODAY = datetime.datetime.now(datetime.UTC).date()

# one request after the other, of up to twenty rows; says which are logged
WRITER = """
import datetime, os, sys, time
from itertools import count
from pathlib import Path
from kedro_mlops.prediction_log.writer import PredictionLog

line = sys.argv[2]
answers = os.open(f"{sys.argv[1]}-answers", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
log = PredictionLog(Path(sys.argv[1]), 100_000, 1_000_000_000)
today = datetime.datetime.now(datetime.UTC).date()
for i in count():
    ids = [f"{os.getpid()}-{i}-{row}" for row in range(1 + i % 20)]
    log.append("".join(line.replace("p000", id) for id in ids).encode(), today)
    os.write(answers, (" ".join(ids) + "\\n").encode())
    time.sleep(0.005)
"""

# two at a time ingest, and are killed at any moment
INGEST = """
import os, random, signal, sys, time
from pathlib import Path
from kedro_mlops.prediction_log import parts as log_parts
from example.ingestion import datasets, run

log_parts.MAX_PART_BYTES = 50_000
folder, killed = Path(sys.argv[1]), 0
random.seed(0)
print("ready", flush=True)
for _ in range(20):
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            run(datasets(folder))
            os._exit(0)
        children.append(child)
    time.sleep(random.choice([0.02, 0.05, 0.2]) * random.random())
    for child in children:
        os.kill(child, signal.SIGKILL)
        killed += os.waitpid(child, 0)[1] == signal.SIGKILL
print(killed)
"""


ON_BOTH = pytest.mark.parametrize("catalog", ["disk", "store"], indirect=True)


@pytest.fixture
def catalog(tmp_path, request):
    on_store = getattr(request, "param", "") == "store"
    url = f"{request.getfixturevalue('bucket')}/served" if on_store else ""
    return datasets(tmp_path, served_in=url)


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path / "log", 1_000_000, 10_000_000)
    yield log
    log.close()


def loaded(catalog):
    table = catalog["served_predictions"].load()
    return table.order_by("prediction_id").to_pandas().astype(TYPES)


@ON_BOTH
def test_what_the_service_logged_is_ingested_to_the_last_digit(catalog, log):
    rows = predictions(30)
    log.append(json_lines(rows.head(10)), TODAY)
    run(catalog)
    log.append(json_lines(rows[10:20]), TODAY)
    log.append_table(pa.Table.from_pandas(rows.tail(10), preserve_index=False), TODAY)

    run(catalog)
    run(catalog)

    pd.testing.assert_frame_equal(loaded(catalog), rows.astype(TYPES))


@ON_BOTH
def test_before_anything_is_served_there_is_a_table_of_no_rows(catalog):
    run(catalog)

    table = catalog["served_predictions"].load()

    assert table.columns == tuple(COLUMNS.names)
    assert table.count().to_pyarrow().as_py() == 0
    assert table.schema()["predicted_at"].is_timestamp()


@pytest.mark.parametrize("name", ["model_version=7", "flights [copy]", "all*"])
def test_a_folder_says_nothing_of_the_rows_in_it_and_is_no_pattern(tmp_path, name):
    folder = tmp_path / name
    catalog, log = datasets(folder), PredictionLog(folder / "log", 1_000_000, 10_000_000)
    log.append(json_lines(predictions(2)), TODAY)
    log.close()

    run(catalog)

    assert loaded(catalog)["model_version"].tolist() == ["v1", "v1"]


def test_columns_that_are_younger_than_a_prediction_are_missing(catalog, tmp_path):
    old = predictions(3).drop(columns=["variant", "missing_features"])
    (tmp_path / "log").mkdir()
    (tmp_path / "log/2013-02-01-4711.jsonl").write_bytes(json_lines(old))
    run(catalog)
    # a part made when the contract had neither these columns nor lacked that one
    older = pa.Table.from_pandas(old.assign(no_longer_there=1), preserve_index=False)
    pa.parquet.write_table(older, tmp_path / "served/2013-01-01-4711.0-99.parquet")

    rows = loaded(catalog)

    assert rows.columns.tolist() == COLUMNS.names
    assert len(rows) == 6
    assert rows[["variant", "missing_features"]].isna().all(axis=None)


def test_files_are_removed_when_they_are_closed_and_ingested(catalog, tmp_path):
    log = PredictionLog(tmp_path / "log", 10_000, 1_000_000)
    for i in range(20):
        log.append(json_lines(predictions(20)[i : i + 1]) * 3, TODAY)
    log.append_table(pa.Table.from_pandas(predictions(2), preserve_index=False), TODAY)
    *before, newest = sorted((tmp_path / "log").glob("*.jsonl"))

    run(catalog)

    assert len(before) > 1
    assert list((tmp_path / "log").iterdir()) == [newest]
    assert len(loaded(catalog)) == 62
    log.append(json_lines(predictions(1)), TODAY)
    run(catalog)
    assert len(loaded(catalog)) == 63


def test_a_file_stays_until_its_part_is_safely_there(catalog, tmp_path, monkeypatch):
    (tmp_path / "log").mkdir()
    file = tmp_path / "log/2013-02-01-4711.jsonl"
    file.write_bytes(json_lines(predictions(3)))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(DatasetError, match="No space"):
        patched.setattr("pyarrow.parquet.write_table", full)
        run(catalog)
    assert file.exists()
    assert not list((tmp_path / "served").glob("*"))

    run(catalog)
    assert not file.exists()
    assert len(loaded(catalog)) == 3


def test_what_is_no_prediction_is_set_aside_with_a_warning(catalog, log, tmp_path, caplog):
    lines = json_lines(predictions(3)).splitlines(keepends=True)
    log.append(b"".join([lines[0], b"{oops\n", lines[1], b"\xff\n", lines[2]]), TODAY)

    run(catalog)

    assert len(loaded(catalog)) == 3
    [aside] = (tmp_path / "served/rejected").iterdir()
    first, second = map(json.loads, aside.read_text().splitlines())
    assert (first["position"], first["content"]) == (len(lines[0]), "{oops")
    assert second["content"].encode(errors="surrogateescape") == b"\xff"
    assert f"2 of the entries of {first['file']} are no predictions" in caplog.text
    assert f"at byte {len(lines[0])}: JSON is malformed" in caplog.text
    assert str(aside) in caplog.text


def test_a_file_that_the_service_removed_meanwhile_is_told_of(catalog, log, tmp_path, caplog):
    log.append_table(pa.Table.from_pandas(predictions(2), preserve_index=False), TODAY)
    log.append(json_lines(predictions(3)), TODAY)
    new = ingest(LOGGED, catalog["prediction_log"].load())
    next((tmp_path / "log").glob("*.arrow")).unlink()

    catalog["served_predictions"].save(new)

    assert len(loaded(catalog)) == 3
    assert "was removed by the service, for want of room" in caplog.text


@ON_BOTH
def test_two_that_ingest_at_once_take_every_line_once(catalog, log):
    log.append(json_lines(predictions(3)), TODAY)
    early = ingest(LOGGED, catalog["prediction_log"].load())
    log.append(json_lines(predictions(5).tail(2)), TODAY)
    late = ingest(LOGGED, catalog["prediction_log"].load())

    catalog["served_predictions"].save(late)
    catalog["served_predictions"].save(early)

    assert loaded(catalog)["prediction_id"].tolist() == [f"p00{i}" for i in range(5)]


def test_machines_with_logs_of_their_own_fill_one_store_and_each_part_is_fetched_once(
    tmp_path, bucket, monkeypatch
):
    machines = [datasets(tmp_path / name, served_in=f"{bucket}/served") for name in "ab"]
    for name, lines in zip("ab", json_lines(predictions(2)).splitlines(keepends=True), strict=True):
        log = PredictionLog(tmp_path / name / "log", 1_000_000, 10_000_000)
        log.append(lines + b"{oops\n", TODAY)
        log.close()

    for catalog in machines:
        run(catalog)
        run(catalog)

    both = [loaded(catalog)["prediction_id"].tolist() for catalog in machines]
    assert both == 2 * [["p000", "p001"]]
    found = storage.names_below(storage.place(f"{bucket}/served"))
    assert sorted(name.partition("/")[0] for name in found if "parquet" not in name) == [
        "rejected", "rejected",
    ]  # fmt: skip
    monkeypatch.setattr(type(storage.place(bucket)), "read_bytes", None)
    assert len(loaded(machines[0])) == 2


def test_on_a_store_who_shares_the_log_waits_for_who_ingests_it(bucket, tmp_path, monkeypatch):
    catalog = datasets(tmp_path, served_in=f"{bucket}/served")
    monkeypatch.setattr(served, "LOCK_TIMEOUT_SECONDS", 0.1)

    with (
        alone_saving(tmp_path, 1, tmp_path / "log" / served.LOCK),
        pytest.raises(DatasetError, match="Another process has been saving to s3://"),
    ):
        run(catalog)

    run(catalog)


def test_a_part_that_is_half_sent_is_not_there_and_is_taken_again(bucket, tmp_path, monkeypatch):
    catalog = datasets(tmp_path, served_in=f"{bucket}/served")
    log = PredictionLog(tmp_path / "log", 1_000_000, 10_000_000)
    log.append(json_lines(predictions(3)), TODAY)

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(pyarrow.parquet, "write_table", _half_written)
        run(catalog)

    assert storage.names_below(storage.place(f"{bucket}/served")) == []
    run(catalog)
    assert len(loaded(catalog)) == 3
    log.close()


def _half_written(_, file):
    file.write(b"PAR1")
    raise KeyboardInterrupt


def test_every_line_is_there_once_whenever_ingestion_was_killed(catalog, tmp_path, monkeypatch):
    line = json_lines(predictions(1)).decode()
    ingest = [sys.executable, "-c", INGEST, str(tmp_path)]
    write = [sys.executable, "-c", WRITER, str(tmp_path / "log"), line]
    with subprocess.Popen(ingest, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as ingesting:
        assert ingesting.stdout.readline() == "ready\n"
        writers = [subprocess.Popen(write) for _ in range(2)]
        n_killed = int(ingesting.communicate()[0].splitlines()[-1])
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        writer.wait()

    # a day later nobody writes these files any more
    tomorrow = TODAY + datetime.timedelta(days=2)
    monkeypatch.setattr(log_parts, "last_open_day", lambda: tomorrow)
    run(catalog)

    assert n_killed > 5
    found = Counter(loaded(catalog)["prediction_id"])
    assert set(found.values()) == {1}
    answered = set((tmp_path / "log-answers").read_text().split())
    assert len(answered) > 1_000
    assert answered <= found.keys()
    assert len(found.keys() - answered) <= 20 * len(writers)
    assert not list((tmp_path / "log").iterdir())


def test_only_the_service_writes_its_log(catalog):
    with pytest.raises(DatasetError, match="written by the service alone"):
        catalog["prediction_log"].save(pd.DataFrame())


def test_the_log_can_be_read_as_it_is(log, tmp_path):
    rows = predictions(3)
    log.append(json_lines(rows.head(1)), TODAY)
    log.append_table(pa.Table.from_pandas(rows.tail(2), preserve_index=False), TODAY)

    back = read_log(tmp_path / "log", COLUMNS).to_pandas().astype(TYPES)

    pd.testing.assert_frame_equal(
        back.sort_values("prediction_id", ignore_index=True), rows.astype(TYPES)
    )
    log.append(b"{oops\n", TODAY)
    with pytest.raises(ProjectError, match=r"has no prediction at byte \d+: JSON is malformed"):
        read_log(tmp_path / "log", COLUMNS)
