"""A challenger on live traffic: in the shadow of the champion, or answering a share of requests.

It is switched off by itself when it fails, when it is slow, or when monitoring has judged that it
performs worse. Why is written beside the prediction log, and holds until another challenger comes.
"""

import json
import logging
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.storage import Place
from kedro_mlops.runtime.encoding import Arrays, Coded
from kedro_mlops.runtime.serving_spec import ServingSpec

from .answers import Answer, Answering, answering, told_by
from .bulk_answers import TableAnswers, answer_rows, mixed
from .decision_file import DecisionFile, read_object
from .metrics import Metrics
from .model import ServedModel, plain
from .settings import MODES, Mode

logger = logging.getLogger(__name__)

A = TypeVar("A")
# a request is the challenger's if its key is below the share of this
HASHES = 2**32


@dataclass(frozen=True)
class ChallengerSettings:
    """How a challenger is tried.

    Attributes:
        mode: ``off``, ``shadow`` or ``canary``.
        share: Share of the keys that a canary answers.
        decision_file: Where monitoring says what it thinks of the challenger.
        record_file: Where is written why a challenger was switched off.
        window: Newest rows by which failures and slowness are judged.
        max_failure_share: Of them, more failures than this switch it off.
        max_slowdown: A median time beyond so many times the champion's switches it off.
        look_seconds: How often the decision of monitoring is looked at.
    """

    mode: Mode
    share: float
    decision_file: Place | None
    record_file: Path
    window: int = 200
    max_failure_share: float = 0.02
    max_slowdown: float = 5
    look_seconds: float = 10

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ProjectError(
                f"CHALLENGER_MODE is {self.mode!r}; choose one of {', '.join(MODES)}."
            )
        if not 0 < self.share < 1:
            raise ProjectError(f"CHALLENGER_SHARE is {self.share:g}; choose between 0 and 1.")


