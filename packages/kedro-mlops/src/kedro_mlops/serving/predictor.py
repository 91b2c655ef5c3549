"""From the rows of a request to answers: features, model, log and metrics."""

from collections.abc import Sequence
from typing import Any

import msgspec

from kedro_mlops.feature_store.reader import Completed, FeatureStore
from kedro_mlops.prediction_log.writer import PredictionLog
from kedro_mlops.runtime.encoding import Arrays
from kedro_mlops.runtime.serving_spec import ServingSpec

from .additions import Additions
from .answers import EXPLANATION, Answer, answering, recorder, utc_now
from .assigned_keys import AssignedKeys
from .bulk_answers import answer_rows, both, logged_table
from .bulk_features import complete_table
from .challenger import Challenger
from .explanations import CANARY, Explanations
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
        self._answer = answering(model)
        self._assigned = AssignedKeys(model.spec)
        self._record = recorder(model.spec)
        self._logged = [field for field in model.spec.fields if not field.personal]
        self._encoder = msgspec.json.Encoder()
        trying = {CANARY: challenger.model} if challenger else {}
        self._explanations = Explanations({"champion": model} | trying, additions.explanation)

    @property
    def models(self) -> dict[str, ServingSpec]:
        """What is known of champion and challenger, by what they are."""
        trying = {"challenger": self.challenger.model.spec} if self.challenger else {}
        return {"champion": self.model.spec} | trying

    def retire(self) -> None:
        """Answer what has been begun; nothing is tried any more."""
        if self.challenger is not None:
            self.challenger.retire()

    def complete(self, rows: Sequence[Values]) -> list[Completed] | None:
        """Add the looked-up values, if all of them are at hand; else None."""
        completed = []
        for values in rows:
            found = self.store.complete(values)
            if found is None:
                return None
            completed.append(found)
        return completed

    def answer(self, rows: Sequence[Completed], explain: bool = False) -> bytes:
        """Score, log and count a few rows; the answer as JSON, explained if that is asked for.

        Raises:
            ProjectError: if they cannot be logged; then nothing is answered.
            BadRequestError: if they cannot be explained; likewise.
        """
        now = utc_now()
        answers: list[Answer] = []
        variants: list[str] = []
        records: list[Any] = []
        for given, missing in rows:
            values, new_id = self._assigned.of_row(given)
            if self.challenger is None:
                answer, variant = self._answer(values, missing), "champion"
            else:
                answer, variant, shadow = self.challenger.row_in_trial(
                    self._answer, values, missing
                )
                if shadow is not None:
                    records.append(self._record(values, shadow, "shadow", now))
            if new_id:
                answer.prediction_id = new_id
            answers.append(answer)
            variants.append(variant)
            records.append(self._record(values, answer, variant, now))
        explanations = self._explanations.of_rows(rows, answers, variants) if explain else None
        told = {"predictions": self.additions.told(answers, explanations)}
        self.log.append(self._encoder.encode_lines(records), now.date())
        for answer, variant in zip(answers, variants, strict=True):
            self._metrics.answered(answer, variant)
        return self._encoder.encode(told)

    def answer_table(
        self,
        columns: Arrays,
        check_deadline: DeadlineCheck = no_deadline,
        explain: bool = False,
    ) -> dict[str, Any]:
        """Look up, score, log and count many rows. Blocks; thread-safe.

        Args:
            columns: What was sent.
            check_deadline: Called between steps, and never once they are logged.
            explain: Whether the answers are explained.

        Returns:
            The fields of the answers, each a column.

        Raises:
            ProjectError: if they cannot be logged; then nothing is answered.
            BadRequestError: if they cannot be explained; likewise.
        """
        now = utc_now()
        completed, missing = complete_table(columns, self.store, check_deadline)
        answers, shadow = answer_rows(self.model, "champion", completed, missing), None
        identified = self._assigned.of_table(completed, answers.prediction_id)
        if self.challenger is not None:
            answers, shadow = self.challenger.table_in_trial(answers, identified)
        told = answers.told() | self.additions.of(answers.predicted)
        if explain:
            check_deadline()
            told[EXPLANATION] = self._explanations.of_table(completed, answers)
        logged = logged_table(identified, self._logged, answers, now)
        if shadow is not None:
            logged = both(logged, logged_table(identified, self._logged, shadow, now))
        check_deadline()
        if logged.num_rows < MIN_TABLE_ROWS:
            self.log.append(self._encoder.encode_lines(logged.to_pylist()), now.date())
        else:
            self.log.append_table(logged, now.date())
        self._metrics.answered_many(answers)
        return told
