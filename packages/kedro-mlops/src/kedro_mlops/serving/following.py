"""A service that takes each new champion while it runs, or says why not.

The champion's folder says which release is the newest. It is loaded beside the one that answers,
verified by its hashes, warmed up, and asked for rows of which it is known what it says; only then
do new requests meet it. Those that have begun end with the one before.
"""

import asyncio
import gc
import logging
import math
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.storage import Place, is_of_store, on_store
from kedro_mlops.core.versions import StoreVersions
from kedro_mlops.models.hashes import is_as_proven
from kedro_mlops.models.kept_bentos import fetch
from kedro_mlops.models.metadata import HASHES, METADATA, Metadata
from kedro_mlops.models.released import bento_folder, models_of, spec_of
from kedro_mlops.runtime.known_rows import KnownRows
from kedro_mlops.runtime.serving_spec import ServingSpec, hash_of

from .app_state import AppState
from .followers import FollowerFile, Following
from .served import Served
from .warm_up import warm_up

if TYPE_CHECKING:
    from upath import UPath

logger = logging.getLogger(__name__)

# how often it is looked whether there is another champion, and on a store, which counts how often
LOOK_SECONDS, LOOK_ON_STORE_SECONDS = 1.0, 5.0
# and after how long at most where that fails, as each time it is longer
MOST_LOOK_SECONDS = 60.0
# a champion that is damaged may be repaired, and an error pass: after how long it is tried again,
# and after how long at most, as each time it is longer
AGAIN_SECONDS, MOST_AGAIN_SECONDS = 60.0, 600.0
# what neither changes: another release is needed, or a service that is started anew
FINAL = ("answers", "restart")
# how long another thread may keep requests waiting while a champion is made ready
SWITCH_SECONDS = 0.0005


