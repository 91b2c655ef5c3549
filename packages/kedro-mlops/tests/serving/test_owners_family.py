"""LightGBM, as docs/extending.md declares it, of several classes and of numbers."""

import json
import re
import sys

import pandas as pd
import pytest
from example.contracts import Inputs
from example.factories import observations
from example.other_tasks import FateObservation, FatePrediction, small_package
from example.tasks import DelayObservation, DelayPrediction

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.json_records import json_records
from kedro_mlops.export.serving_form import export
from kedro_mlops.models.package import (
    ModelPackage,
    Unloadable,
    content_hash,
    dump_estimator,
    trusted_types,
)
from kedro_mlops.prediction_log.datasets import read_log
from kedro_mlops.serving.model import loader

pytest.importorskip("lightgbm")

NAME, MODULE = "lightgbm", "families_of_the_page"
INPUTS = Columns.of(Inputs)
ASKED = [(FateObservation, FatePrediction), (DelayObservation, DelayPrediction)]


@pytest.fixture(scope="module")
def families(pytestconfig, tmp_path_factory):
    """Those of the page, in a module as an owner has it."""
    page = (pytestconfig.rootpath / "docs/extending.md").read_text()
    [code] = re.findall(r"^`families\.py` .*?^```python\n(.*?)^```$", page, re.M | re.S)
    folder = tmp_path_factory.mktemp("owner")
    (folder / f"{MODULE}.py").write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield __import__(MODULE).FAMILIES
    sys.modules.pop(MODULE)


@pytest.fixture(scope="module", params=ASKED)
def asked(request):
    """What a row is to learn from, and one of the log."""
    return request.param


@pytest.fixture(scope="module")
def package(asked, families):
    """A small model, with the hash of its own bytes."""
    found = small_package(asked[0], NAME, families=families)
    return found.with_record(content_hash=content_hash(found.estimator))


def test_a_package_is_read_back_as_it_was_by_who_trusts_its_types(package, families, tmp_path):
    package.write(tmp_path)

    read = ModelPackage.read(tmp_path, trusted_types(families))
    stranger = ModelPackage.read(tmp_path)

    rows = observations(n_rows=200)
    for name, told in package.predict(rows).items():
        assert read.predict(rows)[name].tolist() == told.tolist()
    assert dump_estimator(read.estimator) == dump_estimator(package.estimator)
    assert isinstance(stranger.estimator, Unloadable)
    assert "lightgbm" in stranger.estimator.why


def test_the_service_answers_and_logs_what_the_package_says(
    asked, package, state, real_rows, tmp_path
):
    observation, prediction = map(Columns.of, asked)
    folder, rows = tmp_path / "released", observations(columns=observation)
    folder.mkdir()
    label = observation[observation.label]
    spec = export(package, INPUTS, rows, 1e-9, folder, "parcels", label)
    one = state(served=(folder, spec), load=loader(f"{MODULE}.FAMILIES"))

    sent = real_rows.head(20)[INPUTS.only(*(c.name for c in INPUTS.sent)).names]
    read = one.served.reader.judged(json.dumps({"rows": json_records(sent)}).encode())
    told = one.served.predictor.answer(one.store.complete_all(read))

    answers = pd.DataFrame(json.loads(told)["predictions"])
    log = read_log(tmp_path / "log", prediction.without_personal()).to_pandas()
    expected = pd.DataFrame(
        package.predict(log.astype({c.name: c.types.pandas for c in INPUTS.without_personal().all}))
    )
    assert (spec.engine, spec.family) == ("scikit-learn", NAME)
    assert "LGBM" in spec.engine_reason
    pd.testing.assert_frame_equal(answers[[*expected]], expected, rtol=0, atol=1e-12)
    pd.testing.assert_frame_equal(log[[*expected]], expected, check_dtype=False)
