"""The engine names neither the data nor its owner."""

import ast
import datetime
import importlib.util
import inspect
import re
import tokenize
from pathlib import Path

import pandera.pandas as pa

from flight_delays import contracts

from kedro_mlops.contract.columns import DAY, ENTITY, Columns

SOURCE = Path(importlib.util.find_spec("kedro_mlops").origin).parent
DOMAIN = {"flight", "carrier", "airport", "plane", "weather"}
# what Python and its libraries call by the name of a column
HOMONYMS = {
    ("code_index.py", "origin"),
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
