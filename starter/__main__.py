"""Build what new projects are made of: ``build/kedro-starter`` and ``build/copier-template``."""

import shutil
import sys
from pathlib import Path

import flight_delays

from . import copier_template, kedro_starter
from .contents import gather

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Build both below a folder, which is ``build`` if none is named."""
    [build] = [Path(name) for name in sys.argv[1:]] or [ROOT / "build"]
    contents = gather(ROOT)
    starter, template = build / "kedro-starter", build / "copier-template"
    shutil.rmtree(starter, ignore_errors=True)
    kedro_starter.write(contents, starter)
    version = copier_template.write(contents, flight_delays.__version__, template)
    sys.stdout.write(f"{starter}\n{template} {version}\n")


if __name__ == "__main__":
    main()
