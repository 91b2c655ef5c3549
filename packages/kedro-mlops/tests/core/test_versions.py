"""Versions on a store: whole or unseen, and one after another, whoever writes at once."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from fsspec.config import set_conf_env
from fsspec.implementations.memory import MemoryFileSystem

from kedro_mlops.core import storage
from kedro_mlops.core import versions as module
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.storage import names_below, place
from kedro_mlops.core.versions import StoreVersions

ADD = """
import sys
from fsspec.config import conf
conf["s3"] = {"endpoint_url": sys.argv[1], "key": "test", "secret": "test",
              "use_listings_cache": False}
from kedro_mlops.core.storage import place
from kedro_mlops.core.versions import StoreVersions

versions = StoreVersions(place(sys.argv[2]), "sums")
for number in range(int(sys.argv[3])):
    seen = versions.look()
    name = versions.begin(f"{number:03d}", lambda name: f"{name}x")
    (versions.path(name) / "sums").write_bytes(name.encode())
    print("ready", flush=True)
    sys.stdin.readline()
    print(name if versions.add(name, seen) else "", flush=True)
    sys.stdin.readline()
"""
N_AT_ONCE, ROUNDS = 3, 6


@pytest.fixture
def versions(bucket):
    return StoreVersions(place(f"{bucket}/data/champion"), "sums")


def _uploaded(versions, name):
    begun = versions.begin(name, lambda other: f"{other}x")
    (versions.path(begun) / "model").write_bytes(b"model")
    (versions.path(begun) / "sums").write_bytes(b"sums")
    return begun


def test_a_version_counts_when_it_was_added_and_not_before(versions):
    seen = versions.look()
    name = _uploaded(versions, "1")
    before = versions.look().names, versions.newest()

    added = versions.add(name, seen)

    assert (before, added) == (([], ""), True)
    assert (versions.look().names, versions.newest()) == (["1"], "1")


def test_of_two_who_saw_the_same_one_counts_and_the_other_is_unseen(versions):
    seen = versions.look()
    names = [_uploaded(versions, "1"), _uploaded(versions, "1")]

    added = [versions.add(name, seen) for name in reversed(names)]

    assert (names, added) == (["1", "1x"], [True, False])
    assert versions.look()[:1] == (["1x"],)
    assert versions.look().leftovers == ["1"]


def test_of_processes_that_add_at_once_one_does_each_time(bucket, object_stores):
    folder, command = f"{bucket}/champion", [sys.executable, "-c", ADD, object_stores.url]
    writers = [
        subprocess.Popen(
            [*command, folder, str(ROUNDS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )
        for _ in range(N_AT_ONCE)
    ]  # fmt: skip

    def all_say(word=None):
        for writer in writers if word else ():
            writer.stdin.write(word)
        return [writer.stdout.readline().strip() for writer in writers]

    wins = []
    for number in range(ROUNDS):
        assert all_say("\n" if number else None) == N_AT_ONCE * ["ready"]
        wins.append(list(filter(None, all_say("\n"))))
    for writer in writers:
        writer.communicate("\n")

    assert [len(names) for names in wins] == ROUNDS * [1]
    names = StoreVersions(place(folder), "sums").look().names
    assert names == [name for [name] in reversed(wins)]


def test_what_was_copied_from_a_disk_counts_and_is_followed(versions):
    for name in ("1", "2"):
        (versions.path(name) / "sums").write_bytes(b"sums")
    copied = versions.look()
    assert versions.newest() == "2"

    added = versions.add(_uploaded(versions, "3"), copied)

    assert (copied.names, added) == (["2", "1"], True)
    assert (versions.look().names, versions.newest()) == (["3", "2", "1"], "3")
    assert not versions.add(_uploaded(versions, "4"), copied)


def test_a_version_that_a_person_has_removed_counts_no_more_and_another_can_come(versions):
    for name in ("1", "2"):
        versions.add(_uploaded(versions, name), versions.look())

    versions.remove("2")

    assert (versions.look().names, versions.newest()) == (["1"], "1")
    assert versions.add(_uploaded(versions, "3"), versions.look())
    assert versions.look().names == ["3", "1"]


def test_a_version_that_comes_while_the_others_are_listed_is_seen(versions, monkeypatch):
    """Or what was judged against the one before could follow it."""
    versions.add(_uploaded(versions, "1"), versions.look())
    listed_before = names_below(versions._folder)
    versions.add(_uploaded(versions, "2"), versions.look())

    def listed_meanwhile(folder):
        return [*(name for name in listed_before if name != "after/0"), "after/0", "after/1"]

    monkeypatch.setattr(module, "names_below", listed_meanwhile)

    assert versions.look()[:2] == (["2", "1"], "2")


def test_a_store_that_writes_over_what_is_there_is_refused(monkeypatch):
    written_over = MemoryFileSystem.pipe_file

    def careless(self, path, value, mode="overwrite", **options):
        written_over(self, path, value, **options)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", careless)

    with pytest.raises(ProjectError, match=r"writes over what is there.*Nothing has changed"):
        StoreVersions(place("memory://careless/champion"), "sums").begin("1", str)


def test_an_object_whose_creation_was_answered_twice_is_still_ones_own(bucket):
    """A client asks again when an answer is lost, and is then told that the object is there."""
    file = place(f"{bucket}/after/0")
    file.write_bytes(b"mine")

    assert storage.create(file, b"mine")
    assert not storage.create(file, b"theirs")


def test_a_store_that_reports_a_conflict_otherwise_is_asked_whose_the_object_is():
    def conflict(*_, **__):
        raise OSError("409: a conflicting conditional operation is in progress")

    there = SimpleNamespace(pipe_file=conflict, exists=lambda _: True, cat_file=lambda _: b"theirs")

    assert not storage.create(SimpleNamespace(fs=there, path="after/0"), b"mine")


def test_another_process_is_told_how_this_one_opens_a_store(object_stores):
    variables = storage.options_in_environment("s3://bucket/prefix")

    told = {}
    set_conf_env(told, variables)

    assert told["s3"].items() >= object_stores.options.items()
    assert told["s3"]["use_listings_cache"] is False
    assert storage.options_in_environment(None) == {}


@pytest.mark.parametrize(
    ("url", "how"),
    [("gs://bucket", "uv add gcsfs"), ("abfs://bucket", "uv add adlfs"), ("nope://x", "fsspec's")],
)
def test_what_speaks_with_a_store_is_named_if_it_is_not_installed(url, how):
    with pytest.raises(ProjectError, match=how):
        storage.configure(url, {})
