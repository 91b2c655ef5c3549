"""Two copies of the project: one for the sample loop, one for the README's commands."""

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.conftest import SERVED
from tests.e2e.project import Loop, Project, copy_project

pytest.register_assert_rewrite("tests.e2e.walkthrough")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _is_here(item):
            item.add_marker(pytest.mark.e2e)
    # two workers begin with them
    if hasattr(config, "workerinput"):
        items.sort(key=_is_here, reverse=True)


def _is_here(item: pytest.Item) -> bool:
    return Path(__file__).parent in item.path.parents


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """What is started obeys Ctrl-C, even if a shell runs the tests in its background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def walked_beside(request: pytest.FixtureRequest) -> None:
    """The commands are typed beside the tests of one worker, not of each."""
    if request.path.name not in SERVED:
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
    project = copy_project(pytestconfig.rootpath, scratch, is_measured=False)
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
    return Loop(project, said, files)
