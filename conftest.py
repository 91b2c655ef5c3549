"""How the tests of both houses are started and shared out, and what drives the real commands."""

import os

# what is started imports hundreds of modules: they are compiled once, not by every command
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# before any model library is loaded, as the project's settings do: models this small only wait
# for each other's threads
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from driving.project import Loop, Project, copy_project
from kedro.framework import project as kedro_project

from kedro_mlops.contract.tables import personal_names

# a machine that is busy is no fault of the code
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

pytest.register_assert_rewrite("tests.e2e.walkthrough")

# end-to-end tests that make copies of the project, of which the others share one
ALONE = ("test_extending.py", "test_growth.py", "test_starter.py", "test_two_models.py")
# or several, one for each of a parameter's values
EACH_ALONE = ("test_tasks.py",)
# tests that train the same models, which take longer than they do
LIVED = ("test_tasks.py", "test_pages_of_tasks.py")
ROOT = Path(__file__).parent
OF_ENGINE = ROOT / "packages/kedro-mlops/tests"

# mypy knows a file by its content: what it has found out about packages holds for every copy
os.environ.setdefault("MYPY_CACHE_DIR", str(ROOT / ".mypy_cache"))


def _is_e2e(path: Path) -> bool:
    return path.parent.name == "e2e"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker for the end-to-end tests that share a copy of the project, and its first run.

    Of the others, each file or parameter has one: what it sets up is set up once.
    """
    from xdist.scheduler import LoadScopeScheduling

    # in their order, which begins with what takes the longest; not by the number of tests
    config.option.loadscopereorder = False

    class ByCopy(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if _is_e2e(Path(file)) and file.endswith(EACH_ALONE):
                return nodeid.rpartition("[")[2]
            if not _is_e2e(Path(file)):
                return "lived" if file.endswith(LIVED) else file
            return file if file.endswith(ALONE) else "walked"

    return ByCopy(config, log)


@pytest.fixture(scope="module", autouse=True)
def collected() -> None:
    """What is there when a file begins is there to stay, mostly modules.

    No pass of the garbage collector looks at it again, which took a third of the time.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """The engine's tests have an owner of their own; a process knows one at a time."""
    owner = "example" if OF_ENGINE in item.path.parents else "flight_delays"
    if owner != kedro_project.PACKAGE_NAME:
        kedro_project.configure_project(owner)
        personal_names.cache_clear()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the end-to-end tests; two workers begin with them, and ask for the commands last."""
    for item in items:
        if _is_e2e(item.path):
            item.add_marker(pytest.mark.e2e)
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (not _is_e2e(item.path), item.path.name == "test_readme.py"))


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """What is started obeys Ctrl-C, even if a shell runs the tests in its background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def walked_beside(request: pytest.FixtureRequest) -> None:
    """The commands are typed beside the tests of one worker, not of each."""
    if _is_e2e(request.path) and request.path.name not in (*ALONE, *EACH_ALONE):
        request.getfixturevalue("walkthrough")


@pytest.fixture(scope="session")
def walkthrough(
    request: pytest.FixtureRequest,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
    interruptible: None,
) -> Iterator[dict[str, Future[None]]]:
    """Someone types the README's commands, one after the other, while the other tests run."""
    from tests.e2e.walkthrough import WAYS

    if not any(item.path.name == "test_readme.py" for item in request.session.items):
        yield {}
        return
    # the other tests give the same commands
    scratch = tmp_path_factory.mktemp("readme")
    project = copy_project(
        pytestconfig.rootpath, scratch, is_measured=False, is_warm=False, every=None
    )
    with ThreadPoolExecutor(max_workers=1) as executor:
        outcomes = {typed: executor.submit(way, project, *typed) for typed, way in WAYS.items()}
        yield {command: outcome for typed, outcome in outcomes.items() for command in typed}
        executor.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def project(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A committed copy of the project that uses this environment's packages."""
    return copy_project(pytestconfig.rootpath, tmp_path_factory.mktemp("e2e"))


@pytest.fixture(scope="session")
def readme(project: Project) -> str:
    return (project.folder / "README.md").read_text()


@pytest.fixture(scope="session")
def sample_loop(project: Project) -> Loop:
    """The first run of the sample environment."""
    said = project.must("kedro run --env sample")
    catalog = yaml.safe_load(project.must("kedro catalog resolve-patterns --env sample"))
    data = str(project.folder / "data")
    files = {
        name: Path(entry["filepath"])
        for name, entry in catalog.items()
        if entry.get("filepath", "").startswith(data) and not name.startswith("replay_")
    }
    at_first = project.folder.parent / "at_first"
    shutil.copytree(project.folder / "data/sample", at_first)
    return Loop(project, said, files, at_first)
