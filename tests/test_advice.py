"""What messages advise: that it exists, and that following it helps."""

import ast
import re

import click
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.cli.cli import KedroCLI
from kedro.framework.cli.utils import env_option

from flight_delays.pipelines.data_engineering import nodes as engineering
from kedro_mlops.cli.commands import cli
from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.contract.quarantine import refuse_bad_data
from kedro_mlops.contract.rules import column_rules, row_key
from kedro_mlops.contract.screening_account import ScreeningAccount, TableAccount
from kedro_mlops.core.errors import BadDataError, ContractError, ProjectError
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.core.wording import in_environment
from kedro_mlops.export.fields import fields_of
from kedro_mlops.framework.error_messages import explained
from kedro_mlops.modelling import tuning
from kedro_mlops.modelling.nodes import split_windows
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.monitoring.nodes import take_predictions
from kedro_mlops.replay.driver import ticks
from kedro_mlops.scoring.nodes import score
from tests.conftest import CODE
from tests.factories import COLUMNS, LOGGED

MIN_WORDS = 4


def said_by(wrong, *arguments):
    with pytest.raises(ProjectError) as refused:
        wrong(*arguments)
    return str(refused.value)


# that it helps: what a message names is changed as it says, and then it passes


@pytest.mark.parametrize(
    ("window", "given"),
    [
        ("validation", {"validation_days": 1}),
        ("test", {"test_days": 1}),
        ("train", {"validation_days": 60, "test_days": 28}),
    ],
)
def test_each_way_out_of_a_small_window_leads_out(
    engineered, modelling_params, as_of, window, given
):
    small = modelling_params.model_copy(update=given)

    said = said_by(split_windows, COLUMNS, engineered.model_input, as_of, small)

    assert f"The {window} window" in said
    ways = re.findall(r"(smaller|larger) modelling\.(\w+)", said)
    assert ("smaller", "min_rows") in ways
    assert len(ways) >= 2
    for way, name in ways:
        there_are = int(re.search(r"has (\d+) labelled rows", said)[1])
        value = {"min_rows": there_are, "validation_days": 14, "test_days": 14}[name]
        assert (value < getattr(small, name)) == (way == "smaller")
        followed = small.model_copy(update={name: value})
        windows = split_windows(COLUMNS, engineered.model_input, as_of, followed)
        assert [len(rows) >= followed.min_rows for rows in windows] == [True] * 3


def test_an_as_of_with_more_rows_before_it_has_a_training_window(
    engineered, modelling_params, as_of
):
    early = AsOf("2013-01-20")

    said = said_by(split_windows, COLUMNS, engineered.model_input, early, modelling_params)

    assert "The train window" in said
    assert "an as_of with more rows before it" in said
    assert split_windows(COLUMNS, engineered.model_input, as_of, modelling_params)


def test_where_a_window_has_enough_rows_of_one_class_fewer_are_not_advised(
    engineered, modelling_params, as_of
):
    label = engineered.model_input["late"]
    punctual = engineered.model_input.filter(label.notnull(), ~label)

    assert "min_rows" not in said_by(split_windows, COLUMNS, punctual, as_of, modelling_params)


def test_the_day_that_is_named_is_one(engineered, engineering_params, horizon):
    land, screened = engineering.land_flights, engineered.screened

    said = said_by(land, screened, AsOf("2014-09-01"), horizon, engineering_params)

    [day] = re.findall(r"`kedro run --params as_of=([\d-]+)`", said)
    assert land(screened, AsOf(day), horizon, engineering_params).count().execute() > 0


def test_a_larger_share_in_quarantine_lets_the_tables_pass():
    account = TableAccount(
        contract="Raw", n_read=100, n_valid=95, n_quarantined=5, share=0.05, rules=[]
    )
    said = {"passed": False, "largest_share": account.share, "tables": [account]}
    screening = ScreeningAccount(max_quarantine_share=0.01, **said)

    with pytest.raises(BadDataError, match=r"screening\.max_quarantine_share=0\.01"):
        refuse_bad_data(screening)

    refuse_bad_data(screening.model_copy(update={"max_quarantine_share": account.share}))


def test_the_family_that_may_have_been_meant_is_trained(windows, modelling_params):
    train, validation, _ = windows
    misspelt = modelling_params.model_copy(update={"n_trials": {"logistic_regresion": 1}})

    said = said_by(
        tuning.tune, COLUMNS, FAMILIES, train, validation, pd.DataFrame(), None, misspelt, 0, CODE
    )

    [meant] = re.findall(r"Did you mean '(\w+)'", said)
    followed = misspelt.model_copy(update={"n_trials": {meant: 1}})
    recipe, *_ = tuning.tune(
        COLUMNS, FAMILIES, train, validation, pd.DataFrame(), None, followed, 0, CODE
    )
    assert recipe["family"] == meant


