"""What the engine is tested on: small real things of its own."""

import os
from pathlib import Path

# for a process that a test starts, and that needs what is here
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
