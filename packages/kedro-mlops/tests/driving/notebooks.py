"""Notebooks of a project, run as JupyterLab would run them."""

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from .project import Project

PICTURE = "application/vnd.plotly.v1+json"


def run_notebook(project: Project, path: Path, env: str) -> list[dict[str, Any]]:
    """Run a notebook in an environment; return what it shows, one after the other, by MIME type."""
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), f"{path.name} has outputs"
    resources = {"metadata": {"path": path.parent}}
    client = NotebookClient(notebook, timeout=120, resources=resources)
    client.execute(env=project.environment | {"KEDRO_ENV": env})
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"] for output in outputs if "data" in output]
