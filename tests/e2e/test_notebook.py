import nbformat
from driving.project import Loop
from nbclient import NotebookClient


def test_every_notebook_runs_through_the_catalog(sample_loop: Loop) -> None:
    folder = sample_loop.project.folder / "notebooks"
    environment = sample_loop.project.environment | {"KEDRO_ENV": "sample"}
    notebooks = sorted(folder.glob("*.ipynb"))

    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}})
        client.execute(env=environment)

        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        pictures = [o for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})]
        assert len(pictures) >= 4, path.name

    assert notebooks
