"""The seam between what is about the data and what is about running models."""

import ast
import datetime
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

import grimp
import pandera.pandas as pa

from flight_delays import contracts
from flight_delays.columns import DAY, ENTITY, Columns

PACKAGE = "flight_delays"
SOURCE = Path(importlib.util.find_spec(PACKAGE).origin).parent
ABOUT_THE_DATA = ("contracts.py", "pipelines/data_engineering/")
DOMAIN = {"flight", "carrier", "airport", "plane", "weather"}
# what Python and its libraries call by the name of a column
HOMONYMS = {("profiles.py", "distance"), ("resolvers.py", "origin"), ("storage.py", "temp")}
TRAINING_LIBRARIES = ("kedro", "kedro_datasets", "optuna", "ibis", "plotly")

SERVE = """
import sys
from pathlib import Path


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ImportError(f"the service must not import {{name}}")


sys.meta_path.insert(0, Blocked())

import pandas as pd
import flight_delays
from flight_delays.serving import service
from flight_delays.model_package import ModelPackage

package = ModelPackage.read(Path("model"))
print(flight_delays.__file__)
print(*package.predict(pd.read_parquet("rows.parquet")))
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
    build = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["bentoml"]["build"]
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


def test_the_bento_serves_without_any_training_library(pytestconfig, package, real_rows, tmp_path):
    # where coverage takes it for the package
    folder = tmp_path / "project/src"
    for place, path in bento_files(pytestconfig.rootpath).items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / place)
    (folder / "model").mkdir()
    package.write(folder / "model", serving_only=True)
    real_rows.head(3).to_parquet(folder / "rows.parquet")

    done = subprocess.run(
        [sys.executable, "-c", SERVE.format(blocked=TRAINING_LIBRARIES)],
        cwd=folder,
        env=os.environ | {"BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    module, probabilities = done.stdout.splitlines()
    assert module == str(folder / PACKAGE / "__init__.py")
    assert [float(p) for p in probabilities.split()] == package.predict(real_rows.head(3)).tolist()
