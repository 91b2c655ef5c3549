import json
import os
from datetime import date, datetime
from pathlib import Path

from kedro_mlops.prediction_log.files import Answered, closed, hold, is_held, last_answer, list_log

MONDAY, TUESDAY = date(2013, 7, 15), date(2013, 7, 16)


def filled(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def names(files) -> list[str]:
    return [file.path.name for file in files]


def test_the_files_of_a_log_are_listed_oldest_first_and_others_are_not(tmp_path):
    folder = filled(
        tmp_path,
        "2013-07-16-aa-0010.jsonl",
        "2013-07-16-aa-0009.arrow",
        "2013-07-15-bb-10000.jsonl",
        "2013-07-15-bb-9999.jsonl",
        "2013-07-14-4711.jsonl",
        ".2013-07-14-bb-0001.arrow.partial",
        "notes.jsonl",
    )

    assert names(list_log(folder)) == [
        "2013-07-14-4711.jsonl",
        "2013-07-15-bb-9999.jsonl",
        "2013-07-15-bb-10000.jsonl",
        "2013-07-16-aa-0009.arrow",
        "2013-07-16-aa-0010.jsonl",
    ]


def test_closed_are_tables_what_was_left_for_a_newer_file_and_days_that_are_over(tmp_path):
    folder = filled(
        tmp_path,
        "2013-07-15-aa-0001.jsonl",
        "2013-07-15-aa-0002.jsonl",
        "2013-07-15-aa-0003.arrow",
        "2013-07-15-bb-0001.jsonl",
    )

    assert names(closed(list_log(folder), MONDAY)) == [
        "2013-07-15-aa-0001.jsonl",
        "2013-07-15-aa-0003.arrow",
    ]
    assert names(closed(list_log(folder), TUESDAY)) == names(list_log(folder))


def logged(path: Path, seconds: int, *answers: tuple[str, str | None]) -> None:
    """Lines of the log, a second apart; the file was changed so many seconds after 1970."""
    lines = [
        json.dumps(
            {"model_version": version, "variant": variant, "predicted_at": f"2013-07-15T12:00:0{i}"}
        )
        for i, (version, variant) in enumerate(answers)
    ]
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, (seconds, seconds))


def test_the_last_answer_is_that_of_the_newest_line_of_a_champion(tmp_path):
    long = [("v1", "champion")] * 3000
    logged(tmp_path / "2013-07-16-aa-0001.jsonl", 1, ("v0", "champion"))
    logged(tmp_path / "2013-07-15-bb-0001.jsonl", 3, *long[:8], ("v2", None), ("v3", "shadow"))
    logged(tmp_path / "2013-07-15-cc-0001.jsonl", 2, *long)
    (tmp_path / "2013-07-15-dd-0001.jsonl").write_text('{"model_version": "cut", "predi')

    found = last_answer(tmp_path)

    assert found == Answered("v2", datetime(2013, 7, 15, 12, 0, 8))  # noqa: DTZ001


def test_where_nothing_was_logged_nobody_answered_last(tmp_path):
    logged(tmp_path / "2013-07-15-aa-0001.jsonl", 1, ("v1", "shadow"))
    filled(tmp_path, "2013-07-15-bb-0001.arrow", "2013-07-15-cc-0001.jsonl")

    assert last_answer(tmp_path) is None
    assert last_answer(tmp_path / "none") is None


def test_the_newest_file_of_a_living_process_is_never_closed(tmp_path):
    folder = filled(tmp_path, "2013-07-15-aa-0001.jsonl", "2013-07-15-aa-0002.jsonl")

    with (folder / "2013-07-15-aa-0002.jsonl").open("wb") as written:
        hold(written.fileno())
        alive = closed(list_log(folder), date(2999, 1, 1))

    assert names(alive) == ["2013-07-15-aa-0001.jsonl"]
    assert names(closed(list_log(folder), TUESDAY)) == names(list_log(folder))


def test_a_file_that_is_gone_is_held_by_nobody(tmp_path):
    assert not is_held(tmp_path / "2013-07-15-aa-0001.jsonl")


def test_looking_whether_a_file_is_held_is_in_nobodys_way(tmp_path):
    [file] = filled(tmp_path, "2013-07-15-aa-0001.jsonl").iterdir()

    with file.open("wb") as written:
        assert not is_held(file)
        hold(written.fileno())
        assert is_held(file)
