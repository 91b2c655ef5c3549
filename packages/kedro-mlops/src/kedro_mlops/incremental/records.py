"""What each node was made of when it ran last, in one file beside the data."""

from pathlib import Path
from typing import Self

import msgspec

from kedro_mlops.core.files import new_file

FILE = "node_runs.json"


class NodeRun(msgspec.Struct, frozen=True):
    """A node that ran to its end.

    Args:
        ended_at: When, in ISO 8601.
        made_of: Hashes of its code and inputs, by name.
        outputs: Hashes of what it made, by dataset.
        left: Hashes of what it takes from earlier runs, as they were when its own had ended.
    """

    ended_at: str
    made_of: dict[str, str]
    outputs: dict[str, str]
    left: dict[str, str]


class WholeRun(msgspec.Struct, frozen=True):
    """A run at the end of which there was nothing left to do.

    Args:
        ended_at: When, in ISO 8601.
        packages: The packages that its code is of.
        made_of: Hash of all of their code, and of the configuration.
        files: Hashes of what is kept in files, by dataset.
        told: Hashes of what is kept elsewhere, by dataset.
    """

    ended_at: str
    packages: list[str]
    made_of: str
    files: dict[str, str]
    told: dict[str, str]


class Records(msgspec.Struct):
    """All nodes that have run, by name, and the hashes of files by which they are compared.

    And the whole runs, by a hash of what was asked of them.
    """

    nodes: dict[str, NodeRun] = {}
    whole: dict[str, WholeRun] = {}
    files: dict[str, tuple[int, int, str]] = {}

    @classmethod
    def read(cls, data: Path) -> Self:
        """Read those of a folder of artefacts; none, if there is none that can be read."""
        try:
            return msgspec.json.decode((data / FILE).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return cls()

    def write(self, data: Path) -> None:
        """Keep them, without the hashes of files that are gone."""
        self.files = {path: found for path, found in self.files.items() if Path(path).exists()}
        with new_file(data / FILE) as file:
            file.write(msgspec.json.encode(self))
