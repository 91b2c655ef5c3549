import datetime
import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from example.contracts import Prediction
from example.factories import json_lines, predictions

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.prediction_log import parts as log_parts
from kedro_mlops.prediction_log.parts import finished, new_parts, schema_of, take, taken_until
from kedro_mlops.prediction_log.writer import PredictionLog

COLUMNS = Columns.of(Prediction)
TODAY = datetime.datetime.now(datetime.UTC).date()
TYPES = {column.name: column.types.pandas for column in COLUMNS.all}


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path, 1_000_000, 10_000_000)
    yield log
    log.close()


def read(tmp_path, until=()):
    """What is new, and what is none; the names of the parts go to what was taken."""
    taken = {part.name: take(part, COLUMNS) for part in new_parts(tmp_path, taken_until(until))}
    rows = pa.concat_tables([schema_of(COLUMNS).empty_table(), *(t.rows for t in taken.values())])
    rejected = [record for found in taken.values() for record in found.rejected]
    return rows.to_pandas().astype(TYPES), rejected, [*until, *taken]


def test_lines_and_tables_are_read_to_the_last_digit(log, tmp_path):
    rows = predictions(30)
    log.append(json_lines(rows.head(10)), TODAY)
    log.append_table(pa.Table.from_pandas(rows[10:20], preserve_index=False), TODAY)
    log.append(json_lines(rows.tail(10)), TODAY)

    back, rejected, _ = read(tmp_path)

    back = back.sort_values("prediction_id", ignore_index=True)
    pd.testing.assert_frame_equal(back, rows.astype(TYPES))
    assert rejected == []


def test_what_was_taken_is_not_new(log, tmp_path):
    log.append(json_lines(predictions(3)), TODAY)
    first, _, until = read(tmp_path)
    log.append(json_lines(predictions(5).tail(2)), TODAY)

    more, _, until = read(tmp_path, until)
    nothing, _, again = read(tmp_path, until)

    assert first["prediction_id"].tolist() == ["p000", "p001", "p002"]
    assert more["prediction_id"].tolist() == ["p003", "p004"]
    assert nothing.empty
    assert again == until
    [(stem, end)] = taken_until(until).items()
    assert end == (tmp_path / f"{stem}.jsonl").stat().st_size


def test_a_long_file_is_taken_in_parts_of_whole_lines(log, tmp_path, monkeypatch):
    monkeypatch.setattr(log_parts, "MAX_PART_BYTES", 1_000)
    log.append(json_lines(predictions(30)), TODAY)

    rows, rejected, names = read(tmp_path)

    assert rows["prediction_id"].tolist() == predictions(30)["prediction_id"].tolist()
    assert rejected == []
    assert len(names) > 10


def test_a_torn_last_line_waits_until_it_is_whole(tmp_path):
    lines, file = json_lines(predictions(2)), tmp_path / f"{TODAY}-aa-0001.jsonl"
    file.write_bytes(lines[:-100])
    first, rejected, until = read(tmp_path)

    file.write_bytes(lines)
    second, _, _ = read(tmp_path, until)

    assert (len(first), len(second), rejected) == (1, 1, [])


def test_what_a_killed_process_left_torn_is_set_apart_when_the_file_is_closed(tmp_path):
    lines, torn = json_lines(predictions(2)), tmp_path / f"{TODAY}-aa-0001.jsonl"
    torn.write_bytes(lines[:-100])
    (tmp_path / f"{TODAY}-aa-0002.jsonl").touch()

    rows, [record], until = read(tmp_path)

    assert len(rows) == 1
    assert record["file"] == str(torn)
    assert record["content"].encode() == lines[record["position"] : -100]
    assert finished(tmp_path, taken_until(until)) == [torn]


WHOLE = next(column.name for column in COLUMNS.all if column.types.pandas == "int64")
ONE = json.loads(json_lines(predictions(1)))
BAD = {
    "not JSON": (b"{oops", "malformed"),
    "half": (json_lines(predictions(1))[:50], "truncated"),
    "no text": (b'{"prediction_id": "\xff\xfe"}', "decode"),
    "zeros": (b"\0" * 100, "malformed"),
    "an array": (b"[" * 5_000, "Expected `object`"),
    "a number as text": (json.dumps(ONE | {"probability": "0.5"}).encode(), "probability"),
    "no key": (json.dumps({**ONE, COLUMNS.keys[0]: None}).encode(), COLUMNS.keys[0]),
    "no id": (json.dumps({k: v for k, v in ONE.items() if k != "prediction_id"}).encode(), "_id"),
    "not finite": (json.dumps(ONE | {"probability": np.inf}).encode(), "malformed"),
    "too large": (json.dumps(ONE | {WHOLE: 2**70}).encode(), WHOLE),
}


