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
        # with the colon, a module that cannot be imported says why
        return pkgutil.resolve_name(":".join(path.rsplit(".", 1)))
    except (ImportError, AttributeError, ValueError) as error:
        raise ProjectError(
            f"`{path}` cannot be imported: {error}. Declare it in that module, or mend the path "
            "where it is named: in the catalog, or in the project's service.py."
        ) from error