class RefusedError(ProjectError):
    """A champion that is not taken; the reason is one of ``NOT_TAKEN``."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Checked(NamedTuple):
    """What is ready to be served: the release, and what answers with it."""

    release: str
    served: Served


class Follower:
    """Looks for new champions, and lets the state serve them.

    Args:
        state: What answers.
        champions: The folder of the champion's versions, or its URL.
        release: The Bento that runs; others are taken if they are of the same code.
        log_folder: Where the prediction log is, beside which it is said what is served.
    """

    def __init__(self, state: AppState, champions: Place, release: str, log_folder: Path) -> None:
        self._state = state
        self._champions = champions
        # whose code runs, and whose model answers; the store may forget it meanwhile
        self._running = self.release = release
        self._code, self._packages = _code_of(release), _packages_of(release)
        self._since = _now()
        # the version that was looked at last, when it is to be looked at again, and after how long
        self._looked_at, self._again_at, self._wait = "", math.inf, AGAIN_SECONDS
        # whether the champions could not be read
        self._is_blind = False
        self._refused, self._why = "", ""
        self._file: FollowerFile | None = None
        try:
            self._file = FollowerFile(log_folder)
        except OSError as error:
            logger.warning("`kedro champion` will not know what is served: %s", error)
        self._say()

    async def follow(self) -> None:
        """Take each new champion, until it is cancelled."""
        pause = usual = LOOK_ON_STORE_SECONDS if on_store(self._champions) else LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            try:
                await self._follow_once()
            except Exception as error:
                pause = min(2 * pause, MOST_LOOK_SECONDS)
                logger.error(
                    "It cannot be looked which the champion is; again in %.0f seconds: %s: %s",
                    pause, type(error).__name__, error,
                    exc_info=not self._may_pass(error) or logger.isEnabledFor(logging.DEBUG),
                )  # fmt: skip
            else:
                pause = usual

    async def _follow_once(self) -> None:
        checked = await asyncio.to_thread(self.look)
        if checked is not None:
            self.take(checked)
            del checked
            # what answered before had cycles
            await asyncio.to_thread(gc.collect)

    def look(self) -> Checked | None:
        """What is to be served instead, if there is another champion and it passes. Blocks."""
        newest = self._newest()
        if not newest or (newest == self._looked_at and time.monotonic() < self._again_at):
            return None
        before = sys.getswitchinterval()
        sys.setswitchinterval(min(before, SWITCH_SECONDS))
        try:
            return self._looked(newest)
        finally:
            sys.setswitchinterval(before)

    def _looked(self, newest: str) -> Checked | None:
        release, is_at_hand = "", False
        try:
            metadata = _read(self._champions / newest / self._champions.name)
            release = str(metadata.release)
            if on_store(self._champions):
                _fetch(release, self._champions.parent, metadata)
            is_at_hand = True
            found = None if release == self.release else self._checked(release, metadata)
        except RefusedError as error:
            self._refuse(newest, release, error.reason, str(error))
        except Exception as error:
            if not is_at_hand and self._may_pass(error):
                raise  # it may answer at the next look
            self._refuse(newest, release, "bug", f"{type(error).__name__}: {error}")
        else:
            self._refused, self._why = "", ""
            self._looked_at, self._again_at = newest, math.inf
            self._say()
            return found
        return None

    def _may_pass(self, error: Exception) -> bool:
        """Whether an error says nothing of a champion, but that its store does not answer."""
        return on_store(self._champions) and (isinstance(error, OSError) or is_of_store(error))

    def take(self, checked: Checked) -> None:
        """Serve it; to be called where requests begin."""
        before = self._state.served.spec.model_version
        self._state.serve(checked.served)
        self.release, self._since = checked.release, _now()
        self._state.metrics.swaps.inc()
        logger.warning(
            "%s answers now, of the release %s; before it was %s",
            checked.served.spec.model_version, self.release, before,
        )  # fmt: skip
        self._say()

    def close(self) -> None:
        """Follow no more."""
        if self._file is not None:
            self._file.close()

    def _newest(self) -> str:
        """The newest version of the champion that is whole, by its name; empty if there is none."""
        try:
            newest = _newest_of(self._champions)
        except Exception as error:  # noqa: BLE001 - whatever a driver says of a store
            if not self._is_blind:
                logger.error("No champion can be followed: %s", error)
            self._is_blind = True
            return ""
        self._is_blind = False
        return newest

    def _checked(self, release: str, metadata: Metadata) -> Checked:
        """Load it beside the one that answers, and let it answer what is known.

        Raises:
            RefusedError: if it is not to be served.
        """
        try:
            found = [(folder, spec_of(folder)) for folder in models_of(release)]
        except ProjectError as error:
            raise RefusedError("damaged", str(error)) from error
        if not is_as_proven(bento_folder(release), metadata.release_sha256):
            raise RefusedError(
                "damaged",
                f"the files in {bento_folder(release)} are not those that were proven. Release the "
                "champion again: `kedro run --pipelines=release`.",
            )
        champion = metadata.version, metadata.rule
        is_it = [(spec.model_version, spec.rule) == champion for _, spec in found]
        if True not in is_it:
            raise RefusedError("damaged", f"{release} holds another model than {metadata.version}")
        folder, spec = found.pop(is_it.index(True))
        self._refuse_another_service(release, spec)
        try:
            served = self._state.prepared(folder, spec, found[0] if found else None)
        except ProjectError as error:
            raise RefusedError("damaged", str(error)) from error
        _ask(served, folder)
        warm_up(served)
        return Checked(release, served)

    def _refuse_another_service(self, release: str, spec: ServingSpec) -> None:
        """Refuse what only a service that is started anew could answer with."""
        needs = ""
        if _contract_of(spec) != _contract_of(self._state.served.spec):
            needs = "reads or predicts something else"
        elif _code_of(release) != self._code:
            needs = f"has other code than {self._running}, which runs"
        elif missing := _packages_of(release) - self._packages:
            needs = (
                f"needs packages that {self._running} does without: {', '.join(sorted(missing))}"
            )
        if needs:
            raise RefusedError("restart", f"{release} {needs}: start the service anew")

    def _refuse(self, newest: str, release: str, reason: str, why: str) -> None:
        """Tell why it is not taken, once, and look at it again if that may change."""
        again = newest == self._looked_at
        self._wait = min(2 * self._wait, MOST_AGAIN_SECONDS) if again else AGAIN_SECONDS
        self._looked_at = newest
        self._again_at = math.inf if reason in FINAL else time.monotonic() + self._wait
        refused = release or newest
        if (refused, why) == (self._refused, self._why):
            return
        self._refused, self._why = refused, why
        self._state.metrics.refusals.labels(reason).inc()
        logger.error(
            "The champion's release %s is not taken, and %s goes on to answer: %s%s",
            refused, self._state.served.spec.model_version, why,
            "" if reason in FINAL else "; it is tried again after a while",
            exc_info=reason == "bug",
        )  # fmt: skip
        self._say()

    def _say(self) -> None:
        """Tell by metric, ``/info`` and file what is served, and what was refused."""
        self._state.metrics.refused.set(bool(self._refused))
        process = self._file.process if self._file else ""
        following = Following(
            process=process,
            model_version=self._state.served.spec.model_version,
            release=self.release,
            since=self._since,
            refused=self._refused,
            reason=self._why,
        )
        self._state.following = {"following": msgspec.to_builtins(following)}
        if self._file is not None:
            try:
                self._file.write(following)
            except OSError as error:
                logger.warning("`kedro champion` does not know what is served: %s", error)


def _newest_of(champions: Place) -> str:
    if on_store(champions):
        return StoreVersions(champions, HASHES).newest()
    versions = sorted((path.name for path in champions.iterdir()), reverse=True)
    whole = (one for one in versions if (champions / one / champions.name / METADATA).exists())
    return next(whole, "")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(folder: Place) -> Metadata:
    try:
        return Metadata.read(folder)
    except ProjectError as error:
        raise RefusedError("damaged", str(error)) from error


def _fetch(release: str, models: "UPath", metadata: Metadata) -> None:
    try:
        fetch(release, models, metadata.release_sha256)
    except ProjectError as error:
        raise RefusedError("damaged", str(error)) from error


def _ask(served: Served, folder: Path) -> None:
    """Ask a release for the rows of which it is known what it says.

    Raises:
        RefusedError: if it says otherwise.
    """
    try:
        known = KnownRows.read(folder)
    except ProjectError as error:
        raise RefusedError("damaged", str(error)) from error
    try:
        known.refuse_others(served.spec, served.predictor.model.score)
    except ProjectError as error:
        raise RefusedError("answers", str(error)) from error


def _contract_of(spec: ServingSpec) -> tuple[object, ...]:
    """What callers, store and log have to do with; which categories are known may change."""
    fields = [msgspec.structs.replace(field, allowed=None) for field in spec.fields]
    told = [each._replace(description="") for each in spec.output.told]
    return fields, spec.event_time, spec.task, spec.label, spec.classes, spec.unit, told


def _code_of(release: str) -> dict[str, str]:
    """What the files of code in a Bento hash to."""
    folder = bento_folder(release)
    paths = [*(folder / "src").rglob("*.py"), *(folder / "env/python/wheels").glob("*.whl")]
    return {str(path.relative_to(folder)): hash_of(path.read_bytes()) for path in paths}


def _packages_of(release: str) -> set[str]:
    """The packages that a Bento needs, each pinned."""
    file = bento_folder(release) / "env/python/requirements.txt"
    return set(file.read_text().splitlines()) if file.exists() else set()
