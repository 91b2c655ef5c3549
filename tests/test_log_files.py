from datetime import date
from pathlib import Path

from flight_delays.log_files import closed, list_log

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
