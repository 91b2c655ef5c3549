from driving.notebooks import PICTURE, run_notebook
from driving.project import Loop


def test_every_notebook_runs_through_the_catalog(sample_loop: Loop) -> None:
    notebooks = sorted((sample_loop.project.folder / "notebooks").glob("*.ipynb"))

    for path in notebooks:
        shown = run_notebook(sample_loop.project, path, "sample")

        assert sum(PICTURE in output for output in shown) >= 4, path.name

    assert notebooks
