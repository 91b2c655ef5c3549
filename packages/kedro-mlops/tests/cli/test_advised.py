"""What messages and pages advise: that it exists, and that following it helps."""

import ast
import re

import click
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.cli.cli import KedroCLI
from kedro.framework.cli.utils import env_option

from kedro_mlops.cli.commands import cli
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.wording import in_environment
from kedro_mlops.framework.error_messages import explained

MIN_WORDS = 4


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
    for pattern in (
        "packages/*/src/*/reporting/**/*.j2",
        "deploy/prometheus/rules.yml",
        "deploy/**/README.md",
    ):
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
    begins = rf"(?<![\w./])(?<!-nodes=)(?!\w+{of_file})"
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

    assert len(found) >= 5
    assert wrong == []


def _is_there(path, root, made):
    if path.startswith("data/"):
        below = path.removeprefix("data/")
        return any(f"${{globals:{where}}}/{below}" in made for where in ("data", "artefacts"))
    # what is a person's own is like the base
    return any(root.glob(path.replace("conf/local", "conf/base")))


# and in the environment that a person named


def test_commands_are_told_as_they_are_typed_in_an_environment():
    told = "Make one: `make run`. `kedro champion promote V --reason …`, `kedro registry list`."

    assert in_environment(told, None) == told
    assert in_environment("`kedro run --env dev`", "sample") == "`kedro run --env dev`"
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
