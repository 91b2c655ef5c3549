"""Releases in a store of BentoML's, and champions, as promotions and rollbacks leave them."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from example.factories import write_bento, write_labels
from kedro_mlops.core.files import new_folder
from kedro_mlops.core.storage import Place, on_store
from kedro_mlops.core.versions import StoreVersions
from kedro_mlops.models.metadata import HASHES
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.runtime.known_rows import KNOWN_ROWS, KnownRows
from kedro_mlops.runtime.serving_spec import ServingSpec, hash_of

Released = tuple[Path, ServingSpec]


@dataclass
class Deliveries:
    """What a running service may take.

    Attributes:
        home: BentoML's.
        champions: The folder of the champion's versions.
    """

    home: Path
    champions: Place
    n_promoted: int = field(default=0)

    def release(
        self,
        name: str,
        *models: Released,
        code: str = "print()",
        packages: str = "numpy==2",
        **changes: Any,
    ) -> str:
        """Put a Bento of models into the store; keyword arguments change the first one's spec."""
        tags = []
        for number, (folder, spec) in enumerate(models):
            tags.append(f"parcels:{name}-{number}")
            stored = self.model(tags[-1])
            shutil.copytree(folder, stored)
            changed = msgspec.structs.replace(spec, **({} if number else changes))
            write_labels(stored, changed.write(stored))
        bento = f"parcels-bento:{name}"
        write_bento(self.home, bento, *tags)
        inside = self.bento(bento)
        for file, content in (("src/a.py", code), ("env/python/requirements.txt", packages)):
            (inside / file).parent.mkdir(parents=True)
            (inside / file).write_text(content)
        return bento

    def model(self, tag: str) -> Path:
        return self.home / "models" / tag.replace(":", "/")

    def bento(self, tag: str) -> Path:
        return self.home / "bentos" / tag.replace(":", "/")

    def promote(self, release: str, package: ModelPackage, **record: Any) -> Place:
        """Make a release the champion, be it anew; the folder of the champion's version.

        Keyword arguments are what else is on record.
        """
        self.n_promoted += 1
        moment = f"2013-02-01T00.00.00.{self.n_promoted:03d}Z"
        promoted = package.with_record(release=release, **record)
        if on_store(self.champions):
            versions = StoreVersions(self.champions, HASHES)
            promoted.write(versions.path(versions.begin(moment, str)))
            assert versions.add(moment, versions.look())
        else:
            with new_folder(self.champions / moment / self.champions.name) as folder:
                promoted.write(folder)
        return self.champions / moment / self.champions.name

    def answer_otherwise(self, tag: str) -> None:
        """Let a model have been released with other answers to the rows that are known."""
        folder = self.model(tag)
        known = KnownRows.read(folder)
        wrong = msgspec.structs.replace(known, scores=[score / 2 for score in known.scores])
        wrong.write(folder)
        self.describe_anew(tag)

    def describe_anew(self, tag: str) -> None:
        """Let the spec of a model say what is in its folder."""
        folder = self.model(tag)
        spec = msgspec.json.decode((folder / "serving_spec.json").read_bytes(), type=ServingSpec)
        files = {
            name: hash_of((folder / name).read_bytes())
            for name in spec.files
            if (folder / name).exists()
        }
        assert KNOWN_ROWS in spec.files
        write_labels(folder, msgspec.structs.replace(spec, files=files).write(folder))
