import re

import pytest
from example.factories import spec_of, write_spec

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.runtime.serving_spec import MODEL, SPEC, SPEC_LABEL, TREES, ServingSpec, hash_of


@pytest.fixture
def folder(tmp_path):
    """A released model that is whole."""
    write_spec("v1", tmp_path)
    return tmp_path


@pytest.fixture
def sha256(folder):
    """What its spec hashes to."""
    return hash_of((folder / SPEC).read_bytes())


def test_a_plan_that_was_read_back_is_the_same(tmp_path):
    (tmp_path / MODEL).write_bytes(b"v1")
    spec = spec_of(files={MODEL: hash_of(b"v1")})

    sha256 = spec.write(tmp_path)

    assert ServingSpec.read(tmp_path, sha256) == spec


def test_a_released_plan_is_read_back_with_its_rules_and_encoding(released):
    folder, spec = released

    back = ServingSpec.read(folder, hash_of((folder / SPEC).read_bytes()))

    assert back == spec
    assert [field.name for field in back.sent + back.looked_up] == [f.name for f in spec.fields]
    assert back.encoding.width == len(back.features) + len(back.encoding.moments)


def test_every_key_and_looked_up_field_is_known():
    spec = spec_of()

    assert spec.keys == ["courier", "parcel_number", "depot", "leaves_at"]
    assert all(field.source is not None for field in spec.looked_up)
    assert {field.source.by for field in spec.looked_up} <= {field.name for field in spec.sent}


@pytest.mark.parametrize("name", [SPEC, MODEL])
def test_a_missing_file_is_refused_with_the_next_step(folder, sha256, name):
    (folder / name).unlink()

    with pytest.raises(ProjectError, match=rf"cannot be read: .*{name}.*pipelines=release"):
        ServingSpec.read(folder, sha256)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"\xff"])
def test_a_damaged_plan_is_refused(folder, sha256, content):
    (folder / SPEC).write_bytes(content)

    with pytest.raises(ProjectError, match=f"{re.escape(str(folder))} is not served"):
        ServingSpec.read(folder, sha256)


def test_half_a_plan_is_refused(folder, sha256):
    content = (folder / SPEC).read_bytes()
    (folder / SPEC).write_bytes(content[: len(content) // 2])

    with pytest.raises(ProjectError, match="cannot be read"):
        ServingSpec.read(folder, sha256)


def test_a_model_that_was_exchanged_is_refused(folder, sha256):
    (folder / MODEL).write_bytes(b"v2")

    with pytest.raises(ProjectError, match=rf"{MODEL} is not the file that {SPEC} describes"):
        ServingSpec.read(folder, sha256)


@pytest.fixture
def tampered(folder, sha256):
    """A released model of which the threshold was changed by hand."""
    text = (folder / SPEC).read_text()
    (folder / SPEC).write_text(text.replace('"threshold": 0.4', '"threshold": 0.9'))
    return folder


def test_a_plan_that_was_tampered_with_is_refused(tampered, sha256):
    with pytest.raises(ProjectError, match=f"{SPEC} is not the file that was released"):
        ServingSpec.read(tampered, sha256)


@pytest.mark.parametrize("missing", [None, ""])
def test_a_plan_whose_hash_is_not_known_is_refused(tampered, missing):
    with pytest.raises(ProjectError, match=rf"{SPEC_LABEL}.* is missing.*pipelines=release"):
        ServingSpec.read(tampered, missing)


@pytest.mark.parametrize(("engine", "name"), [("scikit-learn", MODEL), ("compiled trees", TREES)])
def test_a_plan_without_the_hash_of_the_model_that_serves_is_refused(tmp_path, engine, name):
    (tmp_path / name).write_bytes(b"v1")

    sha256 = spec_of(engine=engine).write(tmp_path)

    with pytest.raises(ProjectError, match=f"{SPEC} has no hash of {name}"):
        ServingSpec.read(tmp_path, sha256)
