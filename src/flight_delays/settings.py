"""Kedro settings of the project; the engine's hooks and commands come with its installation."""

from kedro_mlops.framework.config_loader import ProjectConfigLoader
from kedro_mlops.framework.resolvers import RESOLVERS
from kedro_mlops.framework.session import ProjectSession

SESSION_CLASS = ProjectSession
CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # an environment's file overrides single values, not whole groups
    "merge_strategy": {"parameters": "soft", "catalog": "soft"},
    "custom_resolvers": RESOLVERS,
}
