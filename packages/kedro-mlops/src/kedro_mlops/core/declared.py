"""What an owner declares in code, and names by its import path."""

import pkgutil
from typing import Any

from .errors import ProjectError


def declared(path: str) -> Any:
    """Import an object by its path, e.g. ``my_project.families.FAMILIES``.

    Raises:
        ProjectError: if there is none.
    """
    try:
        return pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ProjectError(
            f"`{path}` cannot be imported: {error}. Declare it in that module, or mend the path "
            "where it is named: in the catalog, or in the project's service.py."
        ) from error
