"""Kedro hooks of the project."""


class ProjectHooks:
    """Checks before a run and the summary after it."""
