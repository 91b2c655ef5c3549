"""The seam between what is about the data and what is about running models."""

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

import grimp
import numpy as np
import pandera.pandas as pa
import pytest
import yaml

from flight_delays import contracts
from flight_delays.columns import DAY, ENTITY, Columns
from flight_delays.exporting.export import export
from flight_delays.records import json_records

PACKAGE = "flight_delays"
SOURCE = Path(importlib.util.find_spec(PACKAGE).origin).parent
ABOUT_THE_DATA = ("contracts.py", "pipelines/data_engineering/")
DOMAIN = {"flight", "carrier", "airport", "plane", "weather"}
# what Python and its libraries call by the name of a column
HOMONYMS = {("profiles.py", "distance"), ("resolvers.py", "origin"), ("storage.py", "temp")}
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
import flight_delays.serving.service
from flight_delays.portable.plan import Plan
from flight_delays.serving.desk import Desk, JSON_TYPE
from flight_delays.serving.settings import Settings

folder = Path("model")
settings = Settings(
    feature_store_url="sqlite:///online.db", prediction_log_dir="log", max_rows=100, threads=1
)
desk = Desk(folder, Plan.read(folder, sys.argv[1]), None, settings)
body = Path("rows.json").read_bytes()
completed = desk.predictor.store.complete_all(desk.reader.read(body))
print(flight_delays.__file__)
print(desk.predictor.answer(completed).decode())
print(desk.answer_large(JSON_TYPE, body, JSON_TYPE).body.decode())
"""


def generic_files():
    files = {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*.py")}
    return {name: path for name, path in files.items() if not name.startswith(ABOUT_THE_DATA)}


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
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text.replace(PACKAGE, ""))
    return {part.lower().removesuffix("s") for part in parts}


def names_the_data(text, columns):
    mentioned = {name for name in re.findall(r"\w+", text) if "_" in name}
    return sorted((words(text) & DOMAIN) | (mentioned & columns) | ({text} & columns))


def test_no_generic_module_names_the_data():
    columns = column_names()

    found = {
        f"{PACKAGE}/{name}:{line} names {word}"
        for name, path in generic_files().items()
        for line, text in texts(path)
        for word in names_the_data(text, columns)
        if (name, word) not in HOMONYMS
    }

    assert not found, "\n".join(sorted(found))


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
    ]

    innocent = ["flight_delays", "translate", "arrived late", "probability", "explanation", "day"]

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
    taken = included - {root / path for path in build.get("exclude", [])}
    return {path.relative_to(root / "src"): path for path in taken}


def test_the_bento_has_every_module_that_the_service_imports(pytestconfig):
    service = f"{PACKAGE}.serving.service"
    graph = grimp.build_graph(PACKAGE, cache_dir=None)

    imported = {service} | graph.find_upstream_modules(service)

    places = [place.with_suffix("").parts for place in bento_files(pytestconfig.rootpath)]
    assert len(imported) > 5
    assert imported <= {".".join(place).removesuffix(".__init__") for place in places}


@pytest.mark.parametrize("engine", ["compiled trees", "scikit-learn"])
def test_the_bento_serves_without_any_library_that_it_does_not_need(
    pytestconfig, package, boosted, windows, real_rows, tmp_path, engine
):
    # where coverage takes it for the package
    folder = tmp_path / "project/src"
    for place, path in bento_files(pytestconfig.rootpath).items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / place)
    (folder / "model").mkdir()
    served = boosted if engine == "compiled trees" else package
    inputs = Columns.of(contracts.Inputs)
    plan = export(served, inputs, windows[-1], 1e-9, folder / "model")
    asked = real_rows.head(3)
    sent = asked[[column.name for column in inputs.sent]]
    (folder / "rows.json").write_text(json.dumps({"rows": json_records(sent)}))
    blocked = TRAINING_LIBRARIES + (LEARNING_LIBRARIES if engine == "compiled trees" else ())

    done = subprocess.run(
        [sys.executable, "-c", SERVE.format(blocked=blocked), plan.write(folder / "model")],
        cwd=folder,
        env=os.environ | {"BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    module, one_by_one, together = done.stdout.splitlines()
    assert module == str(folder / PACKAGE / "__init__.py")
    assert plan.engine == engine
    # there is no online store: what is looked up is missing
    expected = served.predict(asked.assign(**{c.name: np.nan for c in inputs.looked_up}))
    for answers in (one_by_one, together):
        answered = [answer["probability"] for answer in json.loads(answers)["predictions"]]
        assert answered == pytest.approx(expected.tolist(), abs=1e-9)
