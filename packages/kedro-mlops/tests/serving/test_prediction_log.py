import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pyarrow as pa
import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.prediction_log.writer import PARTIAL, PredictionLog

TODAY, TOMORROW = date(2013, 7, 15), date(2013, 7, 16)
NAME = re.compile(r"2013-07-15-([0-9a-f]{12})-(\d{4})\.jsonl")

# says the number of each request once it is logged, as a service that answers it
WRITER = """
import json, os, sys
from datetime import date
from itertools import count
from pathlib import Path
from kedro_mlops.prediction_log.writer import PredictionLog

log = PredictionLog(Path(sys.argv[1]), 200_000, 1_000_000_000)
for i in count():
    rows = [{"request": i, "row": row, "text": "x" * 300} for row in range(1 + i % 3)]
    log.append("".join(json.dumps(row) + "\\n" for row in rows).encode(), date(2013, 7, 15))
    os.write(1, b"%d\\n" % i)
"""

# the system lets no file grow beyond a limit: a short write, as on a full disk
LIMITED = """
import resource, sys
from datetime import date
from pathlib import Path
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.prediction_log.writer import PredictionLog

log, today = PredictionLog(Path(sys.argv[1]), 10_000, 100_000), date(2013, 7, 15)
log.append(b'{"row": 1}\\n' * 8, today)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for limit, times in ((100, 1), (5, 20)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    for _ in range(times):
        try:
            log.append(b'{"row": 2}\\n' * 2, today)
        except ProjectError as error:
            print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log.append(b'{"row": 3}\\n', today)
print(log.n_bytes)
"""

IMPORTS = """
import sys
import kedro_mlops.prediction_log.writer
print(*sorted({"pandas", "pandera", "pyarrow", "ibis"} & sys.modules.keys()))
"""


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path / "log", 1_000, 10_000)
    yield log
    log.close()


def files(tmp_path):
    return sorted((tmp_path / "log").iterdir())


def read(path):
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def line(i, n_bytes=100):
    text = json.dumps({"row": i, "text": ""})
    return (text[:-2] + "x" * (n_bytes - len(text) - 1) + '"}\n').encode()


def said_by(script, *arguments):
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(tmp_path):
    return [row["row"] for file in files(tmp_path) for row in read(file)]


def test_lines_are_in_the_file_as_soon_as_they_are_appended(log, tmp_path):
    log.append(line(1) + line(2), TODAY)
    log.append(line(3), TODAY)

    [file] = files(tmp_path)
    assert NAME.fullmatch(file.name)
    assert file.read_bytes() == line(1) + line(2) + line(3)
    assert log.n_bytes == 300


def test_a_new_day_has_a_new_file_and_never_goes_back(log, tmp_path):
    log.append(line(1), TODAY)
    log.append(line(2), TOMORROW)
    log.append(line(3), TODAY)

    today, tomorrow = files(tmp_path)
    assert [today.name[:10], tomorrow.name[:10]] == ["2013-07-15", "2013-07-16"]
    assert [row["row"] for row in read(tomorrow)] == [2, 3]


def test_a_file_does_not_grow_beyond_its_limit(log, tmp_path):
    for i in range(25):
        log.append(line(i), TODAY)

    assert [file.stat().st_size for file in files(tmp_path)] == [1_000, 1_000, 500]
    assert [NAME.fullmatch(file.name)[2] for file in files(tmp_path)] == ["0001", "0002", "0003"]
    assert rows(tmp_path) == list(range(25))


def test_logs_that_share_a_folder_share_no_file(tmp_path):
    for i in range(3):
        PredictionLog(tmp_path / "log", 1_000, 10_000).append(line(i), TODAY)

    assert len(files(tmp_path)) == 3
    assert sorted(rows(tmp_path)) == [0, 1, 2]


def test_a_log_that_was_closed_goes_on_in_a_new_file(log, tmp_path):
    log.append(line(1), TODAY)
    log.close()
    log.append(line(2), TODAY)

    assert len(files(tmp_path)) == 2
    assert rows(tmp_path) == [1, 2]


