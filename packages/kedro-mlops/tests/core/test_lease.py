"""One run at a time on a store, from whatever machine; two places here stand for two machines."""

import json
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from kedro_mlops.core import lease as leases
from kedro_mlops.core import run_lock
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.lease import Lease
from kedro_mlops.core.storage import place


@pytest.fixture
def take(bucket):
    """Asks for the lease of a store, from a machine."""
    return lambda machine: Lease(place(f"{bucket}/run.lock"), machine, f"run on {machine}")


def test_who_comes_second_is_told_who_is_at_work_until_that_has_ended(take):
    first, second = take("a"), take("b")

    taken = first.take(), second.take()
    first.release()

    assert taken == (None, "run on a")
    assert second.take() is None
    assert first.take() == "run on b"


def test_who_has_it_may_take_it_again_and_releases_it_twice(take):
    first, second = take("a"), take("b")
    first.take(), first.take()

    first.release()
    still = second.take()
    first.release()

    assert (still, second.take()) == ("run on a", None)


def test_what_a_killed_run_has_left_holds_for_a_while_elsewhere_and_not_where_it_was(take, bucket):
    take("a").take()
    assert take("b").take() == "run on a"
    file = place(f"{bucket}/run.lock/00000001")
    found = json.loads(file.read_bytes())
    soon = datetime.fromisoformat(found["until"]) - datetime.now(UTC)
    assert timedelta(minutes=1) < soon <= leases.HOLDS

    found["until"] = (datetime.now(UTC) - leases.DIFFERENCE).isoformat()
    file.write_bytes(json.dumps(found).encode())

    assert take("b").take() is None
    assert take("b").take() is None, "nobody else is at work where a lock says so"


def test_a_store_that_does_not_hear_of_the_end_ends_no_run(take, monkeypatch, caplog):
    lease = take("a")
    lease.take()

    def fail(_):
        raise TimeoutError("no answer")

    monkeypatch.setattr(lease, "_say", fail)
    lease.release()

    assert "is not told of the end: no answer" in caplog.text


def test_of_two_who_take_over_at_once_one_does(take, monkeypatch):
    late, early = take("late"), take("early")
    names_below = leases.names_below

    def overtaken(folder):
        found = names_below(folder)
        monkeypatch.setattr(leases, "names_below", names_below)
        assert early.take() is None
        return found

    monkeypatch.setattr(leases, "names_below", overtaken)

    assert late.take() == leases.JUST_BEGUN
    assert late.take() == "run on early"


def test_who_stood_still_while_others_came_and_went_does_not_have_it(monkeypatch):
    folder = place(f"memory://{uuid.uuid4().hex}")
    first, late, early, last = (Lease(folder, machine, f"run on {machine}") for machine in "abcd")
    first.take(), first.release()
    create = leases.create

    def overtaken(file, content):
        monkeypatch.setattr(leases, "create", create)
        assert (early.take(), early.release()) == (None, None)
        assert last.take() is None
        return create(file, content)

    monkeypatch.setattr(leases, "create", overtaken)

    assert late.take() == leases.JUST_BEGUN
    assert late.take() == "run on d"
    last.release()
    assert late.take() is None


def test_a_run_that_goes_on_says_so_and_finds_out_when_another_has_begun(
    take, bucket, monkeypatch, caplog
):
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.01)
    first = take("a")
    first.take()
    name = f"lease of {bucket}/run.lock"
    thread = next(each for each in threading.enumerate() if each.name == name)

    place(f"{bucket}/run.lock/00000003").write_bytes(b"another, after one that has ended")
    thread.join(10)

    assert not thread.is_alive()
    assert "Another run has begun on" in caplog.text


def test_a_run_elsewhere_is_refused_and_what_was_locked_here_is_free_again(bucket, tmp_path, take):
    store = place(bucket)
    other = take("b")
    other.take()

    with pytest.raises(ProjectError, match=r"at work in s3://.*run on b.*--wait") as refused:
        run_lock.take(tmp_path, store)
    assert refused.tb  # with which the lock lives
    assert not FileLock(tmp_path / run_lock.FILE, is_singleton=True).is_locked
    other.release()

    held = run_lock.take(tmp_path, store)
    assert str(tmp_path) in json.loads((store / "run.lock/00000002").read_bytes())["where"]
    held.release()
    with run_lock.alone_in(Path(tmp_path)):
        assert take("c").take() is None


def test_a_machine_of_the_same_name_and_paths_is_another_one(bucket, tmp_path):
    held = run_lock.take(tmp_path, place(bucket))
    # given a disk that knows nothing of that run
    (tmp_path / run_lock.ID).unlink()
    (tmp_path / run_lock.FILE).unlink()

    with pytest.raises(ProjectError, match="at work in s3://"):
        run_lock.take(tmp_path, place(bucket))
    held.release()
