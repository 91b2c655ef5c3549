"""Bentos on a store: what is brought from it, and kept there, is whole or refused."""

import gzip
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from example.factories import write_bento, write_labels, write_spec
from example.kept import BentoML, packed

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.storage import place
from kedro_mlops.models import kept_bentos
from kedro_mlops.models.hashes import bento_hash
from kedro_mlops.models.released import bento_folder, model_folder, models_of, spec_of
from kedro_mlops.runtime.serving_spec import MODEL

BENTO = "bento:v1"


@pytest.fixture
def bentoml(monkeypatch, tmp_path):
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    return BentoML(monkeypatch)


@pytest.fixture
def here(bentoml, tmp_path):
    """The folder of a Bento, and of its model, in the store of this machine."""
    write_bento(tmp_path, BENTO, "parcels:v1")
    (bento_folder(BENTO) / "src").mkdir()
    (bento_folder(BENTO) / "src/service.py").write_text("print()")
    folder = model_folder("parcels:v1")
    folder.mkdir(parents=True)
    write_labels(folder, write_spec("v1", folder))
    return bento_folder(BENTO), folder


@pytest.fixture
def models(bucket):
    return place(f"{bucket}/models")


@pytest.fixture
def kept(models, here):
    """That Bento on a store."""
    kept_bentos.send(BENTO, models)
    return models / "bentos/bento-v1.bento"


def is_whole():
    return [spec_of(model).model_version for model in models_of(BENTO)] == ["v1"]


def test_a_bento_of_which_there_is_a_half_is_fetched_again_once(kept, models, here, bentoml):
    bento, model = here
    (bento / "bento.yaml").unlink()
    (model / "model.yaml").unlink()

    kept_bentos.fetch(BENTO, models)
    kept_bentos.fetch(BENTO, models)

    assert bentoml.imported == [BENTO]
    assert is_whole()


def test_one_with_other_files_than_were_proven_is_fetched_again(kept, models, here, bentoml):
    bento, proven = here[0], bento_hash(here[0])
    (bento / "src/service.py").unlink()

    kept_bentos.fetch(BENTO, models)
    unknown = list(bentoml.imported)
    kept_bentos.fetch(BENTO, models, proven)
    kept_bentos.fetch(BENTO, models, proven)

    assert unknown == []
    assert bentoml.imported == [BENTO]
    assert bento_hash(bento) == proven


def test_one_that_was_packed_otherwise_is_fetched_too(kept, models, here, bentoml):
    bento, proven = here[0], bento_hash(here[0])
    kept.write_bytes(_in_gzip(here))
    shutil.rmtree(bento)

    kept_bentos.fetch(BENTO, models, proven)

    assert bento_hash(bento) == proven


def test_what_is_not_kept_is_not_fetched(models, bentoml):
    kept_bentos.fetch(BENTO, models)

    assert bentoml.imported == []


def test_who_fetches_waits_for_another_who_does_although_it_may_look_whole(
    kept, models, here, bentoml, monkeypatch
):
    bento, proven, bring = here[0], bento_hash(here[0]), kept_bentos._bring
    shutil.rmtree(bento)
    is_half, go_on, brought = Event(), Event(), []

    def by_halves(*arguments):
        bring(*arguments)
        brought.append(arguments)
        code = (bento / "src/service.py").rename(bento / "later")
        is_half.set()
        go_on.wait(10)
        code.rename(bento / "src/service.py")

    monkeypatch.setattr(kept_bentos, "_bring", by_halves)
    with ThreadPoolExecutor() as workers:
        first = workers.submit(kept_bentos.fetch, BENTO, models)
        assert is_half.wait(10)
        second = workers.submit(kept_bentos.fetch, BENTO, models)
        with pytest.raises(TimeoutError):
            second.result(0.5)
        go_on.set()
        first.result(), second.result()

    assert len(brought) == 1
    assert bento_hash(bento) == proven


def _flipped(content):
    middle = len(content) // 2
    return (
        content[:middle]
        + bytes(255 - byte for byte in content[middle : middle + 9])
        + content[middle + 9 :]
    )


def _in_gzip(here):
    return packed(*here, compression="gz")


def _model_changed(content, bento, model):
    (model / MODEL).write_bytes(b"another")
    changed = packed(bento, model)
    (model / MODEL).write_bytes(b"v1")
    return changed


DAMAGED = {
    "empty": lambda content, *_: b"",
    "garbage": lambda content, *_: b"packed",
    "a page of a proxy": lambda content, *_: b"<html>" * 1000,
    "a beginning": lambda content, *_: content[: len(content) // 2],
    "its head": lambda content, *_: content[:12],
    "flipped": lambda content, *_: _flipped(content),
    "another tail": lambda content, *_: content[:-40] + b"0" * 40,
    "a beginning in gzip": lambda _, *here: _in_gzip(here)[:200],
    "flipped in gzip": lambda _, *here: _flipped(_in_gzip(here)),
    "another checksum in gzip": lambda _, *here: _in_gzip(here)[:-8] + b"00000000",
    "another archive": lambda content, *_: gzip.compress(b"packed" * 1000),
    "none": lambda content, *_: gzip.compress(b""),
    "no bento.yaml": lambda content, bento, model: packed(bento / "src", model),
    "another model": _model_changed,
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_damaged_is_refused_leaves_what_is_here_and_is_replaced_by_a_release(
    kept, models, here, bentoml, damage
):
    bento, proven = here[0], bento_hash(here[0])
    kept.write_bytes(DAMAGED[damage](kept.read_bytes(), *here))
    (bento / "src/service.py").rename(bento / "src/other.py")

    for _ in range(2):
        with pytest.raises(ProjectError, match=f"^{kept} is damaged: .*--pipelines=release"):
            kept_bentos.fetch(BENTO, models, proven)
    assert bentoml.imported == []
    assert is_whole()

    (bento / "src/other.py").rename(bento / "src/service.py")
    kept_bentos.send(BENTO, models)
    shutil.rmtree(bento)
    kept_bentos.fetch(BENTO, models, proven)
    assert bento_hash(bento) == proven


def test_what_is_kept_is_sent_again_only_if_it_is_another(kept, models, here, bentoml):
    kept_bentos.send(BENTO, models)
    sent = list(bentoml.exported)
    (here[0] / "src/service.py").write_text("print(1)")

    kept_bentos.send(BENTO, models)

    assert sent == [BENTO]
    assert bentoml.exported == [BENTO, BENTO]
    kept_bentos.fetch(BENTO, models, bento_hash(here[0]))
    assert bentoml.imported == []


def test_one_that_is_not_whole_here_takes_the_place_of_none_that_is_kept(kept, models, here):
    content = kept.read_bytes()
    (here[0] / "bento.yaml").unlink()

    with pytest.raises(ProjectError, match=r"bento\.yaml is missing"):
        kept_bentos.send(BENTO, models)

    assert kept.read_bytes() == content


def test_a_disk_that_is_full_is_no_damage(kept, models, here, monkeypatch):
    shutil.rmtree(here[0])

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extractall", full)

    with pytest.raises(OSError, match="No space left"):
        kept_bentos.fetch(BENTO, models)
