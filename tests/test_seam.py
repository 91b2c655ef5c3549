"""The wall between the owner's package, about the data, and the engine, about running models."""

import ast
import datetime
import importlib.util
import inspect
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pandera.pandas as pa
import pytest
import uv
import yaml

from flight_delays import contracts

from kedro_mlops.contract.columns import DAY, ENTITY, Columns

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
