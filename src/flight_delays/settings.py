"""Kedro settings of the project."""

import os
import warnings

from flight_delays import resolvers, storage
from flight_delays.config_loader import ProjectConfigLoader
from flight_delays.hooks import ProjectHooks
from flight_delays.session import ProjectSession
from flight_delays.viz_hooks import TableStats

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
# OpenMP threads wait for each other by spinning, which a busy machine pays for many times over;
# work is spread over trials instead, and results do not depend on the number of cores
os.environ.setdefault("OMP_NUM_THREADS", "1")
storage.register()
# a champion that stays is not saved again; Kedro would take the missing version for a mistake
warnings.filterwarnings("ignore", message=r"(?s)Save version .*ModelPackageDataset")
warnings.filterwarnings("ignore", message="register_new_resolver")

HOOKS = (ProjectHooks(), TableStats())
SESSION_CLASS = ProjectSession

CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # an environment's file overrides single values, not whole groups
    "merge_strategy": {"parameters": "soft", "catalog": "soft"},
    "custom_resolvers": resolvers.RESOLVERS,
}
