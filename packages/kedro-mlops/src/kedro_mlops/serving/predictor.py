"""From the rows of a request to answers: features, model, log and metrics."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from kedro_mlops.feature_store.reader import Completed, FeatureStore
from kedro_mlops.prediction_log.writer import PredictionLog
from kedro_mlops.runtime.encoding import Arrays

from .additions import Additions
from .answers import Answer, Answers, identifiers, recorder, utc_now
from .bulk_answers import TableAnswers, both, logged_table, mixed, score_table
from .bulk_features import complete_table
from .challenger import Challenger
from .limits import DeadlineCheck, no_deadline
from .metrics import Metrics
from .model import ServedModel
from .reading import Values

# with fewer rows, a table is logged as lines: a file for each would be too many files
MIN_TABLE_ROWS = 500


class Predictor:
    """Answers rows. Every answer is in the prediction log before it is given.

    Args:
        model: The champion.
        store: Where features are looked up.
        log: The prediction log.
        metrics: What is counted.
        challenger: The challenger, if there is one.
        additions: What a project's answers have besides.
    """

    def __init__(
        self,
        model: ServedModel,
        store: FeatureStore,
        log: PredictionLog,
        metrics: Metrics,
        challenger: Challenger | None,
        additions: Additions,
    ) -> None:
        self.model = model
        self.store = store
        self.log = log
        self.challenger = challenger
        self.additions = additions
        self._metrics = metrics
        self._threshold = model.spec.threshold
        self._version = model.spec.model_version
        self._record = recorder(model.spec)
        self._new_id = identifiers()
        self._logged = [field.name for field in model.spec.fields if not field.personal]
        self._encoder = msgspec.json.Encoder()

    def complete(self, rows: Sequence[Values]) -> list[Completed] | None:
        """Add the looked-up values, if all of them are at hand; else None."""
        completed = []
        for values in rows:
            found = self.store.complete(values)
            if found is None:
                return None
            completed.append(found)
        return completed

    def answer(self, rows: Sequence[Completed]) -> bytes:
        """Score, log and count a few rows; the answer as JSON.

        Raises:
            ProjectError: if they cannot be logged; then nothing is answered.
        """
        now = utc_now()
        answers: list[Answer] = []
        variants: list[str] = []
        records: list[Any] = []
        for values, missing in rows:
            variant = "champion"
            if self.challenger is None or self.challenger.mode == "off":
                answer = self._score(values, missing)
            else:
                answer, variant = self._score_in_trial(values, missing, records, now)
            answers.append(answer)
            variants.append(variant)
            records.append(self._record(values, answer, variant, now))
        told = Answers(self.additions.answers(answers))
        self.log.append(self._encoder.encode_lines(records), now.date())
        for answer, variant in zip(answers, variants, strict=True):
            self._metrics.answered(answer, variant)
        return self._encoder.encode(told)

    def answer_table(
        self, columns: Arrays, check_deadline: DeadlineCheck = no_deadline
    ) -> TableAnswers:
        """Look up, score, log and count many rows. Blocks; thread-safe.

        Args:
            columns: What was sent.
            check_deadline: Called between steps, and never once they are logged.

        Raises:
            ProjectError: if they cannot be logged; then nothing is answered.
        """
        spec, now = self.model.spec, utc_now()
        sent = [field.name for field in spec.sent]
        completed, missing = complete_table(
            columns, self.store, spec.event_time, sent, check_deadline
        )
        ours = score_table(self.model, "champion", completed, missing)
        answers, shadow = self._table_in_trial(ours, completed)
        more = self.additions.of(answers.probabilities, answers.decisions)
        logged = logged_table(completed, self._logged, answers, now)
        if shadow is not None:
            logged = both(logged, logged_table(completed, self._logged, shadow, now))
        check_deadline()
        if logged.num_rows < MIN_TABLE_ROWS:
            self.log.append(self._encoder.encode_lines(logged.to_pylist()), now.date())
        else:
            self.log.append_table(logged, now.date())
        self._metrics.answered_many(answers)
        return answers._replace(more=more)

    def _table_in_trial(
        self, ours: TableAnswers, columns: Arrays
    ) -> tuple[TableAnswers, TableAnswers | None]:
        """The answers, and what a shadow says, which goes to the log alone."""
        challenger = self.challenger
        if challenger is None:
            return ours, None
        challenger.look()
        mode = challenger.mode
        if mode == "off":
            return ours, None
        theirs = challenger.score_table(mode, columns, ours.missing)
        if theirs is None:
            self._count(self._metrics.challenger_failures, len(ours.ids))
            return ours, None
        if mode == "canary":
            return mixed(ours, theirs, challenger.takes_all(columns)), None
        self._count(self._metrics.compared, len(ours.ids))
        self._count(self._metrics.disagreements, int((ours.decisions != theirs.decisions).sum()))
        return ours, theirs

    def _count(self, metric: Any, n_rows: int) -> None:
        assert self.challenger is not None
        self._metrics.child(metric, self.challenger.version).inc(n_rows)

    def _score(self, values: Sequence[Any], missing: dict[str, str]) -> Answer:
        probability, unseen = self.model.score(values)
        decision = probability >= self._threshold
        return Answer(self._new_id(), probability, decision, self._version, missing, unseen)

    def _score_in_trial(
        self, values: Sequence[Any], missing: dict[str, str], records: list[Any], now: Any
    ) -> tuple[Answer, str]:
        """The answer and who gave it; what a shadow says goes to the records alone."""
        challenger = self.challenger
        assert challenger is not None
        challenger.look()
        takes = challenger.takes(values)
        if takes and (theirs := self._challenge(values, missing)) is not None:
            return theirs, "canary"
        start = time.perf_counter()
        ours = self._score(values, missing)
        challenger.champion_took(time.perf_counter() - start)
        if challenger.mode == "shadow":
            theirs = self._challenge(values, missing)
            if theirs is not None:
                records.append(self._record(values, theirs, "shadow", now))
                self._count(self._metrics.compared, 1)
                self._count(self._metrics.disagreements, theirs.decision != ours.decision)
        return ours, "champion"

    def _challenge(self, values: Sequence[Any], missing: dict[str, str]) -> Answer | None:
        challenger = self.challenger
        assert challenger is not None
        scored = challenger.score(values)
        if scored is None:
            self._count(self._metrics.challenger_failures, 1)
            return None
        probability, unseen = scored
        decision = probability >= challenger.model.spec.threshold
        return Answer(self._new_id(), probability, decision, challenger.version, missing, unseen)
