"""What the service does without: all that only training needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import uv
from example.contracts import Inputs

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.json_records import json_records
from kedro_mlops.export.serving_form import export

TRAINING_LIBRARIES = (*("kedro", "kedro_datasets", "optuna", "ibis", "duckdb", "plotly"),)
# what only scikit-learn's engine needs
LEARNING_LIBRARIES = ("pandas", "pandera", "sklearn", "skops", "scipy", "joblib")

SERVE = """
import sys
from pathlib import Path


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ImportError(f"the service must not import {{name}}")


sys.meta_path.insert(0, Blocked())

import kedro_mlops.serving.service
from kedro_mlops.runtime.serving_spec import ServingSpec
from kedro_mlops.serving.app_state import AppState
from kedro_mlops.serving.problem_details import JSON
from kedro_mlops.serving.settings import Settings

folder = Path("model")
settings = Settings(
    feature_store_url="sqlite:///online.db", prediction_log_dir="log", max_rows=100, threads=1
)
state = AppState(folder, ServingSpec.read(folder, sys.argv[1]), None, settings)
body = Path("rows.json").read_bytes()
completed = state.store.complete_all(state.served.reader.judged(body))
print(kedro_mlops.__file__)
print(state.served.predictor.answer(completed).decode())
print(state.served.answer_large(JSON, body, JSON).body.decode())
"""


@pytest.fixture(scope="module")
def wheel(pytestconfig, tmp_path_factory):
    """The engine as it is packed for the Bento."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [uv.find_uv_bin(), "build", "--quiet", "--wheel", "--package=kedro-mlops"]
    subprocess.run(
        [*command, f"--out-dir={folder}"], cwd=pytestconfig.rootpath, check=True, timeout=60
    )
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.mark.parametrize("engine", ["compiled trees", "scikit-learn"])
def test_a_wheel_serves_without_any_library_that_it_does_not_need(
    wheel, package, boosted, windows, real_rows, tmp_path, engine
):
    (tmp_path / "model").mkdir()
    served = boosted if engine == "compiled trees" else package
    inputs = Columns.of(Inputs)
    spec = export(served, inputs, windows[-1], 1e-9, tmp_path / "model")
    asked = real_rows.head(3)
    sent = asked[[column.name for column in inputs.sent]]
    (tmp_path / "rows.json").write_text(json.dumps({"rows": json_records(sent)}))
    blocked = TRAINING_LIBRARIES + (LEARNING_LIBRARIES if engine == "compiled trees" else ())

    done = subprocess.run(
        [sys.executable, "-c", SERVE.format(blocked=blocked), spec.write(tmp_path / "model")],
        cwd=tmp_path,
        env=os.environ
        | {"BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
        | {"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    engine_at, one_by_one, together = done.stdout.splitlines()
    assert Path(engine_at).is_relative_to(wheel)
    assert spec.engine == engine
    # there is no online store: what is looked up is missing
    expected = served.score(asked.assign(**{c.name: np.nan for c in inputs.looked_up}))
    for answers in (one_by_one, together):
        answered = [answer["probability"] for answer in json.loads(answers)["predictions"]]
        assert answered == pytest.approx(expected.tolist(), abs=1e-9)
