"""One copy of the project for all end-to-end tests, and the sample loop run in it once."""

from pathlib import Path

import pytest
import yaml

from tests.e2e.project import Loop, Project, copy_project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


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
        if entry.get("filepath", "").startswith(data)
    }
    return Loop(project, said, files)
