"""What holds for all tests."""

import os

# before any model library is loaded: models this small only wait for each other's threads
os.environ.setdefault("OMP_NUM_THREADS", "1")

from kedro.framework.project import configure_project

configure_project("flight_delays")
