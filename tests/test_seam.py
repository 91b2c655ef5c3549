"""The wall between the owner's package, about the data, and the engine, about running models."""

import ast
import datetime
import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import numpy as np
import pandera.pandas as pa
import pytest
import uv
import yaml

from flight_delays import contracts
from kedro_mlops.contract.columns import DAY, ENTITY, Columns
from kedro_mlops.core.json_records import json_records
from kedro_mlops.export.serving_form import export

OWNER, ENGINE = "flight_delays", "kedro_mlops"
SOURCE = Path(importlib.util.find_spec(ENGINE).origin).parent
MOST_LINES_OF_THE_OWNER = 1_100
DOMAIN = {"flight", "carrier", "airport", "plane", "weather"}
# what Python and its libraries call by the name of a column
HOMONYMS = {
    ("drift_profile.py", "distance"),
    ("files.py", "temp"),
    ("project.py", "origin"),
    ("resolvers.py", "origin"),
}
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

import flight_delays
import kedro_mlops.serving.service
from kedro_mlops.runtime.serving_spec import ServingSpec
from kedro_mlops.serving.app_state import AppState, JSON_TYPE
from kedro_mlops.serving.settings import Settings

folder = Path("model")
settings = Settings(
    feature_store_url="sqlite:///online.db", prediction_log_dir="log", max_rows=100, threads=1
)
state = AppState(folder, ServingSpec.read(folder, sys.argv[1]), None, settings)
body = Path("rows.json").read_bytes()
completed = state.predictor.store.complete_all(state.reader.read(body))
print(flight_delays.__file__)
print(kedro_mlops.__file__)
print(state.predictor.answer(completed).decode())
print(state.answer_large(JSON_TYPE, body, JSON_TYPE).body.decode())
"""


def column_names():
    """Columns of the contracts, but for those that every project has."""
    tables = [
        table
        for _, table in inspect.getmembers(contracts, inspect.isclass)
        if issubclass(table, pa.DataFrameModel) and table.__module__ == contracts.__name__
    ]
    inputs, prediction = Columns.of(contracts.Inputs), Columns.of(contracts.Prediction)
    shared = {ENTITY, DAY, *prediction.names} - set(inputs.names)
    names = {name for table in tables for name in Columns.of(table).names} - shared
    return {name for name in names if not hasattr(datetime.datetime, name)}


def texts(path):
    """Each identifier, string and comment of a file, with its line."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.STRING and not re.match("[rb]*f", token.string, re.I):
                yield token.start[0], str(ast.literal_eval(token.string))
            elif token.type != tokenize.ENCODING and token.string.strip():
                yield token.start[0], token.string


def words(text):
    """The parts of identifiers and prose, in lower case and in the singular."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text)
    return {part.lower().removesuffix("s") for part in parts}


def names_the_data(text, columns):
    mentioned = {name for name in re.findall(r"\w+", text) if "_" in name}
    return sorted((words(text) & DOMAIN) | (mentioned & columns) | ({text} & columns))


def test_the_engine_names_neither_the_data_nor_its_owner():
    columns = column_names()

    found = {
        f"{path.relative_to(SOURCE)}:{line} names {word}"
        for path in SOURCE.rglob("*.py")
        for line, text in texts(path)
        for word in names_the_data(text, columns)
        if (path.name, word) not in HOMONYMS
    }

    assert not found, "\n".join(sorted(found))


def test_the_owner_has_little_to_own(pytestconfig):
    files = (pytestconfig.rootpath / "src" / OWNER).rglob("*.py")

    assert sum(len(path.read_text().splitlines()) for path in files) <= MOST_LINES_OF_THE_OWNER


def test_the_search_for_names_finds_them():
    columns = column_names()
    guilty = [
        "late",
        "tail_number",
        "rows of tail_number",
        "FlightCounts",
        "by_carrier",
        "# share their weather",
        "two airports",
        "late_rate_7d",
        "flight_delays",
    ]

    innocent = ["translate", "arrived late", "probability", "explanation", "day"]

    assert all(names_the_data(text, columns) for text in guilty)
    assert not any(names_the_data(text, columns) for text in innocent)


def test_imports_point_one_way(pytestconfig):
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]

    done = subprocess.run(
        command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def bento_files(root):
    """What ``bentoml build`` takes: by the place in the Bento, where it comes from."""
    build = yaml.safe_load((root / "bentofile.yaml").read_text())
    included = {path for pattern in build["include"] for path in root.glob(pattern)}
    return {path.relative_to(root / "src"): path for path in included}


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


def test_the_bento_takes_the_engine_that_is_packed(pytestconfig, wheel):
    build = yaml.safe_load((pytestconfig.rootpath / "bentofile.yaml").read_text())

    assert build["python"]["wheels"] == [f"build/wheels/{wheel.name}"]


@pytest.mark.parametrize("engine", ["compiled trees", "scikit-learn"])
def test_the_bento_serves_without_any_library_that_it_does_not_need(
    pytestconfig, wheel, package, boosted, windows, real_rows, tmp_path, engine
):
    # where coverage takes it for the package
    folder = tmp_path / "project/src"
    for place, path in bento_files(pytestconfig.rootpath).items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / place)
    (folder / "model").mkdir()
    served = boosted if engine == "compiled trees" else package
    inputs = Columns.of(contracts.Inputs)
    spec = export(served, inputs, windows[-1], 1e-9, folder / "model")
    asked = real_rows.head(3)
    sent = asked[[column.name for column in inputs.sent]]
    (folder / "rows.json").write_text(json.dumps({"rows": json_records(sent)}))
    blocked = TRAINING_LIBRARIES + (LEARNING_LIBRARIES if engine == "compiled trees" else ())

    done = subprocess.run(
        [sys.executable, "-c", SERVE.format(blocked=blocked), spec.write(folder / "model")],
        cwd=folder,
        env=os.environ
        | {"BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"}
        | {"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    owner, engine_at, one_by_one, together = done.stdout.splitlines()
    assert owner == str(folder / OWNER / "__init__.py")
    assert Path(engine_at).is_relative_to(wheel)
    assert spec.engine == engine
    # there is no online store: what is looked up is missing
    expected = served.predict(asked.assign(**{c.name: np.nan for c in inputs.looked_up}))
    for answers in (one_by_one, together):
        answered = [answer["probability"] for answer in json.loads(answers)["predictions"]]
        assert answered == pytest.approx(expected.tolist(), abs=1e-9)
