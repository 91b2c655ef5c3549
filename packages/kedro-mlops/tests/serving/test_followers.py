"""What services say that follow the champion, for those who move it."""

import fcntl
import threading
import time

import pytest

from kedro_mlops.cli import champion
from kedro_mlops.serving.followers import FOLDER, FollowerFile, Following, followers

BEFORE = Following("a:1", "2013-a", "bento:a", "2026-11-20T12:34:57Z")
AFTER = Following("a:1", "2013-b", "bento:b", "2026-11-20T12:34:59Z")
REFUSED = Following("a:1", "2013-a", "bento:a", "2026-11-20T12:34:57Z", "bento:b", "It is damaged.")


@pytest.fixture
def file(tmp_path):
    one = FollowerFile(tmp_path)
    one.write(AFTER)
    one.write(BEFORE)
    yield one
    one.close()


def test_what_was_said_last_is_read_while_the_process_lives(file, tmp_path):
    found = followers(tmp_path)
    file.close()

    assert found == [BEFORE]
    assert followers(tmp_path) == []


def test_nobody_sees_a_file_that_is_not_locked_yet(tmp_path, monkeypatch):
    """Or those that start at the same time would remove each other's."""
    lock = fcntl.flock

    def lock_after_others_looked(file, how):
        if how & fcntl.LOCK_EX:
            monkeypatch.undo()
            others.append(FollowerFile(tmp_path))
        lock(file, how)

    others = []
    monkeypatch.setattr(fcntl, "flock", lock_after_others_looked)

    one = FollowerFile(tmp_path)
    one.write(BEFORE)
    others[0].write(AFTER)

    assert {found.release for found in followers(tmp_path)} == {"bento:a", "bento:b"}
    for each in (one, *others):
        each.close()
    assert [*(tmp_path / FOLDER).iterdir()] == []


def test_half_a_file_says_nothing(file, tmp_path):
    [path] = (tmp_path / FOLDER).iterdir()
    path.write_bytes(b'{"process": ')

    assert followers(tmp_path) == []


@pytest.mark.parametrize("then", [AFTER, REFUSED])
def test_who_moves_the_champion_waits_until_it_is_taken_or_refused(file, tmp_path, then):
    timer = threading.Timer(0.3, file.write, [then])
    timer.start()

    found = champion._followed(tmp_path, "bento:b")

    timer.join()
    assert found == [then]


def test_who_does_not_look_is_not_waited_for_without_end(file, tmp_path, monkeypatch):
    monkeypatch.setattr(champion, "FOLLOW_SECONDS", 0.1)

    assert champion._followed(tmp_path, "bento:b") == [BEFORE]


def test_without_services_nobody_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits"))

    assert champion._followed(tmp_path, "bento:b") == []
