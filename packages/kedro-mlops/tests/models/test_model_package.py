import hashlib
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
import sklearn
from example import ENVIRONMENT
from example.factories import X, Y, decided, fitted, from_scikit_learn, observations, tiny_package
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.metadata import Metadata
from kedro_mlops.models.package import (
    ModelPackage,
    UnloadableError,
    _serialise,
    content_hash,
    dump_estimator,
    load_estimator,
)
from kedro_mlops.task.record import DecisionRule

FILES = [
    "model.skops", "metadata.json", "reference.json", "evaluated.skops", "evaluation.json",
]  # fmt: skip
FAMILIES = pytest.mark.parametrize("family", ["gradient_boosting", "logistic_regression"])
ROWS = observations(100, seed=7)
LETTERS = json.dumps(["x", "long", "", "é", '"', "\\"])


@pytest.fixture
def written(tmp_path) -> Path:
    """The folder of a written package."""
    tiny_package().write(tmp_path)
    return tmp_path


def replace_model(folder: Path, model: bytes) -> None:
    """Put another model into a package, as if it had been saved so."""
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["content_hash"] = hashlib.sha256(model).hexdigest()
    rewrite(folder, "model.skops", model)
    rewrite(folder, "metadata.json", json.dumps(metadata).encode())


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Replace a file, and its hash."""
    (folder / name).write_bytes(content)
    sums = (folder / "SHA256SUMS").read_text().splitlines()
    others = [line for line in sums if not line.endswith(f"  {name}")]
    line = f"{hashlib.sha256(content).hexdigest()}  {name}"
    (folder / "SHA256SUMS").write_text("\n".join([*others, line]))


@FAMILIES
def test_a_package_that_was_read_back_predicts_exactly_the_same(family, tmp_path):
    package = tiny_package(family)

    package.write(tmp_path)
    back = ModelPackage.read(tmp_path)

    np.testing.assert_array_equal(back.score(ROWS), package.score(ROWS))
    np.testing.assert_array_equal(
        back.evaluated.predict_proba(ROWS[X]), package.evaluated.predict_proba(ROWS[X])
    )
    assert back.metadata == package.metadata
    assert back.reference == package.reference
    assert back.evaluation == package.evaluation is not None


def test_models_trained_alike_in_two_processes_have_the_same_hash():
    families = ("gradient_boosting", "logistic_regression")
    script = "import sys; from example.factories import *; " + (
        "print(*[content_hash(fitted(family)) for family in sys.argv[1:]])"
    )
    elsewhere = {**ENVIRONMENT, "PYTHONHASHSEED": "42"}

    other = subprocess.run(
        [sys.executable, "-c", script, *families],
        env=elsewhere, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert other.stdout.split() == [content_hash(fitted(family)) for family in families]


@FAMILIES
def test_different_models_have_different_hashes(family):
    assert content_hash(fitted(family, seed=0)) != content_hash(fitted(family, seed=1))


def test_a_model_that_was_read_back_has_the_hash_it_had():
    data = dump_estimator(fitted())

    back = load_estimator(data)

    assert _serialise(back) == dump_estimator(back) == data


def test_a_model_of_columns_that_are_letters_has_the_hash_it_had():
    """Python keeps a letter once, unless it was made by a library that does not."""
    names, others = (msgspec.json.decode(LETTERS) for _ in range(2))
    rows = pd.DataFrame(np.arange(12.0).reshape(2, 6), columns=pd.Index(names, dtype=object))
    parts = ColumnTransformer([("a", "passthrough", names), ("b", "passthrough", others)])
    data = dump_estimator(parts.fit(rows))

    assert _serialise(load_estimator(data)) == data


def test_a_score_is_the_probability_of_the_positive_class():
    rows = observations()

    p = tiny_package().score(rows)

    positive = rows[Y].to_numpy(bool)
    assert p.shape == (len(rows),)
    assert p[positive].mean() > 0.5 > p[~positive].mean()


def test_a_score_needs_the_features_only_whatever_their_order():
    package = tiny_package()

    shuffled = package.score(ROWS[X[::-1]])

    np.testing.assert_array_equal(shuffled, package.score(ROWS))


def test_a_probability_on_the_threshold_is_decided_positive():
    scores = tiny_package().score(ROWS)
    threshold = float(np.sort(scores)[50])
    package = tiny_package(rule=DecisionRule(threshold=threshold))

    predicted = package.predict(ROWS)

    assert list(predicted) == ["probability", "decision"]
    np.testing.assert_array_equal(predicted["probability"], scores)
    assert predicted["decision"][scores == threshold].all()
    assert predicted["decision"].sum() == 50


def test_a_record_is_added_to_a_copy():
    package = tiny_package()

    promoted = package.with_record(decision=decided())

    assert promoted.metadata.decision == decided()
    assert package.metadata.decision is None
    assert promoted.estimator is package.estimator


def test_a_slice_that_has_no_value_of_a_metric_has_none_when_it_was_read_back(written):
    _, one_class = ModelPackage.read(written).evaluation.slices

    assert one_class["roc_auc"] is None
    assert one_class["n_rows"] == 1234


def test_nothing_in_a_package_is_a_pickle(written):
    models = [zipfile.ZipFile(path) for path in written.glob("*.skops")]

    suffixes = {Path(name).suffix for model in models for name in model.namelist()}

    assert suffixes == {".json", ".npy"}


def test_a_package_from_before_parameters_were_recorded_can_be_read(written):
    metadata = json.loads((written / "metadata.json").read_text())
    del metadata["parameters"], metadata["withdrawn"]
    rewrite(written, "metadata.json", json.dumps(metadata).encode())

    back = ModelPackage.read(written)

    assert back.metadata == tiny_package().metadata


def test_the_metadata_can_be_read_alone(written):
    (written / "model.skops").unlink()

    assert Metadata.read(written) == tiny_package().metadata


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_metadata_that_is_missing_or_damaged_is_refused(written, content):
    (written / "metadata.json").unlink()
    if content:
        (written / "metadata.json").write_text(content)

    with pytest.raises(ProjectError, match=r"(?s)cannot be read.*remove that folder"):
        Metadata.read(written)


def test_whether_the_model_is_intact_does_not_depend_on_whether_it_can_be_loaded(written):
    replace_model(written, b"not a model, but as described")
    package = ModelPackage.read(written)
    (written / "model.skops").write_bytes(b"exchanged")

    assert hashlib.sha256(package.estimator.data).hexdigest() == package.metadata.content_hash
    with pytest.raises(ProjectError, match=r"model\.skops is not the file"):
        ModelPackage.read(written)


@pytest.mark.parametrize("name", FILES)
def test_a_package_without_one_of_its_files_is_refused(written, name):
    (written / name).unlink()

    with pytest.raises(ProjectError, match=rf"{written.name} cannot be read.*{name}"):
        ModelPackage.read(written)


@pytest.mark.parametrize("name", FILES)
def test_a_package_with_half_a_file_is_refused(written, name):
    content = (written / name).read_bytes()
    (written / name).write_bytes(content[: len(content) // 2])

    with pytest.raises(ProjectError, match="cannot be read"):
        ModelPackage.read(written)


def test_a_model_that_was_exchanged_is_refused(written):
    (written / "model.skops").write_bytes(dump_estimator(fitted(seed=5)))

    with pytest.raises(ProjectError, match=r"model\.skops is not the file"):
        ModelPackage.read(written)


def test_a_model_that_is_not_the_one_its_metadata_describes_is_refused(written):
    rewrite(written, "model.skops", dump_estimator(fitted(seed=5)))

    with pytest.raises(ProjectError, match=r"model\.skops is not the file that metadata\.json"):
        ModelPackage.read(written)


EDITS = {
    "the threshold": ("metadata.json", '"threshold": 0.4', '"threshold": 0.9'),
    "what it has learned from": ("metadata.json", '_until": "2013', '_until": "2012'),
    "its metrics": ("metadata.json", '"value": 0.5', '"value": 0.3'),
    "what is normal": ("reference.json", '"n_days":12', '"n_days":13'),
    "the measured model": ("evaluated.skops", None, None),
    "what was found": ("evaluation.json", "1234", "12340"),
}


@pytest.mark.parametrize(("name", "before", "after"), EDITS.values(), ids=EDITS)
def test_whatever_was_edited_by_hand_is_refused_with_its_name(written, name, before, after):
    content = (written / name).read_bytes()
    edited = content.replace(before.encode(), after.encode()) if before else content + b" "
    (written / name).write_bytes(edited)

    assert edited != content
    with pytest.raises(ProjectError, match=rf"{name} is not the file that was saved.*Put the"):
        ModelPackage.read(written)


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_its_hash_is_refused(written, name):
    sums = (written / "SHA256SUMS").read_text()
    (written / "SHA256SUMS").write_text(re.sub(rf".*{name}\n", "", sums))

    with pytest.raises(ProjectError, match=f"{name} has no hash in SHA256SUMS"):
        ModelPackage.read(written)


@pytest.mark.parametrize("read", [ModelPackage.read, Metadata.read])
def test_without_any_hash_nothing_is_read(written, read):
    (written / "SHA256SUMS").unlink()

    with pytest.raises(ProjectError, match=r"no SHA256SUMS.*remove that folder"):
        read(written)


def test_metadata_that_were_edited_are_refused_also_where_they_are_read_alone(written):
    text = (written / "metadata.json").read_text()
    (written / "metadata.json").write_text(text.replace('"threshold": 0.4', '"threshold": 0.9'))

    with pytest.raises(ProjectError, match=r"metadata\.json is not the file that was saved"):
        Metadata.read(written)


def test_the_hashes_can_be_checked_by_sha256sum(written):
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]

    checked = subprocess.run(command, cwd=written, capture_output=True, text=True, check=True)

    assert checked.stdout.split("\n")[:-1] == [f"{name}: OK" for name in FILES]


def test_a_model_with_a_type_that_is_not_trusted_is_not_loaded(written):
    stranger = Pipeline([("sum", FunctionTransformer(np.sum)), ("type", FunctionTransformer(eval))])
    replace_model(written, dump_estimator(stranger))

    back = ModelPackage.read(written)

    with pytest.raises(UnloadableError, match=r"(?i)untrusted types.*eval"):
        back.score(ROWS)


def test_a_model_of_another_scikit_learn_is_not_asked_and_the_next_step_is_said(written):
    replace_model(written, from_scikit_learn("1.0.2", dump_estimator(fitted())))

    back = ModelPackage.read(written)

    said = rf"scikit-learn 1\.0\.2, and this is {sklearn.__version__}.*gate`, then `kedro champion"
    with pytest.raises(UnloadableError, match=said):
        back.score(ROWS)


def test_a_model_of_another_scikit_learn_is_passed_on_with_all_that_is_known_of_it(
    written, tmp_path
):
    replace_model(written, from_scikit_learn("1.0.2", dump_estimator(fitted())))
    package, copy = ModelPackage.read(written), tmp_path / "copy"
    copy.mkdir()

    package.with_record(decision=decided("rollback")).write(copy)

    assert (copy / "model.skops").read_bytes() == (written / "model.skops").read_bytes()
    assert ModelPackage.read(copy).reference == package.reference
    assert content_hash(package.estimator) == package.metadata.content_hash


def test_what_stands_in_for_a_model_is_asked_in_its_place(written):
    replace_model(written, from_scikit_learn("1.0.2", dump_estimator(fitted())))
    back = ModelPackage.read(written)

    def tenths(rows):
        return np.full(len(rows), 0.1)

    asked = replace(back, estimator=replace(back.estimator, stand_in=tenths))

    assert set(asked.score(ROWS)) == {0.1}


@pytest.mark.parametrize(
    "later",
    [{"as_of": "2013-01-12"}, {"trained_until": "2013-01-14"}, {"evaluated_until": "2013-01-14"}],
)
def test_a_package_that_another_run_is_mixed_with_is_refused(tmp_path, later):
    # it was measured on rows until 12 January, and is as of the 13th
    dates = {name: pd.Timestamp(day) for name, day in later.items()}
    tiny_package(evaluated=False, **dates).write(tmp_path)

    with pytest.raises(ProjectError, match=r"another run is mixed with it.*kedro run"):
        ModelPackage.read(tmp_path)