VALUES = {"isin": [1.0], "notin": [1.0], "str_matches": "a"}


def declared(name, value):
    kind = str if name == "str_matches" else float
    members = {"__annotations__": {"x": kind}, "x": column("X", **{name: value})}
    return Columns.of(type("Own", (Contract,), members))


def enforced(columns):
    """What the engine and the service make of it."""
    import ibis

    dtype = "string" if columns["x"].kind == "categorical" else "float64"
    return [*column_rules(columns, {"x": ibis.table({"x": dtype}, name="t").x})], fields_of(columns)


@pytest.mark.parametrize("where", ["engine", "service"])
def test_every_check_that_is_named_in_place_of_another_can_be_declared(where):
    unknown = declared("str_length", {"min_value": 1})
    wrong = enforced if where == "engine" else fields_of

    said = said_by(wrong, unknown)

    names = re.search(r"use one of (.*)\.$", said)[1].split(", ")
    assert len(names) == 7
    for name in names:
        assert enforced(declared(name, VALUES.get(name, 1)))


def test_a_key_of_one_column_is_declared_as_is_said():
    class Alone(Contract):
        code: str = column("Code", unique=True)

    class Followed(Contract):
        code: str = column("Code")

        class Config:
            unique = ("code",)

    with pytest.raises(ContractError, match="say `unique` in the Config of Alone"):
        row_key(Alone)
    assert row_key(Followed) == ["code"]


def test_every_frequency_that_is_named_is_one():
    start, end = pd.Timestamp("2013-03-01"), pd.Timestamp("2013-06-01")

    said = said_by(ticks, start, end, "fortnight")
    none = said_by(ticks, start, pd.Timestamp("2013-03-02"), "MS")

    named = re.findall(r"(\S+) for (?:months|weeks|days)", said)
    assert len(named) == 3
    assert all(ticks(start, end, every) for every in named)
    assert "a later --to, or a shorter --every" in none
    assert ticks(start, end, "MS")
    assert ticks(start, pd.Timestamp("2013-03-02"), "1D")


def test_predictions_scored_as_is_said_are_watched(engineered, package, as_of, horizon):
    other = score(COLUMNS, LOGGED, package, engineered.model_input, as_of, Horizon(days=3))
    later = AsOf(as_of.after(2).date())

    said = said_by(take_predictions, COLUMNS, other, package, later, horizon)

    [(day, days)] = re.findall(r"--params=as_of=([\d-]+),horizon\.days=(\d+)`", said)
    asked = AsOf(day), Horizon(days=int(days))
    assert asked == (later, horizon)
    followed = score(COLUMNS, LOGGED, package, engineered.model_input, *asked)
    assert take_predictions(COLUMNS, followed, package, *asked).count().execute() > 0


# that it exists


def texts(root):
    """Every message of the source, templates and alerts, by where it is; … for what it fills in."""
    for path in sorted([*root.glob("src/**/*.py"), *root.glob("packages/*/src/**/*.py")]):
        nodes = [*ast.walk(ast.parse(path.read_text()))]
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        skipped = {ast.get_docstring(n, clean=False) for n in nodes if isinstance(n, documented)}
        joined = [node for node in nodes if isinstance(node, ast.JoinedStr)]
        parts = {part for node in joined for part in ast.walk(node) if part is not node}
        for node in nodes:
            text = None if node in parts else _text(node)
            if text and text not in skipped:
                yield f"{path.relative_to(root)}:{node.lineno}", text
    for pattern in ("packages/*/src/**/*.j2", "deploy/prometheus/rules.yml", "deploy/README.md"):
        for path in root.glob(pattern):
            yield str(path.relative_to(root)), re.sub(r"{[{%].*?[%}]}", "…", path.read_text())


def _text(node):
    match node:
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "…" for part in parts)
        case ast.Constant(value=str(text)):
            return text
    return None


@pytest.fixture(scope="module")
def messages(pytestconfig):
    found = dict(texts(pytestconfig.rootpath))
    return {where: text for where, text in found.items() if len(text.split()) >= MIN_WORDS}


@pytest.fixture(scope="module")
def pages(pytestconfig):
    """What people read; tests/test_links.py looks for the files that they name."""
    root = pytestconfig.rootpath
    found = [
        path for pattern in ("*.md", "docs/*.md", "packages/*/*.md") for path in root.glob(pattern)
    ]
    return {str(path.relative_to(root)): path.read_text() for path in found}


@pytest.fixture(scope="module")
def parameters(pytestconfig):
    files = (pytestconfig.rootpath / "conf/base").glob("parameters*.yml")
    return {k: v for file in files for k, v in (yaml.safe_load(file.read_text()) or {}).items()}