class Challenger:
    """The challenger, what it does, and whether it still may."""

    def __init__(
        self,
        champion: ServedModel,
        challenger: ServedModel,
        settings: ChallengerSettings,
        metrics: Metrics,
    ) -> None:
        if _asked_of(champion.spec) != _asked_of(challenger.spec):
            raise ProjectError(
                f"{challenger.spec.model_version} cannot be tried beside "
                f"{champion.spec.model_version}: they read other fields, or predict something "
                "else. Release the challenger from the same contract."
            )
        self.model = challenger
        self.version = challenger.spec.model_version
        self.mode: Mode = settings.mode
        self._champion = champion.spec
        self._settings = settings
        self._decision = DecisionFile(settings.decision_file)
        self._first_not_theirs = settings.share * HASHES
        self._metrics = metrics
        self._answer = answering(challenger)
        self._output = challenger.spec.output
        self._told = told_by(self._output)
        self._keys = [i for i, field in enumerate(champion.spec.fields) if field.key]
        self._outcomes: deque[bool] = deque(maxlen=settings.window)
        self._seconds: deque[float] = deque(maxlen=settings.window)
        self._champion_seconds: deque[float] = deque(maxlen=settings.window)
        self._next_look = 0.0
        self._recall()

    def retire(self) -> None:
        """Do nothing any more: the release that carries it is no longer served."""
        self.mode = "off"

    def takes(self, values: Sequence[Any]) -> bool:
        """Whether the row is the canary's to answer; the same key always is, or never."""
        return self.mode == "canary" and self._has(values[place] for place in self._keys)

    def takes_all(self, columns: Arrays) -> NDArray[np.bool_]:
        """Which of many rows are the canary's to answer."""
        values = [plain(columns[name]).tolist() for name in self._champion.keys]
        return np.array([self._has(key) for key in zip(*values, strict=True)])

    def _has(self, key: Iterable[Any]) -> bool:
        return zlib.crc32("\x1f".join(map(str, key)).encode()) < self._first_not_theirs

    def row_in_trial(
        self, champion: Answering, values: Sequence[Any], missing: dict[str, str]
    ) -> tuple[Answer, str, Answer | None]:
        """Answer a row, or let the champion do it.

        Returns:
            The answer, the role of who gave it, and what a shadow says, which nobody is told.
        """
        self.look()
        if self.takes(values) and (theirs := self.answer_row(values, missing)) is not None:
            return theirs, "canary", None
        start = time.perf_counter()
        ours = champion(values, missing)
        self._champion_seconds.append(time.perf_counter() - start)
        theirs = self.answer_row(values, missing) if self.mode == "shadow" else None
        if theirs is not None:
            self._compare(1, self._output.differ(self._told(theirs), self._told(ours)))
        return ours, "champion", theirs

    def table_in_trial(
        self, ours: TableAnswers, columns: Arrays
    ) -> tuple[TableAnswers, TableAnswers | None]:
        """Answer some rows of a table in the champion's place.

        Returns:
            The answers, and what a shadow says, which nobody is told.
        """
        self.look()
        mode = self.mode
        if mode == "off":
            return ours, None
        theirs = self.answer_rows(mode, columns, ours.missing_features)
        if theirs is None:
            return ours, None
        if mode == "canary":
            return mixed(ours, theirs, self.takes_all(columns)), None
        both = (list(answers.predicted.values()) for answers in (theirs, ours))
        self._compare(len(ours.prediction_id), int(np.sum(self._output.differ(*both))))
        return ours, theirs

    def answer_row(self, values: Sequence[Any], missing: dict[str, str]) -> Answer | None:
        """What the challenger says of a row, or None where it fails; then the champion answers."""
        start = time.perf_counter()
        answer = self._tried(
            lambda: self._answer(values, missing),
            lambda found: bool(self._output.is_sound(self._told(found))),
            1,
        )
        self._seconds.append(time.perf_counter() - start)
        return answer

    def answer_rows(
        self, variant: str, columns: Arrays, missing: Coded[dict[str, str]]
    ) -> TableAnswers | None:
        """What the challenger says of many rows, or None where it fails."""
        return self._tried(
            lambda: answer_rows(self.model, variant, columns, missing),
            lambda found: bool(np.all(self._output.is_sound(list(found.predicted.values())))),
            len(missing.codes),
        )

    def _tried(
        self, answer: Callable[[], A], is_right: Callable[[A], bool], n_rows: int
    ) -> A | None:
        """What is answered, if it is right; it is remembered whether it was."""
        found = None
        try:
            found = answer()
            failed = not is_right(found)
        except Exception:
            logger.exception("The challenger %s failed", self.version)
            failed = True
        self._outcomes.extend([failed] * min(n_rows, self._settings.window))
        if not failed:
            return found
        self._count(self._metrics.challenger_failures, n_rows)
        return None

    def _compare(self, n_rows: int, n_otherwise: int) -> None:
        self._count(self._metrics.compared, n_rows)
        self._count(self._metrics.disagreements, n_otherwise)

    def _count(self, metric: Any, n_rows: int) -> None:
        self._metrics.child(metric, self.version).inc(n_rows)

    def look(self) -> None:
        """Switch off a challenger that fails, is slow, or was judged to perform worse."""
        now = time.monotonic()
        if self.mode == "off" or now < self._next_look:
            return
        self._next_look = now + self._settings.look_seconds
        reason = self._failing() or self._slow() or self._judged()
        if reason:
            self._stop(reason)

    def _failing(self) -> str | None:
        n_failed, n_rows = sum(self._outcomes), len(self._outcomes)
        if n_failed < 2 or n_failed <= self._settings.max_failure_share * n_rows:
            return None
        return f"it failed on {n_failed} of the last {n_rows} rows"

    def _slow(self) -> str | None:
        full = self._settings.window
        if min(len(self._seconds), len(self._champion_seconds)) < full:
            return None
        own = sorted(self._seconds)[full // 2]
        champions = sorted(self._champion_seconds)[full // 2]
        if own <= self._settings.max_slowdown * champions:
            return None
        return f"it takes {1e6 * own:.0f} µs a row, the champion {1e6 * champions:.0f} µs"

    def _judged(self) -> str | None:
        decision = self._decision.read()
        if self.version not in decision.get("stopped", []):
            return None
        newest = decision.get("challenger") == self.version
        reasons = decision.get("reasons", []) if newest else ["it performed worse before"]
        return f"monitoring: {' '.join(reasons)}"

    def _stop(self, reason: str) -> None:
        logger.error("The challenger %s is switched off: %s", self.version, reason)
        record = {
            "challenger": self.version,
            "champion": self._champion.model_version,
            "mode": self.mode,
            "reason": reason,
            "switched_off_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        self.mode = "off"
        self._metrics.switched("off")
        file = self._settings.record_file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(record, indent=2))
        except OSError as error:
            logger.error("That %s is off cannot be recorded in %s: %s", self.version, file, error)

    def _recall(self) -> None:
        """Leave off what was switched off before."""
        record = read_object(self._settings.record_file)
        if record.get("challenger") == self.version and self.mode != "off":
            logger.error(
                "The challenger %s stays off: %s. Remove %s to try it again.",
                self.version,
                record.get("reason"),
                self._settings.record_file,
            )
            self.mode = "off"


def _asked_of(spec: ServingSpec) -> Any:
    """What a model reads, and what it says of it."""
    read = [(field.name, field.kind, field.source) for field in spec.fields]
    return read, spec.label, spec.unit, [each._replace(description="") for each in spec.output.told]
