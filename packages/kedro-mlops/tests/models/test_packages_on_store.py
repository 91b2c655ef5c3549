"""Model packages on a store: nothing is half there, and one of two promotions wins."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from example.factories import tiny_package
from kedro.io import DatasetError, Version

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.storage import place
from kedro_mlops.core.versions import StoreVersions
from kedro_mlops.models import datasets
from kedro_mlops.models.datasets import ModelPackageDataset
from kedro_mlops.models.metadata import reading
from kedro_mlops.models.package import ModelPackage

N_AT_ONCE, ROUNDS = 3, 3


class KilledError(BaseException):
    """Ends a process in the middle of what it does."""


@pytest.fixture
def entry(bucket):
    """Gives the champion as each process opens it."""

    def opened(**more):
        return ModelPackageDataset(
            filepath=f"{bucket}/data/06_models/champion", version=Version(None, None), **more
        )

    return lambda: opened(load_args={"missing_ok": True}, save_args={"guarded": True})


@pytest.fixture(scope="module")
def packages():
    return [tiny_package(seed=seed, evaluated=False) for seed in range(4)]


def test_a_package_comes_back_as_it_was_and_versions_are_listed_newest_first(entry, packages):
    assert entry().load() is None
    entry().save(packages[0])
    first = entry().load()

    entry().save(replace(packages[1], base=first.base))

    assert first.metadata == packages[0].metadata
    assert entry().load().version == packages[1].version
    assert entry().list_versions(full_path=False)[1:] == [first.base]
    assert entry().exists()


def test_what_a_store_refuses_is_no_damaged_model(bucket):
    with pytest.raises(PermissionError), reading(place(bucket)):
        raise PermissionError("Access denied")
    with pytest.raises(ProjectError, match="cannot be read"), reading(place(bucket)):
        raise FileNotFoundError("metadata.json")


def test_saving_what_is_the_newest_already_adds_nothing(entry, packages):
    entry().save(packages[0])

    entry().save(packages[0])

    assert len(entry().list_versions()) == 1


def test_of_promotions_at_once_one_wins_each_time_and_the_others_are_told(entry, packages):
    def promoted(package):
        made = replace(package, base=incumbent.base if incumbent else None)
        barrier.wait()
        try:
            entry().save(made)
        except DatasetError as error:
            return str(error)
        return ""

    incumbent, barrier = None, Barrier(N_AT_ONCE)
    for number in range(ROUNDS):
        serves = incumbent.version if incumbent else None
        others = [package for package in packages if package.version != serves]
        with ThreadPoolExecutor(N_AT_ONCE) as pool:
            said = list(pool.map(promoted, others[:N_AT_ONCE]))

        incumbent = entry().load()
        [won] = [one.version for one, text in zip(others, said, strict=False) if not text]
        assert incumbent.version == won
        assert len(entry().list_versions()) == number + 1
        assert all(f"but {won} serves since" in text for text in said if text)


def test_candidates_that_are_saved_at_once_are_all_kept(bucket, packages):
    entry = {"filepath": f"{bucket}/data/06_models/candidate", "version": Version(None, None)}

    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda one: ModelPackageDataset(**entry).save(one), packages))

    assert len(ModelPackageDataset(**entry).list_versions()) == len(packages)


@pytest.mark.parametrize("at", ["begin", "write", "add"])
def test_one_that_is_killed_leaves_the_champion_there_was_and_the_next_one_is_not_hindered(
    entry, packages, bucket, monkeypatch, at
):
    entry().save(packages[0])
    before = entry().load()

    def killed(*_):
        raise KilledError

    def halfway(self, folder):
        (folder / "metadata.json").write_bytes(b"{")
        raise KilledError

    where = {"begin": (StoreVersions, killed), "write": (ModelPackage, halfway)}
    of, stopped = where.get(at, (StoreVersions, killed))
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(of, at, stopped)
        entry().save(replace(packages[1], base=before.base))

    assert entry().load().version == before.version
    assert len(entry().list_versions()) == 1
    entry().save(replace(packages[2], base=before.base))
    assert entry().load().version == packages[2].version

    # a day later
    monkeypatch.setattr(datasets, "UPLOAD_TIME", datasets.timedelta(0))
    entry().save(replace(packages[3], base=entry().load().base))
    leftovers = StoreVersions(place(f"{bucket}/data/06_models/champion"), "SHA256SUMS").look()
    assert leftovers.leftovers == []
    assert len(leftovers.names) == 3


def test_what_was_edited_on_the_store_is_refused(entry, packages):
    entry().save(packages[0])
    [folder] = entry().list_versions()
    (place(folder) / "reference.json").write_bytes(b"{}")

    with pytest.raises(DatasetError, match=r"reference\.json is not the file that was saved"):
        entry().load()