def test_threads_share_a_log(log, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: log.append(line(i), TODAY), range(90)))

    assert sorted(rows(tmp_path)) == list(range(90))
    assert all(file.stat().st_size <= 1_000 for file in files(tmp_path))


def test_the_oldest_files_go_when_there_is_no_room(log, tmp_path, caplog):
    for i in range(250):
        log.append(line(i), TODAY)

    kept = rows(tmp_path)
    assert kept == list(range(250 - len(kept), 250))
    assert sum(file.stat().st_size for file in files(tmp_path)) == log.n_bytes <= 10_000
    assert log.n_bytes > 9_000
    assert log.n_dropped_bytes + log.n_bytes == 25_000
    assert "was removed" in caplog.text
    assert "give it more room" in caplog.text


def test_the_file_that_another_process_writes_is_never_removed(log, tmp_path):
    other = PredictionLog(tmp_path / "log", 1_000, 10_000)
    other.append(line(-1), TODAY)

    for i in range(250):
        log.append(line(i), TODAY)

    assert -1 in rows(tmp_path)


def remove(folder):
    shutil.rmtree(folder)


def move(folder):
    folder.rename(folder.with_name("elsewhere"))


def unlink(folder):
    [file] = folder.iterdir()
    file.unlink()


def rename(folder):
    [file] = folder.iterdir()
    file.rename(folder.with_name("file"))


def replace_by_a_copy(folder):
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


@pytest.mark.parametrize("away", [remove, move, unlink, rename, replace_by_a_copy])
def test_what_is_answered_after_the_file_was_taken_away_is_in_the_log(log, tmp_path, away):
    log.append(line(1), TODAY)
    away(tmp_path / "log")

    for i in range(2, 6):
        log.append(line(i), TODAY)

    kept = rows(tmp_path)
    assert kept == ([1] if away is replace_by_a_copy else []) + [2, 3, 4, 5]
    assert log.n_bytes == 100 * len(kept)


@pytest.mark.parametrize("away", [remove, move])
def test_a_table_that_is_answered_after_the_folder_was_taken_away_is_in_the_log(
    log, tmp_path, away
):
    log.append_table(pa.table({"row": [1]}), TODAY)
    away(tmp_path / "log")

    log.append_table(pa.table({"row": [2]}), TODAY)

    [file] = files(tmp_path)
    assert pa.ipc.open_file(file).read_all().to_pydict() == {"row": [2]}


def test_a_file_that_is_taken_away_while_it_is_written_is_noticed(log, tmp_path, monkeypatch):
    def write_and_lose(descriptor, lines):
        monkeypatch.undo()
        n_bytes = os.write(descriptor, lines)
        shutil.rmtree(tmp_path / "log")
        return n_bytes

    log.append(line(1), TODAY)
    monkeypatch.setattr("kedro_mlops.prediction_log.writer.os.write", write_and_lose)

    log.append(line(2), TODAY)

    assert rows(tmp_path) == [2]


def test_what_cannot_be_logged_is_refused_until_the_folder_can_be_made_again(log, tmp_path):
    log.append(line(1), TODAY)
    shutil.rmtree(tmp_path / "log")
    (tmp_path / "log").touch()

    for _ in range(2):
        with pytest.raises(ProjectError, match=r"cannot be written.*PREDICTION_LOG_DIR"):
            log.append(line(2), TODAY)
    (tmp_path / "log").unlink()
    log.append(line(3), TODAY)

    assert rows(tmp_path) == [3]


def test_a_folder_that_keeps_no_file_is_no_log(log, tmp_path, monkeypatch):
    real = os.write

    def write_and_lose(descriptor, lines):
        n_bytes = real(descriptor, lines)
        shutil.rmtree(tmp_path / "log")
        return n_bytes

    monkeypatch.setattr("kedro_mlops.prediction_log.writer.os.write", write_and_lose)

    with pytest.raises(ProjectError, match="its files are removed while they are written"):
        log.append(line(1), TODAY)


