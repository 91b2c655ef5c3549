"""Model packages in the catalog.

What only lists versions, or tells of them, waits for no import of pandas.
"""

import logging
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from kedro.io import AbstractVersionedDataset, Version
from kedro.io.core import VERSION_FORMAT, VersionNotFoundError, generate_timestamp

from kedro_mlops.core.artefacts import is_same
from kedro_mlops.core.declared import declared
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.files import PARTIAL, new_folder
from kedro_mlops.core.run_lock import alone_saving
from kedro_mlops.core.storage import Place, on_store, place
from kedro_mlops.core.versions import Seen, StoreVersions

from .metadata import FAMILIES, HASHES, Metadata, saved_at

if TYPE_CHECKING:
    from .package import ModelPackage

logger = logging.getLogger(__name__)

LOCK_TIMEOUT_SECONDS = 60.0
# an upload that has not ended by then was killed
UPLOAD_TIME = timedelta(days=1)


class ModelPackageDataset(AbstractVersionedDataset["ModelPackage", "ModelPackage | None"]):
    """A model package as a folder of plain files, usually versioned.

    A version is listed only when it is complete, and is named after the moment of its saving, later
    than all the others. Saving the package that is already the newest version adds none, so the
    list of versions is the list of changes. One process saves at a time.

    Args:
        filepath: Folder of the package, or of its versions.
        families: Import path of the families that it may be of; types of others are not loaded.
        load_args: ``missing_ok: true`` loads ``None`` while there is no version yet.
        save_args: ``guarded: true`` saves only what was made from the newest version, and refuses
            it if another one has been saved since.
        version: Set by Kedro for ``versioned: true``.
        metadata: Ignored by Kedro, read by plugins.

    Attributes:
        families: As it was given.
        folder: Of the package, or of its versions.
    """

    def __init__(
        self,
        *,
        filepath: str,
        families: str = FAMILIES,
        load_args: dict[str, Any] | None = None,
        save_args: dict[str, Any] | None = None,
        version: Version | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.folder = where = place(filepath)
        on_disk = PurePosixPath(filepath)
        super().__init__(
            filepath=cast("PurePosixPath", where) if on_store(where) else on_disk, version=version
        )
        self._versions = StoreVersions(where, HASHES) if on_store(where) else None
        self.families = families
        self._missing_ok = bool((load_args or {}).get("missing_ok", False))
        self._guarded = bool((save_args or {}).get("guarded", False))
        self.metadata = metadata

    def load(self) -> "ModelPackage | None":
        """Read the newest version."""
        if self._missing_ok and not self.exists():
            return None
        return self.read(place(str(self._get_load_path())), self.resolve_load_version())

    def read(self, folder: Place, moment: str | None) -> "ModelPackage":
        """Read the version of a moment, from its folder."""
        from .package import ModelPackage, trusted_types  # noqa: PLC0415 - heavy
        from .stand_in import with_stand_in  # noqa: PLC0415 - heavy

        package = ModelPackage.read(folder, trusted_types(declared(self.families)))
        return replace(with_stand_in(package), base=moment)

    def save(self, data: "ModelPackage") -> None:
        """Write a new version, unless it is what the newest version already says.

        Raises:
            ProjectError: if it is guarded, and another version was saved since the one it was made
                from; or if another process does not finish its saving.
        """
        if self._versions and self._version:
            while not self._added(data, self._versions):
                logger.info("Another process has saved to %s meanwhile", self._filepath)
        elif self._versions or self._version is None:
            self._write(data, place(str(self._filepath)))
        else:
            with alone_saving(Path(self._filepath), LOCK_TIMEOUT_SECONDS):
                self._save_version(data)

    def _save_version(self, package: "ModelPackage") -> None:
        newest = next(iter(self.list_versions(full_path=False)), None)
        if self._is_new(package, newest):
            self._clear_leftovers()
            self._write(package, Path(self._get_versioned_path(_version_after(newest))))

    def _added(self, package: "ModelPackage", versions: StoreVersions) -> bool:
        """Whether a version counts now, or the newest one says what it would; else another came."""
        seen = versions.look()
        if not self._is_new(package, next(iter(seen.names), None)):
            return True
        self._remove_leftovers(versions, seen)
        name = versions.begin(_version_after(seen.last), _version_after)
        package.write(versions.path(name))
        if versions.add(name, seen):
            return True
        versions.remove(name)
        return False

    def _is_new(self, package: "ModelPackage", newest: str | None) -> bool:
        """Whether a package is to become the version after the newest one.

        Raises:
            ProjectError: if it is guarded, and was made from another one.
        """
        if newest and self._is_saved(package, place(str(self._get_versioned_path(newest)))):
            logger.info("%s stays as it is: %s", self._filepath.name, package.version)
            return False
        if self._guarded and newest != package.base:
            raise ProjectError(
                f"{package.version} was judged against {self._named(package.base)}, but "
                f"{self._named(newest)} serves since {newest}. Nothing has changed. Look at "
                "`kedro champion history`, and run the gate again: "
                "`kedro run --pipelines=gate,release`."
            )
        return True

    def _write(self, package: "ModelPackage", path: Place) -> None:
        if on_store(path):
            package.write(path)
            return
        with new_folder(cast("Path", path)) as folder:
            package.write(folder)

    def _is_saved(self, package: "ModelPackage", folder: Place) -> bool:
        """Whether just this package is in a folder."""
        try:
            known = is_same(Metadata.read(folder), package.metadata)
            return known and is_same(self.read(folder, None).reference, package.reference)
        except ProjectError as error:
            logger.warning("%s", error)
            return False

    def _named(self, saved: str | None) -> str:
        """The model of a saved version."""
        if saved is None:
            return "no champion"
        return Metadata.read(place(str(self._get_versioned_path(saved)))).version

    def _clear_leftovers(self) -> None:
        """Remove what a killed process left: whoever saves is alone, so nobody is writing it."""
        for folder in filter(Path.is_dir, Path(self._filepath).iterdir()):
            if not (folder / self._filepath.name).exists():
                shutil.rmtree(folder)
            for partial in folder.glob(f"{PARTIAL}*"):
                shutil.rmtree(partial)

    def _remove_leftovers(self, versions: StoreVersions, seen: Seen) -> None:
        """Remove what was killed while it was uploaded, long ago: others may be uploading now."""
        for name in seen.leftovers:
            if datetime.now(UTC).replace(tzinfo=None) - saved_at(name) > UPLOAD_TIME:
                versions.remove(name)

    def _get_versions(self) -> list[str]:
        if self._versions is None:
            return super()._get_versions()
        return [str(self._versions.path(name)) for name in self._versions.look().names]

    def _exists(self) -> bool:
        try:
            return place(str(self._get_load_path())).is_dir()
        except VersionNotFoundError:
            return False

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}


def _version_after(newest: str | None) -> str:
    """The present moment in Kedro's form, or the first one after the newest version."""
    now = generate_timestamp()
    if newest is None or newest < now:
        return now
    later = datetime.strptime(newest, VERSION_FORMAT) + timedelta(milliseconds=1)  # noqa: DTZ007
    return f"{later.strftime(VERSION_FORMAT)[:-4]}Z"