def lacks(tree, path):
    """Whether a dotted path leads nowhere in a tree of dictionaries."""
    for name in path.split("."):
        if not isinstance(tree, dict) or name not in tree:
            return True
        tree = tree[name]
    return False


def commands(text):
    quoted = re.findall(r"`((?:make|kedro) [a-z][^`]*)`", text)
    # what follows a colon says what it is for
    typed = re.findall(r"^(?:make|kedro) [a-z][^:]*", text)
    return [line.replace("…", "") for line in [*quoted, *typed]]


def mistakes(line, parameters, root):
    """What of a command there is not."""
    words = line.split()
    if words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.M)
        return {words[1]} - {*targets}
    command = cli if words[1] in cli.commands else KedroCLI(root)
    for word in words[1:]:
        if hasattr(command, "get_command") and not word.startswith("-"):
            command = command.get_command(None, word)
    if command is None:
        return {line}
    options = {option for parameter in command.params for option in parameter.opts}
    given = dict(re.findall(r"(--[a-z-]+)(?:[= ](\S+))?", line))
    pipelines = {path.name for path in (root / "src").glob("*/pipelines/*/")}
    asked = {*filter(None, given.get("--pipelines", "").split(","))}
    changed = re.findall(r"([\w.]+)=", given.get("--params", ""))
    return given.keys() - options | asked - pipelines | {p for p in changed if lacks(parameters, p)}


def test_every_command_in_a_message_can_be_typed(messages, pages, parameters, pytestconfig):
    told = messages | pages
    found = {(where, line) for where, text in told.items() for line in commands(text)}

    wrong = [
        (where, line, there_is_no)
        for where, line in found
        if (there_is_no := mistakes(line, parameters, pytestconfig.rootpath))
    ]

    assert len(found) > 30
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("make runn", {"runn"}),
        ("kedro champion promot V", {"kedro champion promot V"}),
        ("kedro run --pipelines=scoring,watching", {"watching"}),
        ("kedro run --params as_of=…,horizon.dais=3", {"horizon.dais"}),
        ("kedro retrain --untill DAY", {"--untill"}),
        ("kedro registry list", set()),
        ('kedro retrain --demand "a new season"', set()),
    ],
)
def test_the_search_for_commands_that_do_not_exist_finds_them(
    line, wrong, parameters, pytestconfig
):
    assert mistakes(line, parameters, pytestconfig.rootpath) == wrong


def test_every_parameter_in_a_message_is_one(messages, pages, parameters):
    told = messages | pages
    groups = "|".join(name for name, value in parameters.items() if isinstance(value, dict))
    of_file = r"\.(?:prom|json|md|html)\b"
    # nor a node
    begins = rf"(?<![\w./])(?<!--from-nodes=)(?!\w+{of_file})"
    pattern = re.compile(rf"{begins}((?:{groups})(?:\.[a-z_]+)+)(?![\w(])")
    found = {(where, path) for where, text in told.items() for path in pattern.findall(text)}

    wrong = [(where, path) for where, path in found if lacks(parameters, path)]

    assert len(found) > 8
    assert wrong == []


def test_every_file_in_a_message_is_there(messages, pytestconfig):
    root = pytestconfig.rootpath
    made = "".join(path.read_text() for path in (root / "conf/base").glob("catalog*.yml"))
    pattern = re.compile(r"(?<![\w/.])((?:conf|src|deploy|data|tests|notebooks)/[\w./*-]*\w)")
    found = {(where, path) for where, text in messages.items() for path in pattern.findall(text)}

    wrong = [(where, path) for where, path in found if not _is_there(path, root, made)]

    assert len(found) > 8
    assert wrong == []


def _is_there(path, root, made):
    if path.startswith("data/"):
        return f"${{globals:data}}/{path.removeprefix('data/')}" in made
    # what is a person's own is like the base
    return any(root.glob(path.replace("conf/local", "conf/base")))


# and in the environment that a person named


def test_commands_are_told_as_they_are_typed_in_an_environment():
    told = "Make one: `make run`. `kedro champion promote V --reason …`, `kedro registry list`."

    assert in_environment(told, None) == told
    assert in_environment(told, "sample") == (
        'Make one: `make run ARGS="--env sample"`. '
        "`kedro champion promote V --reason … --env sample`, `kedro registry list`."
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--env", "sample"], '`make run ARGS="--env sample"`'), ([], "`make run`")],
)
def test_an_error_tells_commands_of_the_environment_that_was_named(arguments, said):
    @click.command()
    @env_option
    @explained
    def fail(env):
        raise ProjectError("There is none. Make one with `make run`.")

    result = CliRunner().invoke(fail, arguments)

    assert said in result.output