def test_the_file_of_a_living_process_is_not_removed_whatever_the_clocks_say(log, tmp_path):
    slow = PredictionLog(tmp_path / "log", 1_000, 10_000)
    slow.append(line(-1), date(2013, 1, 1))

    for i in range(250):
        log.append(line(i), TODAY)
    slow.append(line(-2), date(2013, 1, 1))

    assert {-1, -2} <= set(rows(tmp_path))


def test_a_table_is_a_file_of_its_own(log, tmp_path):
    table = pa.table({"row": [1, 2, None], "text": ["a", None, "c"]})
    log.append(line(1), TODAY)

    log.append_table(table, TODAY)
    log.append(line(2), TODAY)

    lines, bulk = files(tmp_path)
    assert bulk.name == lines.name.replace("0001.jsonl", "0002.arrow")
    assert pa.ipc.open_file(bulk).read_all().equals(table)
    assert len(read(lines)) == 2
    assert log.n_bytes == lines.stat().st_size + bulk.stat().st_size


def test_tables_too_make_room(log, tmp_path):
    table = pa.table({"row": list(range(50))})

    for _ in range(40):
        log.append_table(table, TODAY)

    assert log.n_dropped_bytes > 0
    assert sum(file.stat().st_size for file in files(tmp_path)) == log.n_bytes <= 11_000


def test_a_table_that_cannot_be_written_leaves_nothing(log, tmp_path):
    log.append_table(pa.table({"row": [1]}), TODAY)
    (tmp_path / "log").rename(tmp_path / "elsewhere")
    (tmp_path / "log").touch()

    with pytest.raises(ProjectError, match=r"cannot be written.*PREDICTION_LOG_DIR"):
        log.append_table(pa.table({"row": [1]}), TODAY)

    assert (tmp_path / "log").stat().st_size == 0


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    (tmp_path / "log").mkdir()
    old, new = (tmp_path / "log" / f".{i}.arrow{PARTIAL}" for i in "12")
    old.touch()
    new.touch()
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))

    PredictionLog(tmp_path / "log", 1_000, 10_000).append(line(1), TODAY)

    assert not old.exists()
    assert new.exists()


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    (tmp_path / "log").touch()

    with pytest.raises(ProjectError, match=f"{tmp_path}/log cannot be written.*PREDICTION_LOG_DIR"):
        PredictionLog(tmp_path / "log", 1_000, 10_000)
    with pytest.raises(ProjectError, match="at least two files"):
        PredictionLog(tmp_path / "room", 1_000, 1_500)


def test_a_full_disk_leaves_no_half_line(tmp_path):
    *errors, n_bytes = said_by(LIMITED, tmp_path / "log").splitlines()

    assert len(errors) == 21
    [error] = set(errors)
    assert f"{tmp_path}/log cannot be written: the disk is full" in error
    assert rows(tmp_path) == [1] * 8 + [3]
    assert [len(read(file)) for file in files(tmp_path)] == [8, 1]
    assert int(n_bytes) == sum(file.stat().st_size for file in files(tmp_path))


def test_what_was_answered_survives_a_killed_process(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "log")]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        writer.stdout.readline()
    time.sleep(0.5)

    answered = []
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        answered.append(int(writer.communicate()[0].rpartition(b"\n")[0].split(b"\n")[-1]))

    found = {}
    for file in files(tmp_path):
        # all that may be torn is the request on its way
        whole = file.read_bytes().rpartition(b"\n")[0]
        pairs = [(row["request"], row["row"]) for row in map(json.loads, whole.split(b"\n"))]
        found.setdefault(NAME.fullmatch(file.name)[1], []).extend(pairs)
    assert len(found) == 2
    for pairs, last in zip(sorted(found.values(), key=len), sorted(answered), strict=True):
        expected = [(i, row) for i in range(last + 2) for row in range(1 + i % 3)]
        assert expected[: len(pairs)] == pairs
        assert last > 500
        assert pairs[-1][0] >= last


def test_writing_needs_no_library(tmp_path):
    assert said_by(IMPORTS).strip() == ""