@pytest.mark.parametrize(("bad", "reason"), BAD.values(), ids=BAD.keys())
def test_what_is_no_prediction_is_set_apart_and_stops_nothing(log, tmp_path, bad, reason):
    lines = json_lines(predictions(4)).splitlines(keepends=True)
    log.append(b"".join([*lines[:3], bad + b"\n", lines[3]]), TODAY)

    rows, [record], _ = read(tmp_path)

    assert rows["prediction_id"].tolist() == ["p000", "p001", "p002", "p003"]
    assert record["position"] == sum(map(len, lines[:3]))
    assert reason in record["reason"]
    assert record["content"].encode(errors="surrogateescape") == bad


def test_a_table_that_is_none_of_predictions_is_set_apart(log, tmp_path):
    broken = tmp_path / f"{TODAY}-aa-0001.arrow"
    broken.write_bytes(b"ARROW1\0\0 and then no more")
    log.append_table(pa.table({"row": [1]}), TODAY)
    log.append(json_lines(predictions(2)), TODAY)

    rows, rejected, _ = read(tmp_path)

    assert len(rows) == 2
    assert len(rejected) == 2
    assert "it has no column" in next(r["reason"] for r in rejected if "-aa-" not in r["file"])
    [kept] = [r["content"] for r in rejected if "-aa-" in r["file"]]
    assert kept.encode(errors="surrogateescape") == broken.read_bytes()


def test_columns_that_are_younger_than_the_log_are_missing(log, tmp_path):
    old = predictions(3).drop(columns=["variant", "missing_features"])
    (tmp_path / "2013-02-01-4711.jsonl").write_bytes(json_lines(old))
    log.append_table(pa.Table.from_pandas(old, preserve_index=False), TODAY)
    log.append(json_lines(old.assign(no_longer_there=1)), TODAY)

    rows, rejected, _ = read(tmp_path)

    assert len(rows) == 9
    assert rows[["variant", "missing_features"]].isna().all(axis=None)
    assert rows["probability"].notna().all()
    assert rejected == []


def test_only_files_that_are_closed_and_taken_are_finished(tmp_path):
    for name in ("bb-0001.jsonl", "bb-0002.arrow", "bb-0003.jsonl"):
        (tmp_path / f"{TODAY}-{name}").write_bytes(b"1234\n")
    yesterday = tmp_path / "2013-02-01-4711.jsonl"
    yesterday.write_bytes(b"1234\n")
    taken = {f"{TODAY}-bb-0001": 5, f"{TODAY}-bb-0003": 5, "2013-02-01-4711": 4}

    assert finished(tmp_path, taken) == [tmp_path / f"{TODAY}-bb-0001.jsonl"]
    assert finished(tmp_path, taken | {"2013-02-01-4711": 5})[0] == yesterday


def test_what_is_not_named_after_a_part_is_refused():
    with pytest.raises(ProjectError, match="mine is among the predictions"):
        taken_until(["mine"])


# writes a line a request, and says its number once it is logged
WRITER = """
import sys, time
from datetime import datetime, timedelta, UTC
from itertools import count
from pathlib import Path
from kedro_mlops.prediction_log.writer import PredictionLog

log = PredictionLog(Path(sys.argv[1]), 20_000, 1_000_000)
today = datetime.now(UTC).date() + timedelta(days=int(sys.argv[2]))
for i in count():
    log.append(b"%d\\n" % i, today)
    print(i, flush=True)
    time.sleep(0.001)
"""


@pytest.mark.parametrize("days_off", [-400, -3, 0, 3])
def test_a_clock_that_is_off_loses_nothing_and_takes_nothing_twice(tmp_path, days_off):
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(days_off)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE)
    writer.stdout.readline()
    taken, until = [], []

    def ingest():
        parts = new_parts(tmp_path, taken_until(until))
        for part in parts:
            taken.extend(int(line) for line in part.read().splitlines())
            until.append(part.name)
        for path in finished(tmp_path, taken_until(until)):
            path.unlink()

    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        ingest()
    alive = len(list(tmp_path.iterdir()))
    writer.kill()
    answered = int(writer.communicate()[0].splitlines()[-1])
    ingest()

    assert alive == 1
    assert taken == list(range(len(taken)))
    assert len(taken) > answered > 0


def test_the_files_of_an_ended_process_are_removed_once_they_are_taken(tmp_path):
    log = PredictionLog(tmp_path, 1_000_000, 10_000_000)
    log.append(json_lines(predictions(3)), TODAY - datetime.timedelta(days=5))
    _, _, until = read(tmp_path)
    alive = finished(tmp_path, taken_until(until))

    log.close()

    assert alive == []
    assert finished(tmp_path, taken_until(until)) == list(tmp_path.iterdir())
